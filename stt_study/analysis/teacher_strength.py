"""How strong a teacher is: what its correlation gets wrong on held-out pairs as far apart as those of training."""

from dataclasses import asdict

import torch

from stt_core.checkpoints import file_hash
from stt_study.analysis.against_teacher import STAY, TARGETS, shown, taught_by
from stt_study.analysis.held_out_pairs import held_out, label_error
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study
from stt_study.variants import VARIANTS
from stt_study.world.layouts import LISTED, PACE, Truth
from stt_study.world.oracle import CELL, true_correlation

TEACHER = "teacher"


def gap(study: Study) -> int:
    """Frames of a labelled video of the world between two that are as far apart as a training pair is on average."""
    return round((study.profile.min_gap + study.profile.max_gap) / 2 * LISTED / PACE)


def label_errors(study: Study, variant: str) -> dict[str, float]:
    """`TEACHER`, a variant's, and `STAY` -> its label error at res5 on held-out pairs of a world made with its truth.

    Of cells that have a partner (see `true_correlation`): where there is none, no teacher can be right. {} for a
    variant without global distillation. See `held_out_pairs.label_error`, which even an oracle's cells don't bring to
    0, since a cell that comes from two others is copied from both.
    """
    settings = study.settings(variant)
    if not settings.weight_global:
        return {}
    kind = VARIANTS[variant].teacher
    key = [asdict(settings), kind, file_hash(study.teacher_of(variant)), folder_fingerprint(study.folder("davis"))]
    place = study.out / "teachers" / f"{variant}-seed{study.seed}"
    return computed(place, [*key, gap(study), code_key(__name__)], lambda: _measured(study, variant))


def _measured(study: Study, variant: str) -> dict[str, float]:
    settings, pairs = study.settings(variant), held_out(study, TARGETS, gap(study))
    cells = settings.size // CELL
    true = []
    for pair in pairs:
        reference, query = map(Truth.read, pair.frames)
        true.append(true_correlation(query, reference, cells))
    own = torch.stack(true)
    if VARIANTS[variant].teacher != "oracle":
        own = taught_by(study.teacher_of(variant), shown(pairs, settings.size), settings)
    wrong: dict[str, list[torch.Tensor]] = {TEACHER: [], STAY: []}
    for pair, asked, known in zip(pairs, own, true, strict=True):
        counts, labels = known.any(dim=1).view(cells, cells), pair.labels(cells)
        for name, correlation in ((TEACHER, asked), (STAY, torch.eye(cells * cells))):
            wrong[name].append(label_error(correlation[None], *labels)[counts])
    return {name: torch.cat(errors).mean().item() for name, errors in wrong.items()}
