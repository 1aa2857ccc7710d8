"""The figure of `sensitivity`: a panel for every setting of propagation."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stt_study.analysis.sensitivity import means
from stt_study.figures.viz import PALETTE, panels

COLUMNS = 4


def sensitivity_figure(table: pd.DataFrame) -> Figure:
    """J&F-Mean over the values of each axis, a line a variant; grey: the first variant's single sequences.

    Values stand at even distances, numbers in their order. The ring and the dotted line mark the profile's own value.

    Args:
        table: as `sensitivity.sensitivity` gives it, or several of them one below the other.
    """
    names, variants, averages = list(table.axis.unique()), list(table.variant.unique()), means(table)
    rows = -(-len(names) // COLUMNS)
    figure, cells = panels(rows, COLUMNS, (11.5, 2.55 * rows + 0.4), sharey=True)
    colours = dict(zip(variants, PALETTE, strict=False))
    for panel, axis in zip(cells.flat, names, strict=False):
        own = table[table.axis == axis]
        values = list(own.value.unique())
        single = own[own.variant == variants[0]].pivot(index="value", columns="sequence", values="J&F").loc[values]
        panel.plot(np.arange(len(values)), 100 * single.to_numpy(), color="0.82", linewidth=0.8, zorder=1)
        for variant in variants:
            some = averages[(averages.axis == axis) & (averages.variant == variant)].set_index("value")
            if some.empty:
                continue
            y = 100 * some["J&F-Mean"].loc[values].to_numpy()
            panel.plot(np.arange(len(values)), y, "o-", color=colours[variant], markersize=4, linewidth=1.8, zorder=3)
            at = values.index(some.index[some.own][0])
            panel.plot(at, y[at], "o", color=colours[variant], markersize=9, markerfacecolor="none", zorder=3)
        panel.axvline(at, color="0.5", linewidth=1, linestyle=":", zorder=2)
        shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        panel.set_xticks(np.arange(len(values)), shown, fontsize=9)
        panel.set_xlim(-0.4, len(values) - 0.6)
        panel.set_title(axis, fontsize=10)
        panel.grid(False, axis="x")
    for panel in cells.flat[len(names) :]:
        panel.set_axis_off()
    for panel in cells[:, 0]:
        panel.set_ylabel("J&F-Mean", fontsize=10)
    for variant, colour in colours.items():
        cells[0, 0].plot([], [], "o-", color=colour, markersize=4, label=variant)
    single = "single clips" if len(variants) == 1 else f"single clips, {variants[0]}"
    cells[0, 0].plot([], [], color="0.82", linewidth=0.8, label=single)
    figure.legend(loc="outside upper right", ncols=len(variants) + 1, frameon=False, fontsize=9)
    return figure
