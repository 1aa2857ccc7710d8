"""Pictures of what each loss compares and of how a label is propagated, from this run's own data and networks."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
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
from stt_study.evenly import evenly
from stt_study.figures.selection import uncertain, veiled
from stt_study.figures.viz import ORANGE, image_grid, mark, object_ids, panels
from stt_study.study import Study
from stt_study.video.drawing import blended


def _row(titles: Sequence[str]) -> tuple[Figure, np.ndarray]:
    figure, (axes,) = panels(1, len(titles), (1.9 * len(titles), 2.3))
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure, axes


def views_figure(study: Study, count: int = 5) -> Figure:
    """Images of step one's training (top), and the two views of each that the loss calls the same (below)."""
    settings = study.profile.spatial
    images = Images(study.folder("images"), settings.load_size)
    batch = torch.stack([images[(0, i)] for i in evenly(range(len(images)), count)]).float() / 255  # (B, 3, H, W)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        augment = two_views(settings.size)
        rows = [batch, augment(batch), augment(batch)]
    drawn = [[image.permute(1, 2, 0).clamp(0, 1).numpy() for image in row] for row in rows]
    return image_grid(drawn, ("image", "query's view", "key's view"), width=1.7 * count)


def held_out_pair(study: Study, weights: Path) -> tuple[HeldOut, dict[str, Tensor]]:
    """The first held-out pair of frames, and what the losses see of it (`held_out_pairs.levels`)."""
    return next(batches(study, weights, study.profile.temporal.batch))


def reconstruction_figure(study: Study, pair: HeldOut, level: dict[str, Tensor]) -> Figure:
    """The hidden colour of the earlier frame, carried to the later one by the fine and by the coarse correlation."""
    views = pair.views(study.profile.temporal.size)
    lab = LAB_SCALE[1] * rgb_to_lab(views.float() / 255)[:, 1]  # (2, H, W), channel a of both frames
    first, second = ("reference", "its hidden channel", "query"), ("carried by the fine level", "by the coarse level")
    figure, axes = _row((*first, *second, "the truth"))
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
    query = uncertain(entropy)
    target = pool_correlation(level["fine"], 2 * height, 2 * width)[0, query].view(height, width)
    coarse = level["coarse"][0, query].view(height, width)
    titles = ("query frame", "entropy of its matches", "selected queries", "target, from the fine level")
    figure, axes = _row((*titles, "coarse correlation"))
    later = views[1].permute(1, 2, 0).contiguous().numpy()
    axes[0].imshow(later)
    figure.colorbar(axes[1].imshow(entropy), ax=axes[1], label="nats", shrink=0.75)
    axes[2].imshow(veiled(later, selection_mask(entropy[None], settings.local.share)[0].float()))
    top = float(max(target.max(), coarse.max()))
    for axis, row in zip(axes[3:], (target, coarse), strict=True):
        drawn = axis.imshow(row, vmin=0, vmax=top)
    figure.colorbar(drawn, ax=axes[4], label="probability", shrink=0.75)
    stride, (y, x) = LEVELS["res4"], divmod(query, width)
    mark(axes[0], ((x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5))
    for axis in (axes[1], *axes[3:]):
        mark(axis, (x, y), size=5)
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
    figure, axes = _row(["reference\n", "query\n", *titles])
    for axis, view in zip(axes, views, strict=False):
        axis.imshow(view.permute(1, 2, 0))
    for axis, matrix in zip(axes[2:], found.values(), strict=True):
        drawn = axis.imshow(matrix, norm=PowerNorm(0.35, 0, 1))
    figure.colorbar(drawn, ax=axes[-1], label="probability", shrink=0.75, ticks=(0, 0.01, 0.1, 0.5, 1))
    return figure


def propagation_figure(study: Study, weights: str) -> Figure:
    """One cell of a later frame and the context cells that vote for its label, each as large as its vote."""
    inference, sequence = study.profile.evaluation.davis, study.sequences("davis")[0]
    look, last = looks(study, weights, "davis"), pair_times(len(sequence.frames))[-1]
    features = [look(path)["res4"] for path in sequence.frames[: last + 1]]
    first = object_ids(sequence, 0)
    grid = features[0].shape[1:]
    context = Context(**inference.propagation())
    context.put(0, features[0], labels.to_grid(labels.one_hot(first, int(first.max())), grid, "nearest"))
    found = [first, *(labels.decode_masks(context.propagate(t, features[t]), first.shape) for t in range(1, last + 1))]

    frames = [0, *range(max(last - inference.num_preceding, 1), last)]
    seen = [F.normalize(features[t].float(), dim=0) for t in (*frames, last)]
    cells = [maps.permute(1, 2, 0).contiguous() for maps in seen]  # (h, w, C)
    how = {"radius": inference.radius, "topk": inference.topk, "temperature": inference.temperature}
    how |= {"window": inference.window, "first_windowed": inference.first_windowed}
    twice = inference.first_twice and last <= inference.num_preceding
    indices, votes = affinity(cells[-1], torch.stack(cells[:-1]), first_twice=twice, **how)
    given = found[last]
    inside = given == np.bincount(given[given > 0], minlength=2).argmax() if (given > 0).any() else given == 0
    row, column = cell_of(central_pixel(inside), first.shape, grid)
    index, vote = (found[:, row * grid[1] + column] for found in (indices, votes))
    # (frames, h, w); a cell of a frame that counts twice has two votes.
    sums = torch.zeros(len(frames) * grid[0] * grid[1]).index_add(0, index, vote).view(len(frames), *grid)
    by_frame = dict(zip(frames, sums, strict=True))
    most = sorted(by_frame, key=lambda t: -by_frame[t].sum().item())[:3]
    shown = [0, *sorted(t for t in most if t > 0 and by_frame[t].any()), last]
    titles = [f"frame {t}" for t in shown[1:-1]]
    figure, axes = _row(["frame 0, given", *titles, f"frame {last} asks", f"frame {last}, labelled"])
    pixels = first.shape[0] / grid[0], first.shape[1] / grid[1]
    for axis, t in zip(axes, [*shown, last], strict=True):
        image = read_image(sequence.frames[t])
        axis.imshow(image if axis is axes[-2] else blended(image, found[t]))
        if t < last:
            y, x = by_frame[t].nonzero(as_tuple=True)
            places = (x + 0.5) * pixels[1] - 0.5, (y + 0.5) * pixels[0] - 0.5
            for colour, width in (("white", 2.4), (ORANGE, 1.4)):
                axis.scatter(*places, s=900 * by_frame[t][y, x], facecolor="none", edgecolor=colour, linewidth=width)
    centre = ((column + 0.5) * pixels[1] - 0.5, (row + 0.5) * pixels[0] - 0.5)
    mark(axes[-2], centre)
    reach = (2 * inference.radius + 1) * pixels[1], (2 * inference.radius + 1) * pixels[0]
    corner = centre[0] - reach[0] / 2, centre[1] - reach[1] / 2
    for axis in axes[:-1]:
        axis.add_patch(plt.Rectangle(corner, *reach, fill=False, edgecolor="white", linewidth=1, linestyle="--"))
        axis.set(xlim=(-0.5, first.shape[1] - 0.5), ylim=(first.shape[0] - 0.5, -0.5))
    return figure
