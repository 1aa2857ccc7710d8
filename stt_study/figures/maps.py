"""Figures of what was learned: measures, where a point is found, how sure a match is, parts in other videos."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from stt_core.losses import entropy_map
from stt_core.pictures import read_image
from stt_study.analysis.parts_across_videos import KINDS, Cells, nearest_cells, part_cells
from stt_study.analysis.retention import (
    Look,
    cell_of,
    central_pixel,
    chosen_clips,
    coverage,
    looks,
    pair_times,
    point_map,
)
from stt_study.benchmarks import labelled_videos
from stt_study.evenly import evenly
from stt_study.figures.viz import BLUE, ORANGE, bare, mark, object_ids, panels
from stt_study.study import Study
from stt_study.variants import title
from stt_study.video.given import inner_points

WIDTH = 14.0  # inches, of a grid of maps
PATCH = 0.11  # half the width of a patch, of the frame's short side


@dataclass(frozen=True)
class MapExample:
    """A frame of a clip and, of every variant, a map over it.

    Attributes:
        name: such as "test-02 00016".
        start: the frame before, (H, W, 3) uint8; `ids` and `start_ids` the frames' objects (H, W).
        point, star: (x, y) px, the chosen point in `start` and its object's in `image`; None where there is none.
        maps: title -> (h, w). notes: title -> one line for below.
    """

    name: str
    start: np.ndarray
    image: np.ndarray
    start_ids: np.ndarray
    ids: np.ndarray
    point: tuple[int, int] | None
    star: tuple[int, int] | None
    maps: dict[str, Tensor]
    notes: dict[str, str]


def _examples(study: Study, task: str, count: int) -> list[labelled_videos.Sequence]:
    clips = chosen_clips(study, task)
    return evenly(clips, count)


def networks(study: Study, sources: dict[str, str], task: str = "davis") -> dict[str, Look]:
    """Title -> `retention.looks`; a frame that two figures show is then seen once."""
    return {title(name): looks(study, weights, task) for name, weights in sources.items()}


def point_examples(study: Study, students: dict[str, Look], task: str = "davis", count: int = 3) -> list[MapExample]:
    """`point_map` of a point of frame 0 over the frame after two thirds of the clip, for up to `count` clips.

    The clips are evenly spread over the list, the object is the largest in frame 0 of those that both frames show, the
    point and the star its `central_pixel` in either frame: nothing is chosen by how it comes out. Clips without such an
    object are left out.
    """
    inference, found = getattr(study.profile.evaluation, task), []
    for clip in _examples(study, task, count):
        t = pair_times(len(clip.frames))[-1]
        first, now = (object_ids(clip, i) for i in (0, t))
        both = {*np.unique(first).tolist()} & {*np.unique(now).tolist()} - {0}
        if not both:
            continue
        k = max(both, key=lambda k, first=first: (first == k).sum())
        point, star, maps, notes = central_pixel(first == k), central_pixel(now == k), {}, {}
        for name, see in students.items():
            here, there = (see(clip.frames[i])["res4"] for i in (0, t))
            cell = cell_of(point, first.shape, here.shape[1:])
            inside = coverage((now == k).astype(np.uint8), there.shape[1:])[1]
            maps[name] = point_map(here, cell, there, inference.temperature)
            kept = point_map(here, cell, there, inference.temperature, inference.topk)
            notes[name] = f"{(maps[name] * inside).sum():.0%}, top {inference.topk}: {(kept * inside).sum():.0%}"
        images = [read_image(clip.frames[i]) for i in (0, t)]
        ids = [(mask == k).astype(np.uint8) for mask in (first, now)]
        found.append(MapExample(f"{clip.name}, frame {t}", *images, *ids, point, star, maps, notes))
    return found


def entropy_examples(study: Study, students: dict[str, Look], task: str = "davis", count: int = 3) -> list[MapExample]:
    """`entropy_map` of the coarse level on a pair of neighbours, after two thirds of up to `count` clips."""
    found = []
    for clip in _examples(study, task, count):
        t, maps = pair_times(len(clip.frames))[-1], {}
        for name, see in students.items():
            later, earlier = (see(clip.frames[i])["coarse"][None] for i in (t, t - 1))
            maps[name] = entropy_map(later, earlier, study.profile.temporal.radius_coarse)[0]
        images = [read_image(clip.frames[i]) for i in (t - 1, t)]
        ids = [object_ids(clip, i) for i in (t - 1, t)]
        notes = {name: f"mean {values.mean():.2f} nats" for name, values in maps.items()}
        found.append(MapExample(f"{clip.name}, frame {t}", *images, *ids, None, None, maps, notes))
    return found


def _grid(examples: Sequence[MapExample], first: str, second: str, below: float = 0) -> tuple[Figure, np.ndarray]:
    """A row an example: both frames with their objects outlined, then room for the maps; `below` inches for a scale."""
    columns = 2 + len(examples[0].maps)
    height = WIDTH / columns * max(e.image.shape[0] / e.image.shape[1] for e in examples) + 0.12
    figure, axes = panels(len(examples), columns, (WIDTH, height * len(examples) + 0.3 + below))
    for axis in axes.flat:
        bare(axis)
    for row, example in zip(axes, examples, strict=True):
        for axis, image, ids in ((row[0], example.start, example.start_ids), (row[1], example.image, example.ids)):
            axis.imshow(image)
            _outlines(axis, ids)
        row[1].set_xlabel(example.name, fontsize=8)
    for axis, name in zip(axes[0], (first, second, *examples[0].maps), strict=True):
        axis.set_title(textwrap.fill(name, 13), fontsize=9)
    return figure, axes


def _outlines(axis: Axes, ids: np.ndarray) -> None:
    """White outlines with a dark rim, which read on any ground."""
    if (ids > 0).any() and (ids == 0).any():
        for width, colour in ((2.2, "black"), (1.0, "white")):
            axis.contour(ids > 0, levels=[0.5], colors=colour, linewidths=width)


def point_figure(examples: Sequence[MapExample]) -> Figure:
    """Heat: where the point of the first column is found, each map to its own maximum; star: where it should be."""
    figure, axes = _grid(examples, "point in frame 0", "later frame")
    for row, example in zip(axes, examples, strict=True):
        mark(row[0], example.point, size=7)
        mark(row[1], example.star, "*", 11)
        grey = cv2.cvtColor(example.image, cv2.COLOR_RGB2GRAY)
        for axis, (name, values) in zip(row[2:], example.maps.items(), strict=True):
            heat = F.interpolate((values / values.max())[None, None], size=grey.shape, mode="bilinear")[0, 0].numpy()
            axis.imshow(grey, cmap="gray", vmin=0, vmax=400)  # dimmed: heat is to stand out
            axis.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=(0.25 + 0.75 * heat).clip(max=1))
            mark(axis, example.star, "*", color="white")
            axis.set_xlabel(example.notes[name], fontsize=8)
    return figure


def entropy_figure(examples: Sequence[MapExample], radius: int) -> Figure:
    """Entropy of every cell's match, one scale for all, whose top is a flat map over the window; dark = sure."""
    figure, axes = _grid(examples, "earlier frame", "later frame", below=0.75)
    scale = PowerNorm(0.4, vmin=0, vmax=2 * np.log(2 * radius + 1))  # most of it happens near 0
    for row, example in zip(axes, examples, strict=True):
        height, width = example.image.shape[:2]
        for axis, (name, values) in zip(row[2:], example.maps.items(), strict=True):
            drawn = axis.imshow(values.numpy(), norm=scale, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
            _outlines(axis, example.ids)
            axis.set_xlabel(example.notes[name], fontsize=8)
    of = {"location": "bottom", "shrink": 0.4, "aspect": 40, "ticks": [0, 0.01, 0.1, 0.5, 1, 2, float(scale.vmax)]}
    figure.colorbar(drawn, ax=axes, label="entropy (nats)", format="{x:.3g}", **of)
    return figure


def measures_figure(summaries: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """One panel a measure: mean of every variant and its 95 % interval over clips; dashed: by chance.

    Args:
        summaries: as `against_teacher.summaries` gives them.
        titles: measure -> what the axis is called.
    """
    variants = list(summaries.variant.unique())
    size = (2.9 * len(titles) + 1.6, 0.3 * len(variants) + 1.1)
    figure, (axes,) = panels(1, len(titles), size, sharey=True)
    for axis, (measure, label) in zip(axes, titles.items(), strict=True):
        rows = summaries[summaries.measure == measure].set_index("variant").loc[variants]
        axis.hlines(range(len(rows)), rows.low, rows.high, color=BLUE, linewidth=2)
        axis.plot(rows["mean"], range(len(rows)), "o", color=BLUE, markersize=6)
        chance = rows.chance.mean()
        if np.isfinite(chance):
            axis.axvline(chance, color=ORANGE, linestyle="--", linewidth=1.3)
        axis.set_yticks(range(len(variants)), variants)
        axis.set(xlabel=label, ylim=(len(variants) - 0.5, -0.5))
        axis.grid(False, axis="y")
        axis.locator_params(axis="x", nbins=5)
    return figure


def parts_figures(study: Study, sources: dict[str, str], count: int = 2, columns: int = 6) -> list[Figure]:
    """For each of `count` query cells, a row a variant: the most similar cell of every other clip that has the part.

    Queries are of the parts that most clips have, one part and clip a figure, and lie where the part is widest in the
    clip with most of its cells. Blue frames: the same part; dashed orange: another. No figure for a part of one clip.
    """
    cells = {title(name): part_cells(study, weights, frames=1) for name, weights in sources.items()}
    clips = next(iter(cells.values()))
    counts = np.array([np.bincount(clip.parts, minlength=256) for clip in clips])  # (clips, 256)
    order = sorted(range(1, 256), key=lambda part: (-(counts[:, part] > 0).sum(), -counts[:, part].sum()))
    figures, free = [], np.ones(len(clips), bool)
    for part in [part for part in order if (counts[:, part] > 0).sum() > 1][:count]:
        i = int((counts[:, part] * free).argmax())
        index = (clips[i].parts == part).nonzero()[:, 0]
        if not len(index):
            continue
        free[i] = False
        ids = labelled_videos.read_sequence_mask(clips[i].sequence, int(clips[i].places[0, 0]))
        ((_, x, y),) = inner_points((ids == part).astype(np.uint8))
        middle = torch.tensor(cell_of((x, y), ids.shape, clips[i].grid))
        query = int(index[(clips[i].places[index, 1:] - middle).square().sum(dim=1).argmin()])
        figures.append(_parts_figure(cells, i, query, columns))
    return figures


def _parts_figure(cells: dict[str, list[Cells]], i: int, query: int, columns: int) -> Figure:
    found = {}
    for name, clips in cells.items():
        features = clips[i].features[query]
        others = [clip for j, clip in enumerate(clips) if j != i and (clip.parts == clips[i].parts[query]).any()]
        best = [(clip, int(nearest_cells(features[None], clip)[KINDS[0]])) for clip in others]
        found[name] = sorted(best, key=lambda b, f=features: -float(b[0].features[b[1]] @ f))[:columns]
    columns = max(map(len, found.values()))
    figure, axes = panels(len(found), 1 + columns, (1.15 * (columns + 2), 1.25 * len(found)))
    part = int(clips[i].parts[query])  # the same for every variant
    for row, (name, best) in zip(axes, found.items(), strict=True):
        row[0].set_ylabel(textwrap.fill(name, 13), fontsize=9, rotation=0, ha="right", va="center")
        for axis, (clip, cell) in zip(row, [(cells[name][i], query), *best], strict=True):
            same = int(clip.parts[cell]) == part
            axis.imshow(_patch(clip, cell))
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set(color="0.2" if axis is row[0] else BLUE if same else ORANGE, linewidth=3, visible=True)
                spine.set(linestyle="-" if same else (0, (2, 1.2)), capstyle="butt")
            axis.set_xlabel(f"part {clip.parts[cell]}" if clip.parts[cell] else "background", fontsize=8, labelpad=2)
    for axis, text in zip(axes[0], (f"query\n{clips[i].sequence.name}", "most similar in other clips"), strict=False):
        axis.set_title(text, fontsize=9, loc="left")
    return figure


def _patch(clip: Cells, cell: int) -> np.ndarray:
    """The surroundings of a cell, cut out of its frame, with a mark on the cell."""
    t, row, column = clip.places[cell].tolist()
    image = read_image(clip.sequence.frames[t])
    half = max(4, round(PATCH * min(image.shape[:2])))
    places = (np.array([row, column]) + 0.5) * image.shape[:2] / clip.grid - 0.5
    y, x = places.round().astype(int)
    patch = cv2.copyMakeBorder(image, half, half, half, half, cv2.BORDER_REPLICATE)[y : y + 2 * half, x : x + 2 * half]
    patch = cv2.resize(patch, (96, 96), interpolation=cv2.INTER_CUBIC)
    for width, shade in ((3, 0), (1, 255)):
        cv2.rectangle(patch, (40, 40), (56, 56), (shade,) * 3, width)
    return patch
