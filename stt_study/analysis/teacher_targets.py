"""What global distillation asks for: the teacher's correlation on held-out pairs, and how students meet it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from stt_core.checkpoints import load_encoder
from stt_core.color import drop_channel, normalize_rgb, rgb_to_lab
from stt_core.correlation import correlation
from stt_core.encoder import STANDARD, STUDENT
from stt_study.analysis.held_out_pairs import BATCH, held_out
from stt_study.study import Study


def targets(study: Study, students: dict[str, Path], most: int = 64) -> pd.DataFrame:
    """One row for the teacher and for each student, means over the cells of held-out pairs of neighbouring frames.

    The teacher runs as it does in training, and so do students: one channel dropped, statistics of the batch.

    Args:
        students: title -> weights.
        most: pairs.

    Returns:
        "peak": the largest probability of a row. "same place": the share of cells whose most probable cell of the earlier
        frame is the one at the same place. "as the teacher": the share whose most probable cell is the teacher's. "loss": mean
        squared difference to the teacher's correlation, that of global distillation with weight 1.
    """
    temperature, size = study.profile.temporal.teacher_temperature, study.profile.temporal.size
    pairs = held_out(study, most)
    views = torch.stack([pair.views(size) for pair in pairs])  # (P, 2, 3, H, W)
    teacher, colours = load_encoder(study.teacher, strides=STANDARD[0], pool=STANDARD[1])
    prepare = rgb_to_lab if colours == "lab" else normalize_rgb
    taught = [correlation(*_res5(teacher, prepare(rgb)), temperature=temperature) for rgb in _frames(views)]
    rows = {"teacher": _row(taught, taught)}
    for name, path in students.items():
        student = load_encoder(path, strides=STUDENT[0], pool=STUDENT[1])[0].train()
        seen = (drop_channel(rgb_to_lab(rgb), 1 + i % 2) for i, rgb in enumerate(_frames(views)))
        rows[name] = _row([correlation(*_res5(student, lab)) for lab in seen], taught)
    return pd.DataFrame.from_dict(rows, orient="index")


def _frames(views: Tensor) -> Iterator[Tensor]:
    for some in views.split(BATCH):  # (B, 2, 3, H, W) -> (2 B, 3, H, W): all references, all queries
        yield some.transpose(0, 1).flatten(0, 1).float() / 255


@torch.no_grad()
def _res5(encoder: torch.nn.Module, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Query and reference, each (B, C, h, w)."""
    reference, query = encoder(frames, ("res5",))["res5"].chunk(2)
    return query, reference


def _row(own: list[Tensor], taught: list[Tensor]) -> dict[str, float]:
    own, taught = torch.cat(own), torch.cat(taught)  # (B, N, N)
    best, place = own.argmax(dim=2), torch.arange(own.shape[1])
    return {
        "peak": own.amax(dim=2).mean().item(),
        "same place": (best == place).float().mean().item(),
        "as the teacher": (best == taught.argmax(dim=2)).float().mean().item(),
        "loss": (own - taught).square().mean().item(),
    }
