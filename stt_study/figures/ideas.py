"""Pictures of what each loss compares and of how a label is propagated, from this run's own data and networks."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from stt_core import labels
from stt_core.affinity import affinity
from stt_core.color import LAB_SCALE, rgb_to_lab
from stt_core.correlation import correlation, pool_correlation
from stt_core.encoder import STANDARD
from stt_core.losses import selection_mask
from stt_core.pictures import read_image
from stt_core.propagation import Context
from stt_core.spatial import two_views
from stt_core.temporal import LEVELS
from stt_core.training.images import Images
from stt_study.analysis.held_out_pairs import HeldOut, batches
from stt_study.analysis.retention import cell_of, central_pixel, looks, pair_times
from stt_study.benchmarks import labelled_videos
from stt_study.figures.selection import veiled
from stt_study.study import Study
from stt_study.video.drawing import blended

ORANGE, WHITE = "#de8f05", "white"


def _panels(titles: Sequence[str], height: float = 2.3) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(1, len(titles), figsize=(1.9 * len(titles), height), layout="constrained")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure, list(axes)


def _point(axis: Axes, xy: tuple[float, float], marker: str = "o", size: float = 8) -> None:
    axis.plot(*xy, marker=marker, markersize=size, color=ORANGE, markeredgecolor="black", linestyle="")


def views_figure(study: Study, count: int = 5) -> Figure:
    """Images of step one's training (top), and the two views of each that the loss calls the same (below)."""
    settings = study.profile.spatial
    images = Images(study.folder("images"), settings.load_size)
    chosen = np.linspace(0, len(images) - 1, count).astype(int)
    batch = torch.stack([images[(0, int(i))] for i in chosen]).float() / 255  # (B, 3, H, W)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        augment = two_views(settings.size)
        rows = [batch, augment(batch), augment(batch)]
    figure, axes = plt.subplots(3, count, figsize=(1.7 * count, 5.2), layout="constrained")
    for cells, row, title in zip(axes, rows, ("image", "query's view", "key's view"), strict=True):
        for axis, image in zip(cells, row, strict=True):
            axis.imshow(image.permute(1, 2, 0).clamp(0, 1))
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
        cells[0].set_ylabel(title, fontsize=9)
    return figure


def held_out_pair(study: Study, weights: Path) -> tuple[HeldOut, dict[str, Tensor]]:
    """The first held-out pair of frames, and what the losses see of it (`held_out_pairs.levels`)."""
    return next(batches(study, weights, study.profile.temporal.batch))


def reconstruction_figure(study: Study, pair: HeldOut, level: dict[str, Tensor]) -> Figure:
    """The hidden colour of the earlier frame, carried to the later one by the fine and by the coarse correlation."""
    views = pair.views(study.profile.temporal.size)
    lab = LAB_SCALE[1] * rgb_to_lab(views.float() / 255)[:, 1]  # (2, H, W), channel a of both frames
    titles = (
        "reference",
        "its hidden channel",
        "query",
        "carried by the fine level",
        "by the coarse level",
        "the truth",
    )
    figure, axes = _panels(titles)
    carried = []
    for name, stride in (("fine", LEVELS["res3"]), ("coarse", LEVELS["res4"])):
        sampled = lab[0, ::stride, ::stride]
        rebuilt = (level[name][0] @ sampled.reshape(-1, 1)).view(1, 1, *sampled.shape)  # (N, N) (N, 1) -> (h, w)
        carried.append(F.interpolate(rebuilt, size=lab.shape[1:], mode="bilinear")[0, 0])
    most = float(lab.abs().max())
    axes[0].imshow(views[0].permute(1, 2, 0))
    axes[2].imshow(views[1].permute(1, 2, 0))
    for axis, channel in zip((axes[1], *axes[3:]), (lab[0], *carried, lab[1]), strict=True):
        drawn = axis.imshow(channel, cmap="PRGn_r", vmin=-most, vmax=most)
    figure.colorbar(drawn, ax=axes[-1], label="a of Lab", shrink=0.75)
    return figure


def local_figure(study: Study, pair: HeldOut, level: dict[str, Tensor]) -> Figure:
    """Entropy and the queries that it selects; then one of them: the fine level's target and the coarse correlation."""
    views, settings = pair.views(study.profile.temporal.size), study.profile.temporal
    entropy = level["entropy"][0]  # (h, w)
    height, width = entropy.shape
    order = entropy.flatten().argsort()
    query = int(order[int(0.9 * (len(order) - 1))])  # an uncertain one: the others' rows are a single cell
    target = pool_correlation(level["fine"], 2 * height, 2 * width)[0, query].view(height, width)
    coarse = level["coarse"][0, query].view(height, width)
    titles = (
        "query frame",
        "entropy of its matches",
        "selected queries",
        "target, from the fine level",
        "coarse correlation",
    )
    figure, axes = _panels(titles)
    later = views[1].permute(1, 2, 0).contiguous().numpy()
    axes[0].imshow(later)
    figure.colorbar(axes[1].imshow(entropy, cmap="viridis"), ax=axes[1], label="nats", shrink=0.75)
    axes[2].imshow(veiled(later, selection_mask(entropy[None], settings.local.share)[0].float()))
    top = float(max(target.max(), coarse.max()))
    for axis, row in zip(axes[3:], (target, coarse), strict=True):
        drawn = axis.imshow(row, cmap="viridis", vmin=0, vmax=top)
    figure.colorbar(drawn, ax=axes[4], label="probability", shrink=0.75)
    stride, (y, x) = LEVELS["res4"], divmod(query, width)
    _point(axes[0], ((x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5))
    for axis in (axes[1], *axes[3:]):
        _point(axis, (x, y), size=5)
    return figure


def global_figure(study: Study, pair: HeldOut, students: dict[str, str]) -> Figure:
    """Both frames, and the whole correlation of their coarsest maps: the teacher's, and what each student makes of it.

    A row is a cell of the later frame, a column one of the earlier, both read line by line.

    Args:
        students: title -> weights.
    """
    views = pair.views(study.profile.temporal.size)
    maps = {"teacher": looks(study, str(study.teacher), "davis", STANDARD)}
    maps |= {name: looks(study, weights, "davis") for name, weights in students.items()}
    found = {}
    for name, look in maps.items():
        query, reference = (look(pair.sequence.frames[i])["res5"][None] for i in (pair.t, pair.t - 1))
        temperature = study.profile.temporal.teacher_temperature if name == "teacher" else None
        found[name] = correlation(query, reference, temperature=temperature)[0]  # (N, N)
    errors = {name: (matrix - found["teacher"]).square().mean().item() for name, matrix in found.items()}
    titles = [name + (f"\nerror {errors[name]:.1g}" if name in students else "\n") for name in found]
    figure, axes = _panels(["reference\n", "query\n", *titles])
    for axis, view in zip(axes, views, strict=False):
        axis.imshow(view.permute(1, 2, 0))
    for axis, matrix in zip(axes[2:], found.values(), strict=True):
        drawn = axis.imshow(matrix, cmap="viridis", norm=PowerNorm(0.35, 0, 1))
    figure.colorbar(drawn, ax=axes[-1], label="probability", shrink=0.75, ticks=(0, 0.01, 0.1, 0.5, 1))
    return figure


def propagation_figure(study: Study, weights: str) -> Figure:
    """One cell of a later frame and the context cells that vote for its label, each as large as its vote."""
    inference, sequence = study.profile.evaluation.davis, study.sequences("davis")[0]
    look, last = looks(study, weights, "davis"), pair_times(len(sequence.frames))[-1]
    features = [look(path)["res4"] for path in sequence.frames[: last + 1]]
    first = labelled_videos.read_sequence_mask(sequence, 0)
    first = np.where(first == 255, 0, first)
    grid = features[0].shape[1:]
    context = Context(**inference.propagation())
    context.put(0, features[0], labels.to_grid(labels.one_hot(first, int(first.max())), grid, "nearest"))
    found = [first, *(labels.decode_masks(context.propagate(t, features[t]), first.shape) for t in range(1, last + 1))]

    begin = max(last - inference.num_preceding, 1)
    frames = [0, *range(begin, last)]
    cells = [
        F.normalize(features[t].float(), dim=0).permute(1, 2, 0).contiguous() for t in (*frames, last)
    ]  # (h, w, C)
    how = {"radius": inference.radius, "topk": inference.topk, "temperature": inference.temperature}
    how |= {"window": inference.window, "first_windowed": inference.first_windowed}
    twice = inference.first_twice and last <= inference.num_preceding
    indices, votes = affinity(cells[-1], torch.stack(cells[:-1]), first_twice=twice, **how)
    given = found[last]
    inside = given == np.bincount(given[given > 0], minlength=2).argmax() if (given > 0).any() else given == 0
    row, column = cell_of(central_pixel(inside), first.shape, grid)
    index, vote = indices[:, row * grid[1] + column].tolist(), votes[:, row * grid[1] + column].tolist()
    sums: dict[int, float] = {}  # a cell of a frame that counts twice has two votes
    for i, v in zip(index, vote, strict=True):
        sums[i] = sums.get(i, 0.0) + v
    by_frame: dict[int, list[tuple[int, int, float]]] = {}
    for i, v in sums.items():
        t, cell = divmod(i, grid[0] * grid[1])
        by_frame.setdefault(frames[t], []).append((*divmod(cell, grid[1]), v))
    most = sorted(by_frame, key=lambda t: -sum(v for *_, v in by_frame[t]))[:3]
    shown = [0, *sorted(set(most) - {0}), last]
    titles = [f"frame {t}" + (", given" if t == 0 else "") for t in shown[:-1]]
    figure, axes = _panels([*titles, f"frame {last} asks", f"frame {last}, labelled"])
    pixels = first.shape[0] / grid[0], first.shape[1] / grid[1]
    for axis, t in zip(axes, [*shown, last], strict=True):
        image = read_image(sequence.frames[t])
        axis.imshow(image if axis is axes[-2] else blended(image, found[t]))
        for y, x, v in by_frame.get(t, ()) if axis not in axes[-2:] else ():
            place = ((x + 0.5) * pixels[1] - 0.5, (y + 0.5) * pixels[0] - 0.5)
            axis.scatter(*place, s=900 * v, facecolor="none", edgecolor=WHITE, linewidth=2.4)
            axis.scatter(*place, s=900 * v, facecolor="none", edgecolor=ORANGE, linewidth=1.4)
    centre = ((column + 0.5) * pixels[1] - 0.5, (row + 0.5) * pixels[0] - 0.5)
    _point(axes[-2], centre)
    reach = (2 * inference.radius + 1) * pixels[1], (2 * inference.radius + 1) * pixels[0]
    corner = centre[0] - reach[0] / 2, centre[1] - reach[1] / 2
    for axis in axes[:-1]:
        axis.add_patch(plt.Rectangle(corner, *reach, fill=False, edgecolor=WHITE, linewidth=1, linestyle="--"))
        axis.set(xlim=(0, first.shape[1]), ylim=(first.shape[0], 0))
    return figure
