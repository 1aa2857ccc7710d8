"""Figures of the book, in one style."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from stt_core.files import read_json
from stt_core.labels import read_mask
from stt_core.pictures import read_image
from stt_study.analysis.sensitivity import means
from stt_study.benchmarks.labelled_videos import Clip, read_sequence_mask
from stt_study.benchmarks.labelled_videos import Sequence as Video
from stt_study.evenly import evenly
from stt_study.video.follow import blended

PALETTE = sns.color_palette("colorblind")
BLUE, ORANGE, _, RED = PALETTE[:4]
TIMES = 6  # of a clip over time
SMOOTH = 25  # steps
SINCE = "frames since the given mask"


def style() -> None:
    """One look for every figure: colour-blind-safe, on white for a dark theme too; tables show texts whole."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 110, "savefig.bbox": "tight"})
    plt.rcParams.update({"image.interpolation": "nearest", "image.cmap": "viridis"})
    pd.set_option("display.max_colwidth", None)


def panels(rows: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches (width, height) and its axes (rows, columns)."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **shared)


def spread(count: int, across: int, cell: tuple[float, float], **shared: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `count` panels of `cell` inches, `across` in a row, and their axes (count,)."""
    rows = -(-count // across)
    figure, axes = panels(rows, across, (cell[0] * across, cell[1] * rows), **shared)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, axes.flat[:count]


def picture(axis: Axes, shown: Any, title: str = "", **imshow: Any) -> AxesImage:
    """An image or a map (H, W) with its title; nothing else is left of the axis but its labels."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    sns.despine(ax=axis, left=True, bottom=True)
    axis.set_title(title, fontsize=9)
    return axis.imshow(np.asarray(shown), **imshow)


def picture_row(
    shown: dict[str, Any], cell: tuple[float, float] = (1.9, 2.3), bar: str = "", **imshow: Any
) -> tuple[Figure, np.ndarray]:
    """Images and maps (by title) side by side, in cells of so many inches, and their axes; `bar`: the maps' scale."""
    figure, axes = spread(len(shown), len(shown), cell)
    for axis, (title, image) in zip(axes, shown.items(), strict=True):
        drawn = picture(axis, image, title, **imshow)
    if bar:
        figure.colorbar(drawn, ax=axes[-1], label=bar, shrink=0.75)
    return figure, axes


def mark(axis: Axes, xy: tuple[float, float], marker: str = "o", size: float = 8, color: Any = ORANGE) -> None:
    """A point of a picture, with a dark rim."""
    axis.plot(*xy, marker=marker, markersize=size, color=color, markeredgecolor="black", linestyle="")


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Names along the y axis, from top to bottom at 0, 1, 2, …; other panels may share it."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)


def object_ids(sequence: Video, t: int) -> np.ndarray:
    """Annotated ids (H, W) uint8 of a frame, void as background."""
    ids = read_sequence_mask(sequence, t)
    return np.where(ids == 255, 0, ids).astype(np.uint8)


def with_joints(image: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Joints (J, 2) xy px as filled circles over an image (H, W, 3) uint8; missing ones (negative) are left out."""
    image, scale = image.copy(), max(1, image.shape[1] // 240)
    colours = (np.array(sns.color_palette("husl", len(joints))) * 255).astype(int)
    for joint, colour in zip(joints, colours, strict=True):
        if joint.min() >= 0:
            for radius, shade in ((4, (0, 0, 0)), (3, colour.tolist())):
                cv2.circle(image, joint.round().astype(int).tolist(), radius * scale, shade, -1, cv2.LINE_AA)
    return image


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    width: float = 10.0,
) -> Figure:
    """Images in rows and columns, `width` inches wide."""
    columns = max(len(row) for row in rows)
    height, breadth = rows[0][0].shape[:2]
    size = (width, (width / columns * height / breadth + 0.08) * len(rows) + (0.25 if column_titles else 0))
    figure, axes = panels(len(rows), columns, size)
    for cells, row in zip(axes, rows, strict=True):
        for axis, image in zip(cells, row, strict=False):
            picture(axis, image)
        for axis in cells[len(row) :]:
            axis.set_axis_off()
    for axis, title in zip(axes[0], column_titles, strict=False):
        axis.set_title(title, fontsize=9)
    for axis, title in zip(axes[:, 0], row_titles, strict=False):
        axis.set_ylabel(title, fontsize=9)
    return figure


def strips(sequence: Video, results: dict[str, dict]) -> Figure:
    """A sequence over time: its annotation in the first row, then the masks of each of `Study.results`."""
    times = evenly(range(len(sequence.frames)), TIMES)
    images = [read_image(sequence.frames[t]) for t in times]
    rows = [[object_ids(sequence, t) for t in times]]
    for found in results.values():
        folder = Path(found["path"]).parent / "masks" / sequence.name
        rows.append([read_mask(folder / f"{sequence.frames[t].stem}.png") for t in times])
    drawn = [list(map(blended, images, row)) for row in rows]
    return image_grid(drawn, ["annotation", *results], [f"frame {t}" for t in times])


def clips_figure(clips: Sequence[Video | Clip]) -> Figure:
    """Annotated sequences over time, a row each: objects or parts as coloured areas, joints as dots."""

    def annotated(clip: Video | Clip, t: int) -> np.ndarray:
        image = read_image(clip.frames[t])
        has_joints = isinstance(clip, Clip)
        return with_joints(image, clip.joints[t]) if has_joints else blended(image, object_ids(clip, t))

    return image_grid([[annotated(clip, t) for t in evenly(range(len(clip.frames)), TIMES)] for clip in clips])


def joints_figure(clip: Clip, path: Path) -> Figure:
    """A clip over time: its true joints in the first row, in the second those of a benchmark's `joints/CLIP.json`."""
    found = read_json(path)
    found = np.array(found["joints"] if isinstance(found, dict) else found)  # (T, J, 2)
    true = np.where(clip.visible[..., None], clip.joints, -1)  # (A, J, 2)
    chosen = evenly(range(len(clip.times)), TIMES)
    times = [clip.times[a] for a in chosen]
    images = [read_image(clip.frames[t]) for t in times]
    return image_grid([list(map(with_joints, images, row)) for row in (true[chosen], found[times])], ["truth", "found"])


def training_curves(runs: dict[str, pd.DataFrame], columns: Sequence[str]) -> Figure:
    """One panel a column of `metrics.csv`, one line a run, each a running mean over `SMOOTH` steps."""
    figure, axes = spread(len(columns), 2 if len(columns) == 4 else 3, (3.4, 2.7))
    for axis, column in zip(axes, columns, strict=True):
        # A run keeps its colour where another has no such column.
        for colour, (name, metrics) in zip(PALETTE, runs.items(), strict=False):
            if column in metrics:
                smoothed = metrics[column].rolling(SMOOTH, min_periods=1).mean()
                axis.plot(metrics.step, smoothed, color=colour, label=name)
        axis.set(title=column, xlabel="step")
    if len(runs) > 1:
        axes[0].legend(fontsize=8)
    return figure


def score_bars(table: pd.DataFrame, score: str, by: str, per: str) -> Figure:
    """Mean `score` of every `by` as a bar, every `per` (sequence) as a dot, order kept."""
    figure, ((axis,),) = panels(1, 1, (7.5, 0.5 * table[by].nunique() + 1.1))
    sns.barplot(table, x=score, y=by, errorbar=None, color=BLUE, alpha=0.55, ax=axis)
    sns.stripplot(table, x=score, y=by, color="0.2", size=4, alpha=0.6, jitter=False, ax=axis)
    axis.set(xlabel=f"{score} (bar: mean, dot: one {per})", ylabel="", xlim=(0, 1))
    return figure


def score_curves(table: pd.DataFrame, x: str, score: str, by: str, label: str) -> Figure:
    """Mean `score` against `x`, one line each `by`; shaded: 95 % of the mean, where there are several sequences."""
    figure, ((axis,),) = panels(1, 1, (7.5, 3.4))
    sns.lineplot(table, x=x, y=score, hue=by, ax=axis, errorbar=("ci", 95), seed=0)
    axis.set(xlabel=label, ylabel=score, ylim=(0, 1))
    axis.legend(title="", fontsize=8)
    return figure


def offset_dots(table: pd.DataFrame) -> Figure:
    """`tables.offsets_by_sequence`: a dot a sequence, right and below of the truth; a box, the middle half of them."""
    figure, (axes,) = panels(1, 2, (10, 0.42 * table.variant.nunique() + 1.1), sharex=True, sharey=True)
    for axis, way in zip(axes, ("right, px", "below, px"), strict=True):
        sns.stripplot(table, x=way, y="variant", color="0.2", size=4, alpha=0.6, jitter=False, ax=axis)
        low, middle, high = (table.groupby("variant", sort=False)[way].quantile(q) for q in (0.25, 0.5, 0.75))
        axis.barh(range(len(low)), high - low, left=low, color=BLUE, alpha=0.4)
        axis.plot(middle, range(len(middle)), "|", color=RED, markersize=18, markeredgewidth=2)
        axis.axvline(0, color="0.3", linewidth=1)
        axis.set_xscale("symlog", linthresh=10)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_ylabel("")
    return figure


def stacked_bars(tables: dict[str, pd.DataFrame], label: str) -> Figure:
    """One panel a table (title -> table), one bar a row with a part for every column."""
    rows = max(map(len, tables.values()))
    figure, (axes,) = panels(1, len(tables), (1.5 + 4.2 * len(tables), 0.4 * rows + 1.4), sharex=True, sharey=True)
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        table.plot.barh(stacked=True, ax=axis, color=PALETTE[: table.shape[1]], width=0.7, legend=False)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel=label)
        name_rows(axis, table.index)
        axis.grid(False, axis="y")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)
    return figure


def paired_differences(table: pd.DataFrame, score: str, full: str, others: Sequence[str]) -> Figure:
    """Per sequence, `full` minus each of `others`, a panel each; `table` has columns sequence, variant and `score`."""
    wide = table.pivot(index="sequence", columns="variant", values=score)
    figure, (axes,) = panels(1, len(others), (1.5 + 4.2 * len(others), 0.26 * len(wide) + 1.1), sharex=True)
    for axis, other in zip(axes, others, strict=True):
        difference = (wide[full] - wide[other]).sort_values()
        axis.barh(difference.index, difference, color=[BLUE if d > 0 else RED for d in difference])
        axis.axvline(0, color="0.3", linewidth=1)
        axis.axvline(difference.mean(), color="0.3", linewidth=1, linestyle="--")
        axis.set_title(f"{full} minus {other}", fontsize=10)
        axis.set(xlabel=score, ylabel="")
        axis.tick_params(labelsize=9)
    return figure


def interval_figure(table: pd.DataFrame) -> Figure:
    """`report.differences` with their intervals, one line a comparison and task; hollow: of the reference."""
    comparisons, tasks = list(dict.fromkeys(table.comparison)), list(dict.fromkeys(table.task))
    figure, ((axes,),) = panels(1, 1, (8, 1 + (0.16 * len(tasks) + 0.1) * len(comparisons)))
    colours = dict(zip(tasks, PALETTE, strict=False))
    for row in table.itertuples():
        y = comparisons.index(row.comparison) + 0.8 * (tasks.index(row.task) + 0.5) / len(tasks) - 0.4
        colour = colours[row.task]
        if np.isfinite(row.low):
            axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.5)
        inside = "white" if row.origin == "reference" else colour
        axes.plot(row.difference, y, "o", color=colour, markersize=5, markerfacecolor=inside)
    for task, colour in colours.items():
        axes.plot([], [], "o-", color=colour, label=task)
    axes.axvline(0, color="grey", linewidth=1)
    axes.set(xlabel="difference, points")
    name_rows(axes, comparisons)
    axes.grid(False, axis="y")
    figure.legend(loc="outside upper right", ncols=len(tasks), frameon=False)
    return figure


def strength_figure(table: pd.DataFrame, stay: str) -> Figure:
    """`teacher_curve.curve`: gain over label error, a panel a weight, stronger to the right; dotted: that of `stay`."""
    weights = table.groupby("weight", sort=False)
    figure, (panel,) = panels(1, weights.ngroups, (8.5, 3.6), sharex=True, sharey=True)
    for axis, (weight, some) in zip(panel, weights, strict=True):
        for row, colour in zip(some.to_dict(orient="records"), PALETTE, strict=False):
            x = 100 * row["label error"]
            if np.isfinite(row["low"]):
                axis.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1.5)
            inside = "white" if row["origin"] == "reference" else colour
            axis.plot(x, row["difference"], "o", color=colour, markerfacecolor=inside, label=row["teacher"])
        axis.axhline(0, color="grey", linewidth=1)
        axis.axvline(100 * some[stay].mean(), color="grey", linestyle=":")
        axis.set(title=weight, xlabel="label error of the teacher, %", ylabel="gain in J&F, points")
    panel[0].invert_xaxis()  # shared
    figure.legend(*panel[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def growth_figure(growth: pd.DataFrame) -> Figure:
    """`bench.growth_table`: seconds a frame over the cells of the map, and of the window, on logarithmic axes."""
    figure, (axes,) = panels(1, 2, (8.5, 3.4), sharey=True)
    for axis, (of, table) in zip(axes, growth.groupby("of", sort=False), strict=True):
        sns.lineplot(table, x="cells", y="seconds", hue="way", style="way", markers=True, dashes=False, ax=axis, seed=0)
        axis.set(xscale="log", yscale="log", xlabel=f"cells of the {of}", ylabel="seconds a frame")
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter("")
        axis.set_xticks(sorted(table.cells.unique()))
    axes[1].get_legend().remove()
    return figure


def sensitivity_figure(table: pd.DataFrame) -> Figure:
    """J&F-Mean over the values of each setting, a line a variant; grey: the first one's clips; ring: the profile's."""
    names, variants, averages = list(table.axis.unique()), list(table.variant.unique()), means(table)
    figure, axes = spread(len(names), 4, (2.9, 2.65), sharey=True)
    for panel, axis in zip(axes, names, strict=True):
        own = table[(table.axis == axis) & (table.variant == variants[0])]
        values = list(own.value.unique())
        single = own.pivot(index="value", columns="sequence", values="J&F").loc[values]
        panel.plot(range(len(values)), 100 * single.to_numpy(), color="0.82", linewidth=0.8)
        for variant, colour in zip(variants, PALETTE, strict=False):
            some = averages[(averages.axis == axis) & (averages.variant == variant)].set_index("value").loc[values]
            at, y = int(some.own.argmax()), 100 * some["J&F-Mean"].to_numpy()
            panel.plot(y, "o-", color=colour, markersize=4, linewidth=1.8, label=variant)
            panel.plot(at, y[at], "o", color=colour, markersize=9, markerfacecolor="none")
        panel.axvline(at, color="0.5", linewidth=1, linestyle=":")
        shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        panel.set_xticks(range(len(values)), shown, fontsize=9)
        panel.set_xlim(-0.4, len(values) - 0.6)
        panel.set_title(axis, fontsize=10)
        panel.grid(False, axis="x")
    for panel in axes[::4]:
        panel.set_ylabel("J&F-Mean", fontsize=10)
    axes[0].plot([], [], color="0.82", linewidth=0.8, label=f"single clips, {variants[0]}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(variants) + 1, fontsize=9)
    return figure
