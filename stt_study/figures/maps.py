"""Figures of what was learned: where a point is found, how sure a match is."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from stt_core.losses import entropy_map
from stt_core.pictures import read_image
from stt_study.analysis import retention
from stt_study.analysis.retention import Look, chosen_clips, pair_times
from stt_study.evenly import evenly
from stt_study.figures.viz import mark, object_ids, panels, picture
from stt_study.study import Study

EXAMPLES = 3  # clips
WIDTH = 14.0  # inches, of a grid of maps


@dataclass(frozen=True)
class MapExample:
    """Two frames of a clip, outlined `ids` (H, W), `places` (x, y) px of a point, and each network's map (h, w)."""

    name: str
    images: list[np.ndarray]
    ids: list[np.ndarray]
    places: list[tuple[int, int]]
    maps: dict[str, Tensor]
    notes: dict[str, str]


def point_examples(study: Study, students: dict[str, Look]) -> list[MapExample]:
    """`point_map` of the largest object's `central_pixel` in frame 0, over one after two thirds; students by title."""
    found = []
    for clip in evenly(chosen_clips(study, "davis"), EXAMPLES):
        times = 0, pair_times(len(clip.frames))[-1]
        ids = [object_ids(clip, t) for t in times]
        both = sorted({*ids[0].flat} & {*ids[1].flat} - {0})
        if not both:
            continue
        largest = max(both, key=np.bincount(ids[0].flat).__getitem__)
        ids = [(mask == largest).astype(np.uint8) for mask in ids]
        places, maps, notes = [retention.central_pixel(mask > 0) for mask in ids], {}, {}
        for name, see in students.items():
            here, there = (see(clip.frames[t])["res4"] for t in times)
            cell = retention.cell_of(places[0], ids[0].shape, here.shape[1:])
            inside = retention.coverage(ids[1], there.shape[1:])[1]
            maps[name] = retention.point_map(here, cell, there, study.profile.evaluation.davis.temperature)
            notes[name] = f"{(maps[name] * inside).sum():.0%} inside"
        images = [read_image(clip.frames[t]) for t in times]
        found.append(MapExample(f"{clip.name}, frame {times[1]}", images, ids, places, maps, notes))
    return found


def entropy_examples(study: Study, students: dict[str, Look]) -> list[MapExample]:
    """`entropy_map` of the coarse level on a pair of neighbours, after two thirds of up to `EXAMPLES` clips."""
    found = []
    for clip in evenly(chosen_clips(study, "davis"), EXAMPLES):
        t, maps = pair_times(len(clip.frames))[-1], {}
        for name, see in students.items():
            later, earlier = (see(clip.frames[i])["coarse"][None] for i in (t, t - 1))
            maps[name] = entropy_map(later, earlier, study.profile.temporal.radius_coarse)[0]
        images, ids = zip(*((read_image(clip.frames[i]), object_ids(clip, i)) for i in (t - 1, t)), strict=True)
        notes = {name: f"mean {values.mean():.2f} nats" for name, values in maps.items()}
        found.append(MapExample(f"{clip.name}, frame {t}", images, ids, [], maps, notes))
    return found


def _grid(examples: Sequence[MapExample], titles: tuple[str, str], below: float = 0) -> tuple[Figure, np.ndarray]:
    """A row an example: both frames with their objects outlined, then room for the maps; `below` inches for a scale."""
    columns = 2 + len(examples[0].maps)
    height = WIDTH / columns * max(e.images[1].shape[0] / e.images[1].shape[1] for e in examples) + 0.12
    figure, axes = panels(len(examples), columns, (WIDTH, height * len(examples) + 0.3 + below))
    for row, example in zip(axes, examples, strict=True):
        for axis, image, ids in zip(row, example.images, example.ids, strict=False):
            picture(axis, image)
            _outlines(axis, ids)
        row[1].set_xlabel(example.name, fontsize=8)
        for axis, note in zip(row[2:], example.notes.values(), strict=True):
            axis.set_xlabel(note, fontsize=8)
    for axis, name in zip(axes[0], (*titles, *examples[0].maps), strict=True):
        axis.set_title(textwrap.fill(name, 13), fontsize=9)
    return figure, axes


def _outlines(axis: Axes, ids: np.ndarray) -> None:
    """White outlines with a dark rim, which read on any ground."""
    if (ids > 0).any() and (ids == 0).any():
        for width, colour in ((2.2, "black"), (1.0, "white")):
            axis.contour(ids > 0, levels=[0.5], colors=colour, linewidths=width)


def point_figure(examples: Sequence[MapExample]) -> Figure:
    """Heat: where the point of the first column is found, each map to its own maximum; star: where it should be."""
    figure, axes = _grid(examples, ("point in frame 0", "later frame"))
    for row, example in zip(axes, examples, strict=True):
        point, star = example.places
        mark(row[0], point, size=7)
        mark(row[1], star, "*", 11)
        grey = cv2.cvtColor(example.images[1], cv2.COLOR_RGB2GRAY)
        for axis, values in zip(row[2:], example.maps.values(), strict=True):
            heat = F.interpolate((values / values.max())[None, None], size=grey.shape, mode="bilinear")[0, 0].numpy()
            picture(axis, grey, axis.get_title(), cmap="gray", vmin=0, vmax=400)  # dimmed: heat is to stand out
            axis.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=(0.25 + 0.75 * heat).clip(max=1))
            mark(axis, star, "*", color="white")
    return figure


def entropy_figure(examples: Sequence[MapExample], radius: int) -> Figure:
    """Entropy of every cell's match, one scale for all, whose top is a flat map over the window; dark = sure."""
    figure, axes = _grid(examples, ("earlier frame", "later frame"), below=0.75)
    scale = PowerNorm(0.4, vmin=0, vmax=2 * np.log(2 * radius + 1))  # most of it happens near 0
    for row, example in zip(axes, examples, strict=True):
        height, width = example.ids[1].shape
        for axis, values in zip(row[2:], example.maps.values(), strict=True):
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            drawn = picture(axis, values.numpy(), axis.get_title(), norm=scale, extent=extent)
            _outlines(axis, example.ids[1])
    of = {"location": "bottom", "shrink": 0.4, "aspect": 40, "ticks": [0, 0.01, 0.1, 0.5, 1, 2, float(scale.vmax)]}
    figure.colorbar(drawn, ax=axes, label="entropy (nats)", format="{x:.3g}", **of)
    return figure
