"""What the targets of the distillations get wrong on held-out pairs: of the losses' premises, of teachers' strength."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stt_core.checkpoints import file_hash, load_encoder
from stt_core.color import drop_channel, normalize_rgb, rgb_to_lab
from stt_core.correlation import correlation, pool_correlation
from stt_core.encoder import STANDARD, STUDENT, Encoder
from stt_core.losses import teacher_correlation
from stt_study.analysis.held_out_pairs import BATCH, HeldOut, batches, held_out, identity, label_error
from stt_study.analysis.query_selection import PAIRS, selection_weights
from stt_study.store import code_key, computed
from stt_study.study import Study
from stt_study.variants import VARIANTS
from stt_study.world.layouts import Truth
from stt_study.world.oracle import CELL, true_correlation

TARGETS = 64  # pairs at most
COSINES = "teacher, with cosines"  # what variant `teacher_cosine` is taught
STAY, TEACHER, START = "all stay where they are", "teacher", "start of step two"
GLOBAL = (TEACHER, START, STAY)  # the first must have the smallest label error for there to be anything to learn
LOCAL = ("pooled fine correlation", "coarse correlation")  # likewise, on the selected queries


def targets(study: Study, students: dict[str, Path]) -> pd.DataFrame:
    """A row for the teacher (of cosines, too), each student (title -> weights) and `STAY`: means over `TARGETS` pairs.

    "label error": the share of pixels that get a wrong id if the earlier frame's ids are copied by the correlation.
    """
    settings, rows, pairs = study.profile.temporal, {}, held_out(study, TARGETS)
    batches = shown(pairs, settings.size)
    seen = teacher_maps(study.teacher, batches)
    taught, cosines = (
        teacher_correlation(*seen, settings.teacher_temperature, cosine) for cosine in (settings.teacher_cosine, True)
    )
    found = {TEACHER: taught, COSINES: cosines}
    for name, path in students.items():
        encoder, _ = load_encoder(path, strides=STUDENT[0], pool=STUDENT[1])
        dropped = (drop_channel(rgb_to_lab(rgb), 1 + i % 2) for i, rgb in enumerate(batches))
        found[name] = correlation(*_coarsest(encoder.train(), dropped))
    found[STAY] = torch.eye(taught.shape[1]).expand_as(taught)
    labels = [pair.labels(settings.size // CELL) for pair in pairs]
    for name, own in found.items():
        best = own.argmax(dim=2)
        wrong = [label_error(own[i : i + 1], *some).mean().item() for i, some in enumerate(labels)]
        rows[name] = {
            "label error": float(np.mean(wrong)),
            "peak": own.amax(dim=2).mean().item(),
            "same place": (best == torch.arange(own.shape[1])).float().mean().item(),
            "as the teacher": (best == taught.argmax(dim=2)).float().mean().item(),
            "loss": (own - taught).square().mean().item(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def shown(pairs: Sequence[HeldOut], size: int) -> list[Tensor]:
    """The pairs at a size in px, batch by batch, (2 B, 3, size, size) in [0, 1]: all references, then all queries."""
    views = torch.stack([pair.views(size) for pair in pairs])  # (P, 2, 3, H, W)
    return [some.transpose(0, 1).flatten(0, 1).float() / 255 for some in views.split(BATCH)]


def teacher_maps(teacher: Path, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """A teacher's maps of the pairs of `shown`: queries and references, each (P, C, h, w)."""
    encoder, colours = load_encoder(teacher, strides=STANDARD[0], pool=STANDARD[1])
    return _coarsest(encoder, map(rgb_to_lab if colours == "lab" else normalize_rgb, batches))


@torch.no_grad()
def _coarsest(encoder: Encoder, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The coarsest maps of P pairs, queries and references, each (P, C, h, w); batches as of `shown`."""
    halves = [encoder(frames, ("res5",))["res5"].chunk(2) for frames in batches]
    references, queries = map(torch.cat, zip(*halves, strict=True))
    return queries, references


def premises(study: Study) -> dict[str, float]:
    """Each of `GLOBAL` and `LOCAL` -> its label error, 0 to 1, on held-out pairs; see `held_out_pairs.label_error`."""
    settings, weights = study.profile.temporal, (study.teacher, study.spatial(), study.weights("no_local"))
    key = [asdict(settings), *map(file_hash, weights), identity(study), code_key(__name__)]
    return computed(study.out / "premises" / f"premises-seed{study.seed}", key, lambda: _premises(study))


def _premises(study: Study) -> dict[str, float]:
    errors = targets(study, {START: study.spatial()})["label error"]
    found: dict[str, list[float]] = {name: [] for name in LOCAL}
    # At the start neither level is trained; what there is to pass on shows where nothing was passed on.
    for pair, level in batches(study, study.weights("no_local"), PAIRS):
        height, width = level["query"].shape[2:]
        labels = pair.labels(width)
        chosen = selection_weights(level, study.profile.temporal.local)[0]
        pooled = pool_correlation(level["fine"], 2 * height, 2 * width)
        for name, matches in zip(LOCAL, (pooled, level["coarse"]), strict=True):
            found[name].append(float((label_error(matches, *labels) * chosen).sum() / chosen.sum()))
    return {name: float(errors[name]) for name in GLOBAL} | {name: mean(values) for name, values in found.items()}


def strength(study: Study, variant: str) -> dict[str, float]:
    """`TEACHER`, a variant's, and `STAY` -> its label error at res5 on held-out pairs of a world made with its truth.

    Of cells that have a partner (see `true_correlation`): where there is none, no teacher can be right. {} for a
    variant without global distillation. See `held_out_pairs.label_error`, which even an oracle's cells don't bring to
    0, since a cell that comes from two others is copied from both.
    """
    settings = study.settings(variant)
    if not settings.weight_global:
        return {}
    kind = VARIANTS[variant].teacher
    key = [asdict(settings), kind, file_hash(study.teacher_of(variant)), identity(study), code_key(__name__)]
    place = study.out / "teachers" / f"{variant}-seed{study.seed}"
    return computed(place, key, lambda: _strength(study, variant))


def _strength(study: Study, variant: str) -> dict[str, float]:
    settings, pairs = study.settings(variant), held_out(study, TARGETS)
    cells = settings.size // CELL
    true = []
    for pair in pairs:
        reference, query = map(Truth.read, pair.frames)
        true.append(true_correlation(query, reference, cells))
    own = torch.stack(true)
    if VARIANTS[variant].teacher != "oracle":
        seen = teacher_maps(study.teacher_of(variant), shown(pairs, settings.size))
        own = teacher_correlation(*seen, settings.teacher_temperature, settings.teacher_cosine)
    wrong: dict[str, list[torch.Tensor]] = {TEACHER: [], STAY: []}
    for pair, asked, known in zip(pairs, own, true, strict=True):
        counts, labels = known.any(dim=1).view(cells, cells), pair.labels(cells)
        for name, matches in ((TEACHER, asked), (STAY, torch.eye(cells * cells))):
            wrong[name].append(label_error(matches[None], *labels)[counts])
    return {name: torch.cat(errors).mean().item() for name, errors in wrong.items()}
