"""Whether features tell which part of a creature they see: the most similar cells of other videos, and their parts."""

from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from stt_core.features import resized
from stt_core.pictures import read_image
from stt_study.analysis.against_teacher import clip_rows
from stt_study.analysis.retention import PAIRS, chosen_clips, coverage, pair_times
from stt_study.benchmarks import labelled_videos
from stt_study.benchmarks.label_sources import label_source
from stt_study.store import code_key
from stt_study.study import Study

KINDS = ("all cells", "part cells")  # among which the most similar one is sought
PART = 0.5  # a cell belongs to the part (0 is the background) that covers at least this much of it


@dataclass(frozen=True)
class Cells:
    """Labelled cells of one clip: features (n, C) of length 1, parts (n,), places (n, 3): frame number, row, column."""

    sequence: labelled_videos.Sequence
    features: Tensor
    parts: Tensor
    places: Tensor
    grid: tuple[int, int]


def part_cells(study: Study, weights: str, frames: int = PAIRS) -> list[Cells]:
    """The cells of the VIP task's clips as label propagation sees them, `frames` of each; mixed ones are left out."""
    found = []
    source = label_source(weights, **study.opening)
    for sequence in chosen_clips(study, "vip"):
        some = []
        for t in pair_times(len(sequence.frames))[:frames]:
            image = resized(read_image(sequence.frames[t]), study.profile.evaluation.vip.resize)
            maps = F.normalize(source(image).cpu(), dim=0)
            ids = labelled_videos.read_sequence_mask(sequence, t)
            share, part = coverage(ids, maps.shape[1:]).max(dim=0)  # (h, w)
            void = F.interpolate(torch.from_numpy(ids == 255)[None, None].float(), size=maps.shape[1:], mode="area")
            owned = (share >= PART) & (void[0, 0] == 0)
            places = F.pad(owned.nonzero(), (1, 0), value=t)  # (n, 2) -> (n, 3)
            some.append((maps[:, owned].T, part[owned], places))  # (C, n) -> (n, C)
        found.append(Cells(sequence, *map(torch.cat, zip(*some, strict=True)), tuple(maps.shape[1:])))
    return found


def nearest_cells(queries: Tensor, other: Cells) -> dict[str, Tensor]:
    """Kind of `KINDS` -> index (n,) into another clip's cells of the one most similar to each query (n, C).

    "part cells" has none of the background; the clip must have a part.
    """
    similarity = queries @ other.features.T  # (n, C) @ (C, m)
    every = similarity.argmax(dim=1)
    return dict(zip(KINDS, (every, similarity.masked_fill_(other.parts == 0, -torch.inf).argmax(dim=1)), strict=True))


def part_record(i: int, cells: list[Cells]) -> dict[str, float]:
    """How often the most similar cell of another clip has the same part, over clip `i`'s parts and the other clips.

    A clip counts only for parts that it has. "all cells": background may be found; "part cells": it may not. "chance,
    …": a cell drawn by lot. nan if no other clip has any of the parts.
    """
    own = cells[i].parts > 0
    queries, parts = cells[i].features[own], cells[i].parts[own]
    found: dict[str, list[Tensor]] = {kind: [] for kind in KINDS + tuple(f"chance, {kind}" for kind in KINDS)}
    for other in cells[:i] + cells[i + 1 :]:
        there = torch.isin(parts, other.parts)
        if not there.any():
            continue
        counts = torch.bincount(other.parts, minlength=int(parts.max()) + 1)[parts[there]].double()  # (n,)
        for kind, index in nearest_cells(queries[there], other).items():
            found[kind].append((other.parts[index] == parts[there]).double())
            among = (other.parts > 0).sum() if kind == KINDS[1] else len(other.parts)
            found[f"chance, {kind}"].append(counts / among)
    return {kind: torch.cat(some).mean().item() if some else float("nan") for kind, some in found.items()}


def across_videos(study: Study, sources: dict[str, str]) -> pd.DataFrame:
    """`part_record` on the VIP task's clips; see `against_teacher.clip_rows`."""

    def measure(weights: str) -> dict[str, dict]:
        cells = part_cells(study, weights)
        return {own.sequence.name: part_record(i, cells) for i, own in enumerate(cells)}

    return clip_rows(study, sources, "vip", code_key(__name__), measure)
