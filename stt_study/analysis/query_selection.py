"""What the released code's differences from the text do to the local distillation: which queries, which loss.

A selection is a map of weights in [0, 1] over the queries of a held-out pair; a mask is one of 0 and 1.
"""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from stt_core.checkpoints import file_hash
from stt_core.correlation import pool_correlation, window_mask
from stt_core.losses import SOFT_BORDER, LocalDistillation, local_distillation_loss, selection_mask, soft_weights
from stt_core.temporal import LEVELS, TemporalSettings
from stt_study.analysis.held_out_pairs import SCORES, batches, identity, label_error
from stt_study.store import code_key, computed
from stt_study.study import Study
from stt_study.variants import VARIANTS

NAMES = ("full", "quarter", "neg_log", "rows", "soft", "released", "released_soft")  # in `variants`; "full" is the text
INNER = "inner"  # a control beside them: all cells alike, but for the border that soft weights leave out
PAIRS = 48  # at most; whole batches of them are taken
CERTAIN = 0.01  # nats: a query with less entropy has all but one cell ruled out


def selection_weights(scores: dict[str, Tensor], local: LocalDistillation) -> Tensor:
    """The weights that `local` gives to queries, (B, H, W) in [0, 1]; `scores`: each of `SCORES` -> (B, H, W)."""
    chosen = scores[local.score]
    return soft_weights(chosen) if local.soft else selection_mask(chosen, local.share, local.selection).to(chosen.dtype)


def variants(temporal: TemporalSettings) -> dict[str, LocalDistillation]:
    """The settings of each of `NAMES`; soft weights only where the map is larger than their border."""
    found = {name: replace(temporal.local, **dict(VARIANTS[name].local)) for name in NAMES}
    large = temporal.size // LEVELS["res4"] > 2 * SOFT_BORDER
    return {name: local for name, local in found.items() if large or not local.soft}


def effective_share(weights: Tensor) -> float:
    """(sum w)^2 / (N sum w^2): of a mask the share that is kept, of equal weights 1, whatever their scale."""
    return float(weights.sum() ** 2 / (weights.numel() * weights.square().sum()).clamp(min=1e-12))


def reachable(target: Tensor, window: Tensor) -> Tensor:
    """(B, N, N): the rows nearest to the target (B, N, N) that a softmax over a window (N, N) bool can give."""
    # What a row lacks of 1 is spread evenly.
    inside = target * window
    return inside + window * ((1 - inside.sum(dim=2)) / window.sum(dim=1))[:, :, None]


def loss_figures(level: dict[str, Tensor], local: LocalDistillation, weights: Tensor, radius: int) -> dict:
    """Loss of one pair (`held_out_pairs.levels`) and norms of its gradient; weights (h, w) are `local`'s own.

    "floor": the least possible; "matched": of the pooled fine correlation; "logits" (N, N): past the softmax.
    """
    coarse = level["coarse"].clone().requires_grad_()
    loss = local_distillation_loss(level["fine"], coarse, level["query"], level["reference"], local, radius=radius)
    (gradient,) = torch.autograd.grad(loss, coarse)
    # A softmax passes on c (g - sum c g): what is alike in a whole row has no effect.
    passed = level["coarse"] * (gradient - (level["coarse"] * gradient).sum(dim=2, keepdim=True))
    height, width = level["query"].shape[2:]
    matched = pool_correlation(level["fine"], 2 * height, 2 * width)
    target = pool_correlation(level["fine"], 2 * height, 2 * width, rows=local.target_rows)
    rows = {"floor": reachable(target, window_mask(height, width, radius)), "matched": matched}
    squares = {name: (row - target).square().mean(dim=2).flatten() for name, row in rows.items()}
    errors = {name: _mean(values, weights.flatten()) for name, values in squares.items()}
    figures = {"loss": loss.detach(), **errors, "gradient": gradient.norm(), "softmax": passed.norm()}
    return {name: float(value) for name, value in figures.items()} | {"logits": passed[0].detach()}


def measure(study: Study, weights: Path) -> dict[str, pd.DataFrame]:
    """Tables, measured once for one Lab encoder: "pairs", of the scores; "variants", of each selection and its loss.

    Of "variants", "row" and "column" are lists: the mean weight in each row and column of the map.
    """
    settings = study.profile.temporal
    key = [asdict(settings), file_hash(weights), identity(study), code_key(__name__)]
    stored = computed(study.out / "selection" / "selection", key, lambda: _measured(study, weights))
    return {name: pd.DataFrame(rows) for name, rows in stored.items()}


def _measured(study: Study, weights: Path) -> dict[str, list[dict]]:
    settings, rows, pairs = study.profile.temporal, [], []
    for pair, level in batches(study, weights, PAIRS):
        errors = {"colour": level["colour"], "label": label_error(level["coarse"], *pair.labels(len(level["colour"])))}
        maps = {score: level[score][0] for score in SCORES} | errors
        spearman = pd.DataFrame({name: values.flatten() for name, values in maps.items()}).corr("spearman")
        ranks = {f"{score} with {e}": spearman.loc[score, e] for score in SCORES for e in errors}
        low, median, high = level["entropy"].quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
        ranks |= {"entropy 10 %": low, "entropy 50 %": median, "entropy 90 %": high}
        ranks["certain"] = float((level["entropy"] < CERTAIN).float().mean())
        ranks["entropy with neg_log"] = spearman.loc["entropy", "neg_log"]
        pairs.append({"pair": pair.name, **ranks})
        chosen = {key: (local, selection_weights(level, local)[0]) for key, local in variants(settings).items()}
        if any(local.soft for local, _ in chosen.values()):
            chosen[INNER] = None, soft_weights(torch.ones_like(level["entropy"]))[0]
        text = None
        for key, (local, w) in chosen.items():
            row = {"pair": pair.name, "variant": key, "kept": effective_share(w)}
            row |= {"row": w.mean(dim=1).tolist(), "column": w.mean(dim=0).tolist()}
            for error, values in errors.items():
                row |= {f"{error} kept": _mean(values, w), f"{error} left": _mean(values, 1 - w)}
            if local:  # else the control, which is no loss of anyone's
                figures = loss_figures(level, local, w, settings.radius_coarse)
                logits = figures.pop("logits").flatten()
                text = logits if text is None else text  # `NAMES` begins with it
                row |= figures | {"cosine": float(F.cosine_similarity(logits, text, dim=0))}
            rows.append(row)
    return {"pairs": pairs, "variants": rows}


def _mean(values: Tensor, weights: Tensor) -> float:
    """Weighted mean; nan where nothing weighs."""
    return float((values * weights).sum() / weights.sum())
