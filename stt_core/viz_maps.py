"""Figures of what was learned: measures with intervals, where a point is found, how sure a match is, parts elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from stt_core import datasets
from stt_core.across_videos import KINDS, Cells, nearest_cells, part_cells
from stt_core.losses import entropy_map
from stt_core.retention import cell_of, central_pixel, chosen_clips, coverage, looks, pair_times, point_map
from stt_core.study import Study
from stt_core.variants import title
from stt_core.viz import PALETTE_NAME

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


def _examples(study: Study, task: str, count: int) -> list[datasets.Sequence]:
    clips = chosen_clips(study, task)
    return [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int))]


def point_examples(study: Study, sources: dict[str, str], task: str = "davis", count: int = 3) -> list[MapExample]:
    """`point_map` of a point of frame 0 over the frame after two thirds of the clip, for up to `count` clips.

    The clips are evenly spread over the list, the object is the largest in frame 0 of those that both frames show, the
    point and the star its `central_pixel` in either frame: nothing is chosen by how it comes out. Clips without such an
    object are left out.
    """
    students = {title(name): looks(study, weights, task) for name, weights in sources.items()}
    inference, found = getattr(study.profile.evaluation, task), []
    for clip in _examples(study, task, count):
        t = pair_times(len(clip.frames))[-1]
        first, now = (datasets.read_sequence_mask(clip, i) for i in (0, t))
        both = {*np.unique(first).tolist()} & {*np.unique(now).tolist()} - {0, 255}
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
        images = [datasets.read_image(clip.frames[i]) for i in (0, t)]
        ids = [(mask == k).astype(np.uint8) for mask in (first, now)]
        found.append(MapExample(f"{clip.name}, frame {t}", *images, *ids, point, star, maps, notes))
    return found


def entropy_examples(study: Study, sources: dict[str, str], task: str = "davis", count: int = 3) -> list[MapExample]:
    """`entropy_map` of the coarse level on a pair of neighbours, after two thirds of up to `count` clips."""
    students = {title(name): looks(study, weights, task) for name, weights in sources.items()}
    found = []
    for clip in _examples(study, task, count):
        t = pair_times(len(clip.frames))[-1]
        maps = {}
        for name, see in students.items():
            later, earlier = (see(clip.frames[i])["coarse"][None] for i in (t, t - 1))
            maps[name] = entropy_map(later, earlier, study.profile.temporal.radius_coarse)[0]
        images = [datasets.read_image(clip.frames[i]) for i in (t - 1, t)]
        ids = [datasets.read_sequence_mask(clip, i) for i in (t - 1, t)]
        notes = {name: f"mean {values.mean():.2f} nats" for name, values in maps.items()}
        found.append(MapExample(f"{clip.name}, frame {t}", *images, *ids, None, None, maps, notes))
    return found


def _grid(examples: Sequence[MapExample], first: str, second: str) -> tuple[Figure, np.ndarray]:
    """A row an example: both frames with their objects outlined, then room for the maps."""
    columns = 2 + len(examples[0].maps)
    height = WIDTH / columns * max(e.image.shape[0] / e.image.shape[1] for e in examples) + 0.42
    size = (WIDTH, height * len(examples) + 0.3)
    figure, axes = plt.subplots(len(examples), columns, figsize=size, squeeze=False, layout="constrained")
    for row, example in zip(axes, examples, strict=True):
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            sns.despine(ax=axis, left=True, bottom=True)
        for axis, image, ids in ((row[0], example.start, example.start_ids), (row[1], example.image, example.ids)):
            axis.imshow(image)
            _outlines(axis, ids)
        row[1].set_xlabel(example.name, fontsize=8)
    for axis, name in zip(axes[0], (first, second, *examples[0].maps), strict=True):
        axis.set_title(name.replace(" ", "\n", 1), fontsize=9)
    return figure, axes


def _outlines(axis: Axes, ids: np.ndarray) -> None:
    """White outlines with a dark rim, which read on any ground."""
    if (ids > 0).any() and (ids == 0).any():
        for width, colour in ((2.2, "black"), (1.0, "white")):
            axis.contour(ids > 0, levels=[0.5], colors=colour, linewidths=width)


def point_figure(examples: Sequence[MapExample]) -> Figure:
    """Heat: where the point of the first column is found, each map to its own maximum; the star is where it should be."""
    figure, axes = _grid(examples, "point in frame 0", "later frame")
    mark = {"markeredgecolor": "black", "markeredgewidth": 0.8, "linestyle": ""}
    orange = sns.color_palette(PALETTE_NAME)[1]
    for row, example in zip(axes, examples, strict=True):
        row[0].plot(*example.point, marker="o", markersize=7, color=orange, **mark)
        row[1].plot(*example.star, marker="*", markersize=11, color=orange, **mark)
        grey = cv2.cvtColor(example.image, cv2.COLOR_RGB2GRAY)
        for axis, (name, values) in zip(row[2:], example.maps.items(), strict=True):
            heat = _upsampled(values / values.max(), grey.shape)
            axis.imshow(grey, cmap="gray", vmin=0, vmax=400)  # dimmed: heat is to stand out
            axis.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.25 + 0.75 * heat)
            axis.plot(*example.star, marker="*", markersize=8, color="white", **mark)
            axis.set_xlabel(example.notes[name], fontsize=8)
    return figure


def entropy_figure(examples: Sequence[MapExample], radius: int) -> Figure:
    """Entropy of every cell's match, one scale for all, whose top is a flat map over the window; dark = sure."""
    figure, axes = _grid(examples, "earlier frame", "later frame")
    scale = PowerNorm(0.4, vmin=0, vmax=2 * np.log(2 * radius + 1))  # most of it happens near 0
    for row, example in zip(axes, examples, strict=True):
        height, width = example.image.shape[:2]
        for axis, (name, values) in zip(row[2:], example.maps.items(), strict=True):
            drawn = axis.imshow(values, cmap="viridis", norm=scale, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
            _outlines(axis, example.ids)
            axis.set_xlabel(example.notes[name], fontsize=8)
    ticks = [0, 0.01, 0.1, 0.5, 1, 2, float(scale.vmax)]
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="entropy (nats)", ticks=ticks, format="{x:.3g}", aspect=30)
    return figure


def _upsampled(values: Tensor, size: tuple[int, int]) -> np.ndarray:
    return F.interpolate(values[None, None], size=size, mode="bilinear")[0, 0].clamp(0, 1).numpy()


def measures_figure(summaries: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """One panel a measure: mean of every variant and its 95 % interval over clips; dashed: by chance.

    Args:
        summaries: as `learned.summaries` gives them.
        titles: measure -> what the axis is called.
    """
    variants = list(dict.fromkeys(summaries.variant))
    size = (2.9 * len(titles) + 1.6, 0.3 * len(variants) + 1.1)
    figure, axes = plt.subplots(1, len(titles), figsize=size, squeeze=False, sharey=True, layout="constrained")
    colours = sns.color_palette(PALETTE_NAME)
    for axis, (measure, label) in zip(axes[0], titles.items(), strict=True):
        for y, variant in enumerate(variants):
            row = summaries[(summaries.variant == variant) & (summaries.measure == measure)].iloc[0]
            if np.isfinite(row.low):
                axis.plot([row.low, row.high], [y, y], color=colours[0], linewidth=2)
            axis.plot(row["mean"], y, "o", color=colours[0], markersize=6)
        chance = summaries[summaries.measure == measure].chance.mean()
        if np.isfinite(chance):
            axis.axvline(chance, color=colours[1], linestyle="--", linewidth=1.3)
        axis.set_yticks(range(len(variants)), variants)
        axis.set(xlabel=label, ylim=(len(variants) - 0.5, -0.5))
        axis.grid(False, axis="y")
        axis.locator_params(axis="x", nbins=5)
    return figure


def parts_figure(study: Study, sources: dict[str, str], count: int = 2, columns: int = 6) -> list[Figure]:
    """For `count` query cells, a row a variant: the most similar cell of every other clip, most similar first.

    Queries are the cells nearest to the middle of the commonest part of evenly spread clips, each of another part where
    there is one. Frames are blue where the part is the same, dashed orange where it is not. No figure without other clips.
    """
    cells = {title(name): part_cells(study, weights) for name, weights in sources.items()}
    clips, figures, taken = next(iter(cells.values())), [], set()
    for i in np.unique(np.linspace(0, len(clips) - 1, count + 1).round().astype(int))[:count]:
        own = clips[i]
        counts = own.parts.bincount(minlength=2)
        counts[[0, *taken]] = 0 if (counts[1:] > 0).sum() > len(taken) else counts[[0, *taken]]
        if not counts.any() or not any((c.parts > 0).any() for j, c in enumerate(clips) if j != i):
            continue
        part = int(counts.argmax())
        taken.add(part)
        index = ((own.parts == part) & (own.places[:, 0] == own.places[own.parts == part][0, 0])).nonzero()[:, 0]
        middle = own.places[index, 1:].double()
        query = int(index[(middle - middle.mean(dim=0)).square().sum(dim=1).argmin()])
        figures.append(_parts_figure(cells, int(i), query, columns))
    return figures


def _parts_figure(cells: dict[str, list[Cells]], i: int, query: int, columns: int) -> Figure:
    found = {}
    for name, clips in cells.items():
        features = clips[i].features[query]
        others = [c for j, c in enumerate(clips) if j != i and (c.parts > 0).any()]
        best = [(other, int(nearest_cells(features[None], other)[KINDS[0]])) for other in others]
        found[name] = sorted(best, key=lambda b, f=features: -float(b[0].features[b[1]] @ f))[:columns]
    columns = max(map(len, found.values()))
    figure, axes = plt.subplots(
        len(found), 1 + columns, figsize=(1.15 * (columns + 2), 1.3 * len(found)), squeeze=False, layout="constrained"
    )
    blue, orange = sns.color_palette(PALETTE_NAME)[:2]
    for row, (name, best) in zip(axes, found.items(), strict=True):
        part = int(cells[name][i].parts[query])
        row[0].set_ylabel(name.replace(" ", "\n", 1), fontsize=9, rotation=0, ha="right", va="center")
        for axis, (clip, cell) in zip(row, [(cells[name][i], query), *best], strict=True):
            same = int(clip.parts[cell]) == part
            axis.imshow(_patch(clip, cell))
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            first = axis is row[0]
            for spine in axis.spines.values():
                spine.set(color="0.2" if first else blue if same else orange, linewidth=3, visible=True)
                spine.set_linestyle("-" if first or same else (0, (2, 1)))
            number = int(clip.parts[cell])
            axis.set_xlabel(f"part {number}" if number else "background", fontsize=8, labelpad=2)
    axes[0, 0].set_title(f"query\n{cells[name][i].sequence.name}", fontsize=9)
    axes[0, 1].set_title("most similar cells of other clips", fontsize=9, loc="left")
    return figure


def _patch(clip: Cells, cell: int) -> np.ndarray:
    """The surroundings of a cell, cut out of its frame, with a mark on the cell."""
    t, row, column = clip.places[cell].tolist()
    image = datasets.read_image(clip.sequence.frames[t])
    half = max(4, round(PATCH * min(image.shape[:2])))
    y, x = (round((i + 0.5) * size / n) for i, size, n in zip((row, column), image.shape[:2], clip.grid, strict=True))
    patch = cv2.copyMakeBorder(image, half, half, half, half, cv2.BORDER_REPLICATE)[y : y + 2 * half, x : x + 2 * half]
    patch = cv2.resize(patch, (96, 96), interpolation=cv2.INTER_CUBIC)
    for radius, shade in ((7, 0), (5, 255)):
        cv2.circle(patch, (48, 48), radius, (shade,) * 3, 2, cv2.LINE_AA)
    return patch
