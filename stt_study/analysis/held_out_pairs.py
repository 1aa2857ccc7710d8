"""Held-out pairs of frames with their masks, and what the local distillation sees of them, run as in training."""

import re
from collections.abc import Iterator
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stt_core.checkpoints import load_encoder
from stt_core.color import LAB_SCALE, drop_channel, rgb_to_lab
from stt_core.correlation import correlation
from stt_core.encoder import STUDENT, Encoder
from stt_core.errors import InputError
from stt_core.labels import one_hot
from stt_core.losses import entropy_map
from stt_core.pictures import VideoFrame, read_image
from stt_core.temporal import LEVELS, TemporalSettings
from stt_core.training.pairs import EVERY
from stt_study.benchmarks.labelled_videos import Sequence, read_sequence_mask
from stt_study.evenly import evenly
from stt_study.store import folder_fingerprint
from stt_study.study import Study
from stt_study.world.layouts import LISTED, PACE

SCORES = ("entropy", "neg_log")  # see `losses.entropy_map`
BATCH = 8  # pairs at most


@dataclass(frozen=True)
class HeldOut:
    """Two frames of a clip; `t` is the later one, the query."""

    sequence: Sequence
    t: int
    gap: int = 1  # frames from the earlier to the later one

    @property
    def name(self) -> str:
        """Such as "val-02 00013", the later frame."""
        return f"{self.sequence.name} {self.sequence.frames[self.t].stem}"

    @property
    def frames(self) -> list[Path]:
        """The earlier and the later one's file."""
        return [self.sequence.frames[i] for i in (self.t - self.gap, self.t)]

    def views(self, size: int) -> Tensor:
        """(2, 3, size, size) uint8 RGB: the whole earlier and later frame, squeezed into a square as in training."""
        images = [read_image(frame) for frame in self.frames]
        mode = cv2.INTER_AREA if min(images[0].shape[:2]) > size else cv2.INTER_LINEAR
        views = np.stack([cv2.resize(image, (size, size), interpolation=mode) for image in images])
        return torch.from_numpy(views).permute(0, 3, 1, 2)  # (2, H, W, 3) -> (2, 3, H, W)

    def labels(self, cells: int) -> tuple[Tensor, Tensor]:
        """(K + 1, cells, cells) of the earlier and of the later frame: what share of a cell every id covers."""
        earlier, later = (read_sequence_mask(self.sequence, i) for i in (self.t - self.gap, self.t))
        count = int(max(ids[ids < 255].max(initial=0) for ids in (earlier, later)))
        return coverage(earlier, (cells, cells), count), coverage(later, (cells, cells), count)


def distance(study: Study) -> int:
    """Frames of a labelled video between two that are as far apart as a training pair is on average.

    Of real training videos, only some frames may be listed, with their numbers (YouTube-VOS: every fifth).
    """
    profile = study.profile
    if not profile.data or (study.data / "world.json").is_file():
        listed = LISTED / PACE
    else:
        listed = _listed(next(frames for frames in study.learned_from("videos") if len(frames) > 1))
    return round(listed * (profile.min_gap + profile.max_gap) / 2)


def _listed(frames: Listed[Path | VideoFrame]) -> float:
    """Frames from one of a training video's to the next one, where its folder or file had all."""
    if isinstance(frames[0], VideoFrame):
        return EVERY
    numbers = [re.findall(r"\d+", frame.stem) for frame in frames]
    return median(int(b[-1]) - int(a[-1]) for a, b in pairwise(numbers)) if all(numbers) else 1


def held_out(study: Study, most: int) -> list[HeldOut]:
    """At most so many pairs of frames of `split_of`, `distance` apart, spread over the clips and mixed.

    InputError if all clips are shorter.
    """
    sequences, gap = study.sequences("davis", split_of(study)), distance(study)
    pairs = [HeldOut(sequence, t, gap) for sequence in sequences for t in range(gap, len(sequence.frames))]
    if not pairs:
        far = f"no two frames of a video are {gap} apart, as those of training pairs"
        raise InputError(f"{study.folder('davis')}: {far}; give the profile a smaller max_gap.")
    return [pairs[i] for i in np.random.default_rng(0).permutation(evenly(range(len(pairs)), most))]


def identity(study: Study) -> list:
    """What `held_out` depends on, for the key of a kept result."""
    return [split_of(study), distance(study), folder_fingerprint(study.folder("davis"))]


def split_of(study: Study) -> str:
    """The list that pairs come from: "train", the shipped world's validation clips; "val" if missing or trained on."""
    try:
        names = {sequence.name for sequence in study.sequences("davis", "train")}
    except InputError:
        return "val"
    return "val" if names & study.trained_on else "train"


def coverage(ids: np.ndarray, grid: tuple[int, int], count: int = 0) -> Tensor:
    """(K + 1, h, w): what share of each cell every id of a mask (H, W) covers; void (255) counts as background."""
    ids = np.where(ids == 255, 0, ids)
    return F.interpolate(one_hot(ids, count or int(ids.max()))[None], size=grid, mode="area")[0]


def label_error(coarse: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
    """(H, W): the share of a query's pixels that gets a wrong id if ids (K + 1, H, W) are copied by (1, N, N)."""
    copied = (coarse[0] @ earlier.flatten(1).T).T.view_as(later)  # (N, K + 1) -> (K + 1, H, W)
    return 0.5 * (copied - later).abs().sum(dim=0)


def carried(matches: Tensor, channel: Tensor, stride: int) -> Tensor:
    """A channel (H, W) of the earlier frame, sampled at cells and carried by their correlation (N, N): (H, W)."""
    sampled = channel[::stride, ::stride]
    rebuilt = (matches @ sampled.reshape(-1, 1)).view(1, 1, *sampled.shape)  # (N, N) (N, 1) -> (h, w)
    return F.interpolate(rebuilt, size=channel.shape, mode="bilinear")[0, 0]


def levels(encoder: Encoder, views: Tensor, channel: int, settings: TemporalSettings) -> Iterator[dict[str, Tensor]]:
    """Of views (B, 2, 3, H, W) uint8 RGB, a pair at a time: correlations "fine", "coarse" (1, N, N), maps and errors.

    "query", "reference" (1, C, h, w), `SCORES` (1, h, w); "colour" (h, w): the rebuilt channel's error in units of Lab.
    """
    lab = rgb_to_lab(views.transpose(0, 1).flatten(0, 1).float() / 255)  # (2 B, 3, H, W): references, then queries
    with torch.no_grad():
        features = encoder(drop_channel(lab, channel), tuple(LEVELS))
    stride = LEVELS["res4"]
    for b in range(len(views)):
        # (2 B, C, h, w) -> (1, C, h, w) twice
        pair = {name: (f[b : b + 1], f[len(views) + b :][:1]) for name, f in features.items()}
        reference, query = pair["res4"]
        found = {"reference": reference, "query": query}
        found["fine"] = correlation(*pair["res3"][::-1], radius=settings.radius_fine)
        found["coarse"] = correlation(query, reference, radius=settings.radius_coarse)
        found |= {score: entropy_map(query, reference, settings.radius_coarse, score) for score in SCORES}
        rebuilt = carried(found["coarse"][0], lab[b, channel], stride)
        error = LAB_SCALE[channel] * (rebuilt - lab[len(views) + b, channel]).abs()
        yield found | {"colour": F.avg_pool2d(error[None], stride)[0]}


def batches(study: Study, weights: Path, most: int) -> Iterator[tuple[HeldOut, dict[str, Tensor]]]:
    """Held-out pairs and their `levels` under an encoder; channels a and b are dropped in turn, batch by batch."""
    settings = study.profile.temporal
    strides, pool = STUDENT
    encoder = load_encoder(weights, strides=strides, pool=pool)[0].train()
    size = min(settings.batch, BATCH)
    pairs = held_out(study, most)
    pairs = pairs[: max(len(pairs) // size, 1) * size]  # whole batches
    for i in range(0, len(pairs), size):
        some = pairs[i : i + size]
        views = torch.stack([pair.views(settings.size) for pair in some])
        yield from zip(some, levels(encoder, views, 1 + i // size % 2, settings), strict=True)
