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

from stt_core.labels import read_mask
from stt_core.pictures import read_image
from stt_study.benchmarks.labelled_videos import Clip, read_sequence_mask
from stt_study.benchmarks.labelled_videos import Sequence as Video
from stt_study.evenly import evenly
from stt_study.video.drawing import blended

PALETTE_NAME = "colorblind"
PALETTE = sns.color_palette(PALETTE_NAME)
BLUE, ORANGE, GREEN, RED = PALETTE[:4]


def style() -> None:
    """One look for every figure: colour-blind-safe, on white so that it reads in a dark theme too; tables show texts whole."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE_NAME)
    plt.rcParams.update({"figure.dpi": 110, "savefig.bbox": "tight"})
    plt.rcParams.update({"image.interpolation": "nearest", "image.cmap": "viridis"})
    pd.set_option("display.max_colwidth", None)


def panels(rows: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches (width, height) and its axes (rows, columns)."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **shared)


def bare(axis: Axes) -> None:
    """Leave nothing of an axis but what is drawn, its title and its labels."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    sns.despine(ax=axis, left=True, bottom=True)


def picture(axis: Axes, shown: Any, title: str = "", fontsize: float = 9, **imshow: Any) -> AxesImage:
    """An image or a map (H, W) with its title, and no ticks."""
    bare(axis)
    axis.set_title(title, fontsize=fontsize)
    return axis.imshow(shown, **imshow)


def mark(axis: Axes, xy: tuple[float, float], marker: str = "o", size: float = 8, color: Any = ORANGE) -> None:
    """A point of a picture, with a dark rim."""
    axis.plot(*xy, marker=marker, markersize=size, color=color, markeredgecolor="black", linestyle="")


def object_ids(sequence: Video, t: int) -> np.ndarray:
    """Annotated ids (H, W) uint8 of a frame, void as background."""
    ids = read_sequence_mask(sequence, t)
    return np.where(ids == 255, 0, ids).astype(np.uint8)


def with_joints(image: np.ndarray, joints: np.ndarray, radius: int = 3) -> np.ndarray:
    """Joints (J, 2) xy px as filled circles over an image (H, W, 3) uint8; missing ones (negative) are left out."""
    image = image.copy()
    colours = (np.array(sns.color_palette("husl", len(joints))) * 255).astype(int)
    for (x, y), colour in zip(joints, colours, strict=True):
        if x >= 0 and y >= 0:
            cv2.circle(image, (round(float(x)), round(float(y))), radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(image, (round(float(x)), round(float(y))), radius, colour.tolist(), -1, cv2.LINE_AA)
    return image


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    width: float = 10.0,
    **imshow,
) -> Figure:
    """Images in rows and columns, `width` inches wide; maps (H, W) take `imshow`'s colour map."""
    columns = max(len(row) for row in rows)
    height, breadth = rows[0][0].shape[:2]
    cell = width / columns
    size = (width, (cell * height / breadth + 0.08) * len(rows) + (0.25 if column_titles else 0))
    figure, axes = panels(len(rows), columns, size)
    for axis in axes.flat:
        bare(axis)
    for cells, row in zip(axes, rows, strict=True):
        for axis, image in zip(cells, row, strict=False):
            axis.imshow(image, **imshow)
    for axis, title in zip(axes[0], column_titles, strict=False):
        axis.set_title(title, fontsize=9)
    for axis, title in zip(axes[:, 0], row_titles, strict=False):
        axis.set_ylabel(title, fontsize=9)
    return figure


def strips(sequence: Video, results: dict[str, dict], count: int = 6) -> Figure:
    """A sequence over time: its annotation in the first row, then the masks of each of `Study.results`."""
    times = evenly(range(len(sequence.frames)), count)
    images = [read_image(sequence.frames[t]) for t in times]
    rows = [[object_ids(sequence, t) for t in times]]
    for found in results.values():
        folder = Path(found["path"]).parent / "masks" / sequence.name
        rows.append([read_mask(folder / f"{sequence.frames[t].stem}.png") for t in times])
    drawn = [[blended(image, ids) for image, ids in zip(images, row, strict=True)] for row in rows]
    return image_grid(drawn, ["annotation", *results], [f"frame {t}" for t in times])


def clips_figure(clips: Sequence[Video | Clip], count: int = 6) -> Figure:
    """Annotated sequences over time, a row each: objects or parts as coloured areas, joints as dots."""

    def annotated(clip: Video | Clip, t: int) -> np.ndarray:
        image = read_image(clip.frames[t])
        has_joints = isinstance(clip, Clip)
        return with_joints(image, clip.joints[t]) if has_joints else blended(image, object_ids(clip, t))

    return image_grid([[annotated(clip, t) for t in evenly(range(len(clip.frames)), count)] for clip in clips])


def training_curves(runs: dict[str, pd.DataFrame], columns: Sequence[str], smooth: int = 25) -> Figure:
    """One panel a column of `metrics.csv`, two or three side by side, one line a run, each a running mean over `smooth` steps."""
    across = min(len(columns), 2 if len(columns) == 4 else 3)
    down = -(-len(columns) // across)
    figure, axes = panels(down, across, (3.4 * across, 2.7 * down))
    for axis in axes.flat[len(columns) :]:
        axis.set_axis_off()
    for axis, column in zip(axes.flat, columns, strict=False):
        # A run keeps its colour where another has no such column.
        for colour, (name, metrics) in zip(PALETTE, runs.items(), strict=False):
            if column in metrics:
                smoothed = metrics[column].rolling(smooth, min_periods=1).mean()
                axis.plot(metrics.step, smoothed, color=colour, label=name)
        axis.set(title=column, xlabel="step")
    if len(runs) > 1:
        axes[0, 0].legend(fontsize=8)
    return figure


def score_bars(table: pd.DataFrame, score: str, by: str, per: str) -> Figure:
    """Mean `score` of every `by` as a bar, every `per` (sequence) as a dot, order kept."""
    figure, axis = plt.subplots(figsize=(7.5, 0.5 * table[by].nunique() + 1.1), layout="constrained")
    sns.barplot(table, x=score, y=by, errorbar=None, color=BLUE, alpha=0.55, ax=axis)
    dots(table, x=score, y=by, color="0.2", size=4, jitter=0.18, ax=axis)
    axis.set(xlabel=f"{score} (bar: mean, dot: one {per})", ylabel="", xlim=(0, 1))
    return figure


def dots(table: pd.DataFrame, **how: Any) -> None:
    """seaborn's strip of dots, spread the same way each time: it draws the spread from NumPy's global generator."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    sns.stripplot(table, **how)
    np.random.set_state(before)  # noqa: NPY002


def score_over_time(table: pd.DataFrame, score: str, by: str) -> Figure:
    """Mean `score` against the frame number, one line each `by`; shaded: 95 % of the mean over sequences."""
    figure, axis = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    sns.lineplot(table, x="frame", y=score, hue=by, ax=axis, errorbar=("ci", 95), seed=0)
    axis.set(xlabel="frames since the given mask", ylabel=score, ylim=(0, 1))
    axis.legend(title="", fontsize=8)
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
    """Differences with their intervals, one line a comparison and task; hollow where shown from reference results.

    Args:
        table: columns comparison, task, difference, low, high (points) and origin.
    """
    comparisons, tasks = list(dict.fromkeys(table.comparison)), list(dict.fromkeys(table.task))
    height = 1 + (0.16 * len(tasks) + 0.1) * len(comparisons)  # inches
    figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
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
    axes.set(yticks=range(len(comparisons)), yticklabels=comparisons, xlabel="difference, points")
    axes.set(ylim=(len(comparisons) - 0.5, -0.5))
    axes.grid(False, axis="y")
    figure.legend(loc="outside upper right", ncols=len(tasks), frameon=False)
    return figure


def methods_figure(published: pd.DataFrame, ours: pd.DataFrame) -> Figure:
    """Published methods and this run's as points: parts, and joints, over objects. Stride 8; those with both figures.

    Args:
        published, ours: as `report.published` and `report.benchmark_rows` give them.
    """
    rows = pd.concat([published.assign(own=False), ours.assign(own=True)]).query("stride == '8'")
    rows = rows[rows.metric.isin(["J&F-Mean", "mIoU", "PCK@0.1"]) & (rows.benchmark != "BADJA")]
    rows = rows[~rows.method.str.endswith("rerun")]
    # Real video and the shipped world are both DAVIS's layout: the first is the one of the other tasks' data.
    wide = rows.drop_duplicates(["method", "backbone", "own", "metric"])
    wide = wide.pivot(index=["own", "method", "backbone"], columns="metric", values="value").reset_index()
    colours = {False: BLUE, True: ORANGE}
    figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
    for axis, metric in zip(axes, ("mIoU", "PCK@0.1"), strict=True):
        if metric in wide:
            for i, row in enumerate(wide.dropna(subset=["J&F-Mean", metric]).sort_values(metric).itertuples()):
                x, y = row[list(wide).index("J&F-Mean") + 1], row[list(wide).index(metric) + 1]
                axis.plot(x, y, "D" if row.own else "o", color=colours[row.own], markersize=6)
                size = row.backbone.replace("ResNet-", " R") if "50" in str(row.backbone) else ""
                # Every other one to the left, or they overlap.
                side = {"xytext": (5, 2), "ha": "left"} if i % 2 else {"xytext": (-5, 2), "ha": "right"}
                axis.annotate(f"{row.method}{size}", (x, y), textcoords="offset points", fontsize=7, **side)
        axis.set(xlabel="objects, J&F-Mean", ylabel={"mIoU": "parts, mIoU", "PCK@0.1": "joints, PCK@0.1"}[metric])
        axis.margins(0.2, 0.1)
    for own, name in ((False, "published, on the benchmarks"), (True, "this run, on its own data")):
        axes[0].plot([], [], "D" if own else "o", color=colours[own], label=name)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure


def stereo_figure(left: np.ndarray, matches: dict[str, pd.DataFrame], limit: float = 64.0) -> Figure:
    """The left image beside, for every feature source, where its matches land and how far off, in px up to `limit`."""
    count = len(matches)
    figure, (axes,) = panels(1, count + 1, (3.2 * (count + 1), 2.5))
    picture(axes[0], left, "left image")
    for axis, (name, table) in zip(axes[1:], matches.items(), strict=True):
        drawn = picture(axis, table.pivot(index="y", columns="x", values="error"), name, vmin=0, vmax=limit)
    figure.colorbar(drawn, ax=axes[-1], label="error (px)", shrink=0.8)
    return figure


def growth_figure(bench: dict) -> Figure:
    """Seconds a frame over the cells of the map, and over the cells of the window, on logarithmic axes."""
    growth = pd.DataFrame(bench["growth"])
    growth["window"] = (2 * growth.radius + 1) ** 2
    cells = sorted(growth.cells.unique())
    panels = {
        "cells": growth[growth.radius == bench["settings"]["radius"]],
        "window": growth[growth.cells == cells[len(cells) // 2]],
    }
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), sharey=True, layout="constrained")
    for axis, (x, table) in zip(axes, panels.items(), strict=True):
        sns.lineplot(table, x=x, y="seconds", hue="way", style="way", markers=True, dashes=False, ax=axis, seed=0)
        axis.set(xscale="log", yscale="log", xlabel=f"cells of the {'map' if x == 'cells' else 'window'}")
        axis.set_ylabel("seconds a frame")
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter("")
        axis.set_xticks(sorted(table[x].unique()))
    axes[1].get_legend().remove()
    return figure
