"""Figures of the book, in one style."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from stt_core.labels import read_mask
from stt_core.pictures import read_image
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.video.drawing import blended

PALETTE_NAME = "colorblind"


def style() -> None:
    """One look for every figure: colour-blind-safe, on white so that it reads in a dark theme too; tables show texts whole."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE_NAME)
    plt.rcParams.update({"figure.dpi": 110, "savefig.bbox": "tight", "image.interpolation": "nearest"})
    pd.set_option("display.max_colwidth", None)


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
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="constrained")
    for r, row in enumerate(rows):
        for c in range(columns):
            axis = axes[r, c]
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            sns.despine(ax=axis, left=True, bottom=True)
            if c < len(row):
                axis.imshow(row[c], **imshow)
            if r == 0 and c < len(column_titles):
                axis.set_title(column_titles[c], fontsize=9)
            if c == 0 and r < len(row_titles):
                axis.set_ylabel(row_titles[r], fontsize=9)
    return figure


def strips(sequence: Sequence, results: dict[str, dict], count: int = 6) -> Figure:
    """A sequence of `datasets` over time: its annotation in the first row, then the masks of each of `Study.results`."""
    masks = {way: Path(found["path"]).parent / "masks" / sequence.name for way, found in results.items()}
    times = np.linspace(0, len(sequence.frames) - 1, count).round().astype(int)
    images = [read_image(sequence.frames[t]) for t in times]
    rows = [[read_sequence_mask(sequence, t) for t in times]]
    rows += [[read_mask(folder / f"{sequence.frames[t].stem}.png") for t in times] for folder in masks.values()]
    drawn = [
        [blended(image, np.where(ids == 255, 0, ids)) for image, ids in zip(images, row, strict=True)] for row in rows
    ]
    return image_grid(drawn, ["annotation", *masks], [f"frame {t}" for t in times])


def training_curves(runs: dict[str, pd.DataFrame], columns: Sequence[str], smooth: int = 25) -> Figure:
    """One panel a column of `metrics.csv`, two or three side by side, one line a run, each a running mean over `smooth` steps."""
    across = min(len(columns), 2 if len(columns) == 4 else 3)
    down = -(-len(columns) // across)
    figure, axes = plt.subplots(down, across, figsize=(3.4 * across, 2.7 * down), squeeze=False, layout="constrained")
    for axis in axes.flat[len(columns) :]:
        axis.set_axis_off()
    for axis, column in zip(axes.flat, columns, strict=False):
        # A run keeps its colour where another has no such column.
        for colour, (name, metrics) in zip(sns.color_palette(PALETTE_NAME), runs.items(), strict=False):
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
    sns.barplot(table, x=score, y=by, errorbar=None, color=sns.color_palette(PALETTE_NAME)[0], alpha=0.55, ax=axis)
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
    palette = sns.color_palette(PALETTE_NAME)
    size = (1.5 + 4.2 * len(others), 0.26 * len(wide) + 1.1)
    figure, axes = plt.subplots(1, len(others), figsize=size, squeeze=False, layout="constrained", sharex=True)
    for axis, other in zip(axes[0], others, strict=True):
        difference = (wide[full] - wide[other]).sort_values()
        axis.barh(difference.index, difference, color=[palette[0] if d > 0 else palette[3] for d in difference])
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
    colours = dict(zip(tasks, sns.color_palette(PALETTE_NAME), strict=False))
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
    colours = dict(zip((False, True), sns.color_palette(PALETTE_NAME), strict=False))
    figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
    for axis, metric in zip(axes, ("mIoU", "PCK@0.1"), strict=True):
        if metric in wide:
            for i, row in enumerate(wide.dropna(subset=["J&F-Mean", metric]).sort_values(metric).itertuples()):
                x, y = row[list(wide).index("J&F-Mean") + 1], row[list(wide).index(metric) + 1]
                axis.plot(x, y, "D" if row.own else "o", color=colours[row.own], markersize=6)
                size = row.backbone.replace("ResNet-", " R") if "50" in str(row.backbone) else ""
                side = (
                    {"xytext": (5, 2), "ha": "left"} if i % 2 else {"xytext": (-5, 2), "ha": "right"}
                )  # or they overlap
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
    figure, axes = plt.subplots(1, count + 1, figsize=(3.2 * (count + 1), 2.5), layout="constrained")
    axes[0].imshow(left)
    axes[0].set_title("left image", fontsize=9)
    for axis, (name, table) in zip(axes[1:], matches.items(), strict=True):
        grid = table.pivot(index="y", columns="x", values="error")
        drawn = axis.imshow(grid, vmin=0, vmax=limit, cmap="viridis")
        axis.set_title(name, fontsize=9)
    figure.colorbar(drawn, ax=axes[-1], label="error (px)", shrink=0.8)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
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
