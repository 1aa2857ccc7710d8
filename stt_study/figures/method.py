"""Pictures of what each loss compares and of how a label is propagated, from this run's own data and networks."""

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
from stt_core.encoder import STANDARD, STUDENT
from stt_core.losses import selection_mask, teacher_correlation
from stt_core.pictures import read_image
from stt_core.propagation import propagate_frames
from stt_core.spatial import two_views
from stt_core.temporal import LEVELS
from stt_study.analysis.held_out_pairs import HeldOut, carried
from stt_study.analysis.retention import cell_of, central_pixel, looks, pair_times
from stt_study.evenly import evenly
from stt_study.figures.selection import uncertain, veiled
from stt_study.figures.viz import ORANGE, image_grid, mark, object_ids, picture_row
from stt_study.study import Study
from stt_study.video.drawing import blended


def views_figure(study: Study) -> Figure:
    """Images of step one's training (top), and the two views of each that the loss calls the same (below)."""
    settings = study.profile.spatial
    images = study.images(settings.load_size)
    batch = torch.stack([images[(0, i)] for i in evenly(range(len(images)), 5)]).float() / 255  # (B, 3, H, W)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        augment = two_views(settings)
        rows = [batch, augment(batch), augment(batch)]
    drawn = [list(row.permute(0, 2, 3, 1).clamp(0, 1).numpy()) for row in rows]
    return image_grid(drawn, ("image", "query's view", "key's view"))


def reconstruction_figure(study: Study, pair: HeldOut, level: dict[str, Tensor]) -> Figure:
    """The hidden colour of the earlier frame, carried to the later one by either level; of `held_out_pairs.batches`."""
    views = pair.views(study.profile.temporal.size)
    lab = LAB_SCALE[1] * rgb_to_lab(views.float() / 255)[:, 1]  # (2, H, W), channel a of both frames
    reference, query = views.permute(0, 2, 3, 1)
    shown = {"reference": reference, "its hidden channel": lab[0], "query": query}
    shown["carried by the fine level"] = carried(level["fine"][0], lab[0], LEVELS["res3"])
    shown["by the coarse level"] = carried(level["coarse"][0], lab[0], LEVELS["res4"])
    shown["the truth"] = lab[1]
    most = float(lab.abs().max())
    return picture_row(shown, bar="a of Lab", cmap="PRGn_r", vmin=-most, vmax=most)[0]


def local_figure(study: Study, pair: HeldOut, level: dict[str, Tensor]) -> Figure:
    """Entropy and the queries that it selects; then one of them: the fine level's target and the coarse correlation."""
    settings, stride = study.profile.temporal, LEVELS["res4"]
    later = pair.views(settings.size)[1].permute(1, 2, 0).contiguous().numpy()
    entropy = level["entropy"][0]  # (h, w)
    query = uncertain(entropy)
    target = pool_correlation(level["fine"], *(2 * length for length in entropy.shape))[0, query].view_as(entropy)
    coarse = level["coarse"][0, query].view_as(entropy)
    selected = veiled(later, selection_mask(entropy[None], settings.local.share)[0].float())
    shown = {"query frame": later, "entropy of its matches": entropy, "selected queries": selected}
    shown |= {"target, from the fine level": target, "coarse correlation": coarse}
    figure, axes = picture_row(shown, bar="probability", vmin=0, vmax=float(max(target.max(), coarse.max())))
    (own,) = axes[1].images
    own.autoscale()  # the entropy's scale is another
    figure.colorbar(own, ax=axes[1], label="nats", shrink=0.75)
    y, x = divmod(query, entropy.shape[1])
    mark(axes[0], ((x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5))
    for axis in (axes[1], *axes[3:]):
        mark(axis, (x, y), size=5)
    return figure


def global_figure(study: Study, pair: HeldOut, students: dict[str, str]) -> Figure:
    """Both frames, and the correlation of their coarsest maps: the teacher's, and each student's (title -> weights)."""
    temporal = study.profile.temporal
    reference, query = pair.views(temporal.size).permute(0, 2, 3, 1)
    shown, teacher = {"reference\n": reference, "query\n": query}, None
    for name, weights in ({"teacher": str(study.teacher)} | students).items():
        look = looks(study, weights, "davis", STUDENT if name in students else STANDARD)
        maps = (look(frame)["res5"][None] for frame in reversed(pair.frames))
        how = () if name in students else (temporal.teacher_temperature, temporal.teacher_cosine)
        matrix = (teacher_correlation if how else correlation)(*maps, *how)[0]  # (N, N)
        teacher = matrix if teacher is None else teacher
        error = f"error {(matrix - teacher).square().mean():.2g}" if name in students else ""
        shown[f"{name}\n{error}"] = matrix
    figure, axes = picture_row(shown, bar="probability", norm=PowerNorm(0.35, 0, 1))
    axes[-1].images[0].colorbar.set_ticks((0, 0.01, 0.1, 0.5, 1))
    return figure


def propagation_figure(study: Study, weights: str, clip: str) -> Figure:
    """One cell of a later frame of `clip`, and the context cells that vote for its label, each as large as its vote."""
    inference = study.profile.evaluation.davis
    sequence = next(sequence for sequence in study.sequences("davis") if sequence.name == clip)
    look, last = looks(study, weights, "davis"), pair_times(len(sequence.frames))[-1]
    features = [look(path)["res4"] for path in sequence.frames[: last + 1]]
    first = object_ids(sequence, 0)
    grid = features[0].shape[1:]
    given = labels.to_grid(labels.one_hot(first, int(first.max())), grid, "nearest")
    found = [
        labels.decode_masks(maps, first.shape) for maps in propagate_frames(features, given, **inference.propagation())
    ]
    found[0] = first

    frames = [0, *range(max(last - inference.num_preceding, 1), last)]
    seen = torch.stack([features[t].float() for t in (*frames, last)])
    cells = F.normalize(seen, dim=1).permute(0, 2, 3, 1)  # (frames + 1, h, w, C)
    how = {name: getattr(inference, name) for name in ("radius", "topk", "temperature", "window", "first_windowed")}
    twice = inference.first_twice and last <= inference.num_preceding
    indices, votes = affinity(cells[-1], cells[:-1], first_twice=twice, **how)
    asked = found[last]
    inside = asked == np.bincount(asked[asked > 0], minlength=2).argmax() if asked.any() else asked == 0
    row, column = cell_of(central_pixel(inside), first.shape, grid)
    index, vote = (values[:, row * grid[1] + column] for values in (indices, votes))
    # (frames, h, w); a cell of a frame that counts twice has two votes.
    sums = torch.zeros(len(frames) * grid[0] * grid[1]).index_add(0, index, vote).view(len(frames), *grid)
    by_frame = dict(zip(frames, sums, strict=True))
    most = sorted(by_frame, key=lambda t: -by_frame[t].sum().item())[:3]
    voting = [0, *sorted(t for t in most if t > 0 and by_frame[t].any())]
    image = read_image(sequence.frames[last])
    shown = {f"frame {t}" + ", given" * (t == 0): blended(read_image(sequence.frames[t]), found[t]) for t in voting}
    shown |= {f"frame {last}, unlabelled": image, f"frame {last}, labelled": blended(image, found[last])}
    figure, axes = picture_row(shown)
    pixels = first.shape[0] / grid[0], first.shape[1] / grid[1]
    for axis, t in zip(axes, voting, strict=False):
        y, x = by_frame[t].nonzero(as_tuple=True)
        places = (x + 0.5) * pixels[1] - 0.5, (y + 0.5) * pixels[0] - 0.5
        for colour, width in (("white", 2.4), (ORANGE, 1.4)):
            axis.scatter(*places, s=1300 * by_frame[t][y, x], facecolor="none", edgecolor=colour, linewidth=width)
    centre = ((column + 0.5) * pixels[1] - 0.5, (row + 0.5) * pixels[0] - 0.5)
    mark(axes[-2], centre)
    reach = (2 * inference.radius + 1) * pixels[1], (2 * inference.radius + 1) * pixels[0]
    corner = centre[0] - reach[0] / 2, centre[1] - reach[1] / 2
    for axis in axes[:-1]:
        axis.add_patch(plt.Rectangle(corner, *reach, fill=False, edgecolor="white", linewidth=1, linestyle="--"))
        axis.set(xlim=(-0.5, first.shape[1] - 0.5), ylim=(first.shape[0] - 0.5, -0.5))
    return figure
