"""One style, and what the book's figures are made of: panels, pictures, videos over time, curves."""

import textwrap
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
from stt_study.benchmarks.labelled_videos import Clip, read_sequence_mask
from stt_study.benchmarks.labelled_videos import Sequence as Video
from stt_study.evenly import evenly
from stt_study.video.drawing import blended

PALETTE = sns.color_palette("colorblind")
BLUE, ORANGE, _, RED = PALETTE[:4]
TIMES = 6  # of a clip over time
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
    axis.set_title(title, fontsize=10)
    return axis.imshow(np.asarray(shown), **imshow)


def picture_row(
    shown: dict[str, Any], cell: tuple[float, float] = (3.1, 2.9), bar: str = "", **imshow: Any
) -> tuple[Figure, np.ndarray]:
    """Images and maps (by title) in rows of three, cells in inches, and their axes; `bar`: what the maps' scale is."""
    figure, axes = spread(len(shown), min(3, len(shown)), cell)
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
        axis.set_title(title, fontsize=10)
    for axis, title in zip(axes[:, 0], row_titles, strict=False):
        axis.set_ylabel(textwrap.fill(title, 14), fontsize=9)  # a row of video frames is an inch high
    return figure


def labelled(clip: Video | Clip, t: int, found: np.ndarray | None = None) -> np.ndarray:
    """Frame `t` with its annotation, or with what was `found`: ids (H, W) as coloured areas, joints (J, 2) as dots."""
    image = read_image(clip.frames[t])
    if isinstance(clip, Clip):
        a = clip.times.index(t)
        return with_joints(image, np.where(clip.visible[a][:, None], clip.joints[a], -1) if found is None else found)
    return blended(image, object_ids(clip, t) if found is None else found)


def strips(clip: Video | Clip, results: dict[str, dict]) -> Figure:
    """A video over time: its annotation in the first row, then what each of `Study.results` made of it."""
    times, rows = _times(clip), [[labelled(clip, t) for t in _times(clip)]]
    for result in results.values():
        paths = clip.outputs(Path(result["path"]).parent)
        if isinstance(clip, Clip):
            joints = read_json(paths[0])
            found = np.array(joints["joints"] if isinstance(joints, dict) else joints)[times]  # (times, J, 2)
        else:
            found = [read_mask(paths[t]) for t in times]
        rows.append([labelled(clip, t, labels) for t, labels in zip(times, found, strict=True)])
    return image_grid(rows, ["annotation", *results], [f"frame {t}" for t in times])


def clips_figure(clips: Sequence[Video | Clip]) -> Figure:
    """Annotated videos over time, a row each."""
    return image_grid([[labelled(clip, t) for t in _times(clip)] for clip in clips])


def _times(clip: Video | Clip) -> list[int]:
    return evenly(clip.times if isinstance(clip, Clip) else range(len(clip.frames)), TIMES)


def score_curves(table: pd.DataFrame, x: str, score: str, by: str, label: str) -> Figure:
    """Mean `score` against `x`, one line each `by`; shaded: 95 % of the mean, where there are several sequences."""
    figure, ((axis,),) = panels(1, 1, (7.5, 3.4))
    sns.lineplot(table, x=x, y=score, hue=by, ax=axis, errorbar=("ci", 95), seed=0)
    axis.set(xlabel=label, ylabel=score, ylim=(0, 1))
    axis.legend(title="", fontsize=9)
    return figure
