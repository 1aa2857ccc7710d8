"""Carrying the paper's loss weights to a smaller geometry: each gradient keeps its ratio to the reconstruction's.

A mean-squared error between softmax maps over N references shrinks with N, so 1000 and 50, chosen at 256 px, weigh more
on smaller maps.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from stt_core.temporal import TemporalSettings
from stt_core.training.loop import EpochBatches
from stt_core.training.pairs import FramePairs
from stt_core.training.train_temporal import temporal_model

BATCHES = 4
PAPER_GEOMETRY = {"size": 256, "radius_fine": 12, "radius_coarse": 6}  # px, cells
PAPER_WEIGHTS = {"local": 1000.0, "global": 50.0}


def gradient_norms(settings: TemporalSettings, pairs: FramePairs, initial: Path, teacher: Path) -> dict[str, float]:
    """Mean norm, over `BATCHES`, of each term's gradient with respect to the student, all weights (but "forget") 1."""
    units = dict.fromkeys(("weight_fine", "weight_coarse", "weight_local", "weight_global"), 1.0)
    units["weight_forget"] = float(bool(settings.weight_forget))
    model = temporal_model(replace(settings, **units), initial, teacher).train()
    sampler = EpochBatches(len(pairs), min(settings.batch, 8), BATCHES, seed=settings.seed)
    parameters = list(model.student.parameters())
    totals = dict.fromkeys(("reconstruction", "local", "global", "forget"), 0.0)
    for step, batch in enumerate(DataLoader(pairs, batch_sampler=sampler)):
        losses = model(batch, 1 + step % 2)  # both channels in turn
        losses["reconstruction"] = losses.pop("fine") + losses.pop("coarse")
        for name, loss in losses.items():
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            squared = sum(g.square().sum() for g in gradients if g is not None)
            totals[name] += squared.sqrt().item() / BATCHES
    return {name: total for name, total in totals.items() if total or name != "forget"}


def carried_weights(
    settings: TemporalSettings, pairs: Callable[[int], FramePairs], initial: Path, teacher: Path
) -> dict[str, dict[str, float]]:
    """The distillations' "weights" for `settings`' geometry; `pairs` gives the training pairs at a size in px.

    "paper" and "here" are `gradient_norms`; "ratio" each weighted norm over the reconstruction's at the paper's.
    """
    paper = replace(settings, **PAPER_GEOMETRY)
    at_paper = gradient_norms(paper, pairs(paper.size), initial, teacher)
    here = at_paper if settings == paper else gradient_norms(settings, pairs(settings.size), initial, teacher)
    ratio = {name: PAPER_WEIGHTS[name] * at_paper[name] / at_paper["reconstruction"] for name in PAPER_WEIGHTS}
    weights = {name: ratio[name] * here["reconstruction"] / here[name] for name in PAPER_WEIGHTS}
    return {"paper": at_paper, "here": here, "ratio": ratio, "weights": weights}


def forget_weight(
    settings: TemporalSettings, pairs: Callable[[int], FramePairs], initial: Path, weight_global: float
) -> float:
    """The weight at which learning without forgetting begins by pulling as hard as the global distillation."""
    norms = gradient_norms(replace(settings, weight_forget=1.0), pairs(settings.size), initial, initial)
    return weight_global * norms["global"] / norms["forget"]
