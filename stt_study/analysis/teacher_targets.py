"""What global distillation asks for: the teacher's correlation on held-out pairs, and how students meet it."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from stt_core.checkpoints import load_encoder
from stt_core.color import drop_channel, normalize_rgb, rgb_to_lab
from stt_core.correlation import correlation
from stt_core.encoder import STANDARD, STUDENT, Encoder
from stt_study.analysis.held_out_pairs import BATCH, held_out
from stt_study.study import Study

PAIRS = 64  # at most


def targets(study: Study, students: dict[str, Path]) -> pd.DataFrame:
    """One row for the teacher and for each student (title -> weights), means over the cells of `PAIRS` held-out pairs.

    "peak": the largest probability of a row. "same place", "as the teacher": the share of cells whose most probable
    cell of the earlier frame is the one at the same place, or the teacher's. "loss": that of global distillation.
    Networks run as in training: a student with one channel dropped and statistics of the batch.
    """
    settings, rows, taught = study.profile.temporal, {}, None
    views = torch.stack([pair.views(settings.size) for pair in held_out(study, PAIRS)])  # (P, 2, 3, H, W)
    # (B, 2, 3, H, W) -> (2 B, 3, H, W): all references, all queries
    batches = [some.transpose(0, 1).flatten(0, 1).float() / 255 for some in views.split(BATCH)]
    for name, path in {"teacher": study.teacher, **students}.items():
        strides, pool = STANDARD if taught is None else STUDENT
        encoder, colours = load_encoder(path, strides=strides, pool=pool)
        if taught is None:
            prepare, temperature = rgb_to_lab if colours == "lab" else normalize_rgb, settings.teacher_temperature
            own = _correlations(encoder, map(prepare, batches), temperature)
            taught = own
        else:
            dropped = (drop_channel(rgb_to_lab(rgb), 1 + i % 2) for i, rgb in enumerate(batches))
            own = _correlations(encoder.train(), dropped)
        best = own.argmax(dim=2)
        rows[name] = {
            "peak": own.amax(dim=2).mean().item(),
            "same place": (best == torch.arange(own.shape[1])).float().mean().item(),
            "as the teacher": (best == taught.argmax(dim=2)).float().mean().item(),
            "loss": (own - taught).square().mean().item(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


@torch.no_grad()
def _correlations(encoder: Encoder, batches: Iterable[Tensor], temperature: float | None = None) -> Tensor:
    """(P, N, N) of the coarsest maps of P pairs; batches (2 B, 3, H, W), all references, then all queries."""
    halves = (encoder(frames, ("res5",))["res5"].chunk(2) for frames in batches)
    return torch.cat([correlation(query, reference, temperature=temperature) for reference, query in halves])
