"""Charts of results: trainings, scores, differences with intervals, costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from stt_study.analysis.sensitivity import means
from stt_study.figures.viz import BLUE, COLOURS, PALETTE, RED, WIDTH, name_rows, panels, spread
from stt_study.results import tables

SMOOTH = 25  # steps


def training_curves(runs: dict[str, pd.DataFrame], columns: Sequence[str]) -> Figure:
    """One panel a column of `metrics.csv`, one line a run (by its title), each a running mean over `SMOOTH` steps."""
    figure, axes = spread(len(columns), 0.75)
    for axis, column in zip(axes, columns, strict=True):
        for run, metrics in runs.items():
            smooth = metrics.reindex(columns=columns)[column].rolling(SMOOTH, min_periods=1).mean()
            axis.plot(metrics.step, smooth, color=COLOURS[run], alpha=0.7, label=run)
        axis.set(title=column, xlabel="step")
    if len(runs) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(runs), frameon=False)
    return figure


def _bent(axis: Axes) -> None:
    """Make an x axis linear up to 10 to either side, and logarithmic beyond."""
    axis.set_xscale("symlog", linthresh=10)
    axis.xaxis.set_major_locator(FixedLocator((-100, -30, -10, -5, 0, 5, 10, 30, 100)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(f"{axis.get_xlabel()} (logarithmic beyond 10)")


def score_bars(results: dict[str, dict], per: str) -> Figure:
    """A task's headline figure of `Study.results` in percent: a bar a method, a dot a `per` (sequence)."""
    dots = tables.per_sequence(results)
    score = dots.columns[-1]
    figure, ((axis,),) = panels(1, 1, (WIDTH, 0.4 * len(results) + 1))
    sns.stripplot(x=100 * dots[score], y=dots.variant, color="0.2", size=4, alpha=0.6, jitter=False, ax=axis)
    for name, mean in tables.totals(results)[score].items():
        axis.barh(name, mean, color=COLOURS[name], alpha=0.6)
    axis.set(xlabel=f"{score}, % (bar: as in the table, dot: one {per})", ylabel="", xlim=(0, 100))
    return figure


def offset_dots(table: pd.DataFrame) -> Figure:
    """`tables.offsets`: a dot a sequence, right and below of the truth; a box, the middle half of them."""
    figure, (axes,) = panels(1, 2, (WIDTH, 0.35 * table.variant.nunique() + 1), sharex=True, sharey=True)
    for axis, way in zip(axes, ("right, px", "below, px"), strict=True):
        sns.stripplot(table, x=way, y="variant", color="0.2", size=4, alpha=0.6, jitter=False, ax=axis)
        low, middle, high = (table.groupby("variant", sort=False)[way].quantile(q) for q in (0.25, 0.5, 0.75))
        axis.barh(range(len(low)), high - low, left=low, color=BLUE, alpha=0.4)
        axis.plot(middle, range(len(middle)), "|", color=RED, markersize=18, markeredgewidth=2)
        axis.axvline(0, color="0.3", linewidth=1)
        axis.set_ylabel("")
        _bent(axis)
    return figure


def stacked_bars(tables: dict[str, pd.DataFrame], label: str) -> Figure:
    """One panel a table (title -> table), one bar a row with a part for every column."""
    height = 0.3 * max(map(len, tables.values())) + 1
    figure, (axes,) = panels(1, len(tables), (WIDTH, height), sharex=True, sharey=True)
    for axis, (of, table) in zip(axes, tables.items(), strict=True):
        table.plot.barh(stacked=True, width=0.7, ax=axis, legend=False, title=of, xlabel=label, ylabel="")
    name_rows(axes[0], list(table.index))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def paired_differences(table: pd.DataFrame, score: str, full: str, others: Sequence[str]) -> Figure:
    """Per sequence, `full` minus each of `others`, a panel each; `table` has columns sequence, variant and `score`."""
    wide = 100 * table.pivot(index="sequence", columns="variant", values=score)
    figure, (axes,) = panels(1, len(others), (WIDTH, 0.135 * len(wide) + 0.9), sharex=True)
    for axis, other in zip(axes, others, strict=True):
        difference = (wide[full] - wide[other]).sort_values()
        axis.barh(difference.index, difference, color=[BLUE if d > 0 else RED for d in difference])
        axis.margins(y=0.01)
        axis.axvline(0, color="0.3", linewidth=1)
        axis.axvline(difference.mean(), color="0.3", linewidth=1, linestyle="--")
        axis.set(title=f"{full} minus {other}", xlabel="difference, points", ylabel="")
        axis.tick_params(axis="y", labelsize=8)
        axis.grid(False, axis="y")
    return figure


def _interval(axis: Axes, row: pd.Series, at: float, along: str, **dot: Any) -> None:
    """A `bootstrap.summary` as a dot with a bar along "x" or "y", at a place of the other; hollow: the reference's."""
    bounds = [[row.difference - row.low], [row.high - row.difference]] if np.isfinite(row.low) else None
    xy = (row.difference, at) if along == "x" else (at, row.difference)
    inside = {"markerfacecolor": "white"} if row.origin == "reference" else {}
    axis.errorbar(*xy, **{f"{along}err": bounds}, fmt="o", markersize=5, **inside, **dot)


def interval_figure(table: pd.DataFrame) -> Figure:
    """`report.differences` with their intervals, one line a comparison and task; hollow: of the reference."""
    comparisons, tasks = list(table.comparison.unique()), list(table.task.unique())
    figure, ((axis,),) = panels(1, 1, (WIDTH, 1 + (0.1 * len(tasks) + 0.08) * len(comparisons)))
    colours = dict(zip(tasks, PALETTE, strict=False))
    for _, row in table.iterrows():
        y = comparisons.index(row.comparison) + 0.8 * (tasks.index(row.task) + 0.5) / len(tasks) - 0.4
        _interval(axis, row, y, "x", color=colours[row.task])
    for task, colour in colours.items():
        axis.plot([], [], "o-", color=colour, label=task)
    axis.axvline(0, color="grey", linewidth=1)
    axis.set(xlabel="difference, points")
    if table.difference.abs().max() > 20:  # the small ones are to be seen beside it
        _bent(axis)
    name_rows(axis, comparisons)
    axis.grid(False, axis="y")
    figure.legend(loc="outside upper right", ncols=len(tasks), frameon=False)
    return figure


def strength_figure(table: pd.DataFrame, stay: str) -> Figure:
    """`teacher_curve.curve`: gain over label error, a panel a weight, stronger to the right; dotted: that of `stay`."""
    weights, colours = table.groupby("weight", sort=False), dict(zip(table.teacher.unique(), PALETTE, strict=False))
    figure, (panel,) = panels(1, weights.ngroups, (WIDTH, 3.6), sharex=True, sharey=True)
    for axis, (weight, some) in zip(panel, weights, strict=True):
        for _, row in some.iterrows():
            _interval(axis, row, 100 * row["label error"], "y", color=colours[row.teacher], label=row.teacher)
        axis.axhline(0, color="grey", linewidth=1)
        axis.axvline(100 * some[stay].mean(), color="grey", linestyle=":")
        axis.set(title=weight, xlabel="label error of the teacher, %")
    panel[0].set_ylabel("gain in J&F, points")
    panel[0].invert_xaxis()  # shared
    figure.legend(*panel[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def sensitivity_figure(table: pd.DataFrame) -> Figure:
    """J&F-Mean over the values of a setting, a line a variant; grey: the first one's clips; dotted: the profile's."""
    values = [f"{value:g}" if isinstance(value, float) else str(value) for value in table.value]
    table = table.assign(**{"value": values, "J&F": 100 * table["J&F"]})
    variant = table.variant.iloc[0]
    figure, axes = spread(table.axis.nunique(), 0.85, sharey=True)
    for panel, (axis, some) in zip(axes, table.groupby("axis", sort=False), strict=True):
        single, grey = some[some.variant == variant], {"color": "0.82", "linewidth": 0.8}
        sns.lineplot(single, x="value", y="J&F", units="sequence", estimator=None, ax=panel, **grey)
        averages = {"hue": "variant", "palette": COLOURS, "marker": "o", "legend": panel is axes[0]}
        sns.lineplot(means(some), x="value", y="J&F-Mean", ax=panel, **averages)
        panel.axvline(single[single.own].value.iloc[0], color="0.5", linewidth=1, linestyle=":")
        panel.set(title=axis, xlabel="", ylabel="J&F-Mean")
        panel.margins(x=0.12)  # or the outer values of two panels would run into each other
        panel.grid(False, axis="x")
    axes[0].plot([], [], color="0.82", label=f"single clips, {variant}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)
    axes[0].get_legend().remove()
    return figure
