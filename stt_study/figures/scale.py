"""Figures of what training costs: memory over a GPU's share of the batch, hours over the number of GPUs."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from stt_study.figures.viz import PALETTE_NAME
from stt_study.speed.gpus import GPUS, REACHED


def memory_figure(table: pd.DataFrame) -> Figure:
    """`budget.over_gpus` as lines, a panel a step, both axes logarithmic; horizontal: what GPUs have."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    sizes = sorted({gpu.memory for gpu in GPUS.values()})
    for axis, (step, rows) in zip(axes, table.groupby("step"), strict=True):
        axis.plot(rows["items"], rows["GB"], marker="o")
        for size in sizes:
            axis.axhline(size, color="0.6", linewidth=0.8, zorder=0)
            axis.annotate(
                f"{size:g}", (1, size), xycoords=("axes fraction", "data"), fontsize=7, color="0.4", ha="right"
            )
        axis.set(xscale="log", yscale="log", title=step, xlabel="images a GPU" if step == "step one" else "pairs a GPU")
        _plain(axis, sorted(set(rows["items"])))
    axes[0].set_ylabel("GB, at least")
    return figure


def hours_figure(table: pd.DataFrame, names: Sequence[str] = ("h100", "a100", "v100")) -> Figure:
    """Hours from start to end over GPUs, a panel a step: a band from the faster to the slower estimate for each GPU."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, (step, rows) in zip(axes, table.groupby("step"), strict=True):
        for name, colour, marker in zip(names, sns.color_palette(PALETTE_NAME), "osD^", strict=False):
            slow, fast = ([job.hours(GPUS[name], reached) for job in rows["job"]] for reached in sorted(REACHED))
            axis.fill_between(rows["gpus"], fast, slow, color=colour, alpha=0.2, linewidth=0)
            axis.plot(rows["gpus"], slow, color=colour, marker=marker, markersize=4, label=GPUS[name].title)
        axis.set(xscale="log", yscale="log", title=step, xlabel="GPUs")
        _plain(axis, sorted(set(rows["gpus"])))
    axes[0].set_ylabel("hours")
    axes[1].legend(fontsize=8)
    return figure


def _plain(axis: plt.Axes, ticks: Sequence[int]) -> None:
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
