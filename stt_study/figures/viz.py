"""One style, and what the book's figures are made of: panels, pictures, videos over time, curves."""

import textwrap
from collections.abc import Sequence
from itertools import cycle
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
from stt_study.variants import VARIANTS, title
from stt_study.video.drawing import blended

PALETTE = sns.color_palette("colorblind")
BLUE, ORANGE, _, RED = PALETTE[:4]
WIDTH = 7.5  # inches of the book's column: a wider figure is shrunk, and its text with it
TIMES = 5  # of a clip over time
METHODS = 4  # over time, at most
_FIRST = ("full", "no_local", "step_one", "step_two", "no_global", "hog", "supervised", "random", "lab", "flow", "copy")
_MANY = cycle([*PALETTE, (0.25, 0.25, 0.25), *sns.color_palette("dark")[1:]])  # without a second blue
COLOURS = dict(zip(map(title, dict.fromkeys((*_FIRST, *VARIANTS))), _MANY, strict=False))
"""Of a method, by its title, in every figure."""
SINCE = "frames since the given mask"


def style() -> None:
    """One look for every figure: colour-blind-safe, on white for a dark theme too; tables show texts whole."""
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 110, "savefig.bbox": "tight"})
    plt.rcParams.update({"image.interpolation": "nearest", "image.cmap": "viridis"})
    pd.set_option("display.max_colwidth", None)


def panels(rows: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches (width, height) and its axes (rows, columns)."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **shared)


def spread(count: int, height: float, **shared: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `count` panels, up to three in a row, and their axes (count,); `height`: a panel's over its width."""
    rows = -(-count // 3)
    across = -(-count // rows)  # four are two rows of two
    figure, axes = panels(rows, across, (WIDTH, WIDTH / across * height * rows), **shared)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, axes.flat[:count]


def picture(axis: Axes, shown: Any, title: str = "", **imshow: Any) -> AxesImage:
    """An image or a map (H, W) with its title; nothing else is left of the axis but its labels."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    sns.despine(ax=axis, left=True, bottom=True)
    axis.set_title(title)
    return axis.imshow(np.asarray(shown), **imshow)


def picture_row(shown: dict[str, Any], bar: str = "", **imshow: Any) -> tuple[Figure, np.ndarray]:
    """Images and maps (by title), in rooms of the first one's shape, and their axes; `bar`: what the maps' scale is."""
    height, width = np.shape(next(iter(shown.values())))[:2]
    figure, axes = spread(len(shown), height / width)
    for axis, (name, image) in zip(axes, shown.items(), strict=True):
        drawn = picture(axis, image, name, **imshow)
    if bar:
        beyond = "max" if drawn.get_array().max() > drawn.norm.vmax else "neither"
        figure.colorbar(drawn, ax=axes, label=bar, shrink=0.6, extend=beyond)
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
            for radius, shade in ((6, (0, 0, 0)), (5, colour.tolist())):
                cv2.circle(image, joint.round().astype(int).tolist(), radius * scale, shade, -1, cv2.LINE_AA)
    return image


def image_grid(
    rows: Sequence[Sequence[np.ndarray]], row_titles: Sequence[str] = (), column_titles: Sequence[str] = ()
) -> Figure:
    """Images in rows and columns."""
    columns = max(len(row) for row in rows)
    height, breadth = rows[0][0].shape[:2]
    cell = (WIDTH - 0.3 * bool(row_titles)) / columns
    size = (WIDTH, (cell * height / breadth + 0.08) * len(rows) + 0.25 * bool(column_titles))
    figure, axes = panels(len(rows), columns, size)
    for cells, row in zip(axes, rows, strict=True):
        for axis, image in zip(cells, row, strict=False):
            picture(axis, image)
        for axis in cells[len(row) :]:
            axis.set_axis_off()
    for axis, name in zip(axes[0], column_titles, strict=False):
        axis.set_title(name)
    for axis, name in zip(axes[:, 0], row_titles, strict=False):
        axis.set_ylabel(textwrap.fill(name, 14))  # a row of video frames is an inch high
    return figure


def labelled(clip: Video | Clip, t: int, found: np.ndarray | None = None) -> np.ndarray:
    """Frame `t` with its annotation, or with what was `found`: ids (H, W) as coloured areas, joints (J, 2) as dots."""
    image = read_image(clip.frames[t])
    if isinstance(clip, Clip):
        a = clip.times.index(t)
        return with_joints(image, np.where(clip.visible[a][:, None], clip.joints[a], -1) if found is None else found)
    return blended(image, object_ids(clip, t) if found is None else found)


def strips(clip: Video | Clip, results: dict[str, dict]) -> Figure:
    """A video after its first frame: the annotation, then what the last `METHODS` of `Study.results` made of it."""
    times, results = _times(clip)[1:], dict([*results.items()][-METHODS:])
    rows = [[labelled(clip, t) for t in times]]
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
    """Mean `score` in percent against `x`, a line each `by`; shaded: 95 % of the mean, where there are sequences."""
    figure, ((axis,),) = panels(1, 1, (WIDTH, 3.4))
    percent = table.assign(**{score: 100 * table[score]})
    palette = COLOURS if by == "variant" else None
    sns.lineplot(percent, x=x, y=score, hue=by, palette=palette, ax=axis, errorbar=("ci", 95), seed=0)
    axis.set(xlabel=label, ylabel=f"{score}, %", ylim=(0, 100))
    axis.get_legend().remove()
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure
