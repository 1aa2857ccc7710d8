"""Loss weights carried to a smaller geometry: unchanged at the paper's own, ratios kept elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stt_core.checkpoints import save_weights
from stt_core.encoder import random_encoder
from stt_core.temporal import TemporalSettings
from stt_core.training.loop import EpochBatches
from stt_core.training.pairs import FramePairs
from stt_core.training.train_temporal import temporal_model
from stt_study import balance
from stt_study.balance import carried_weights, forget_weight, gradient_norms

Pairs = Callable[[int], FramePairs]
SETTINGS = TemporalSettings(width=0.125, size=64, batch=2, radius_fine=3, radius_coarse=2)


@pytest.fixture(autouse=True)
def small_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 px take minutes here: let the paper's geometry be 96 px with radius 5 and 3."""
    assert balance.PAPER_GEOMETRY == {"size": 256, "radius_fine": 12, "radius_coarse": 6}
    monkeypatch.setattr(balance, "PAPER_GEOMETRY", {"size": 96, "radius_fine": 5, "radius_coarse": 3})


@pytest.fixture(scope="module")
def pairs(data_folder: Path) -> Pairs:
    return lambda size: FramePairs(data_folder / "youtube-vos", size=size)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "teacher.pth"
    save_weights(path, random_encoder(18, 0.125, 1), input="rgb")
    return path


def test_ratio_is_carried(pairs: Pairs, initial: Path, teacher: Path) -> None:
    """With the weights found, the weighted gradients, measured anew, have the ratio of the paper's geometry."""
    found = carried_weights(SETTINGS, pairs, initial, teacher)
    paper = replace(SETTINGS, size=96, radius_fine=5, radius_coarse=3)
    there = gradient_norms(paper, pairs(96), initial, teacher)
    here = gradient_norms(SETTINGS, pairs(64), initial, teacher)
    for name, published in {"local": 1000, "global": 50}.items():
        ratio = published * there[name] / there["reconstruction"]
        assert found["ratio"][name] == pytest.approx(ratio, rel=1e-4)
        assert found["weights"][name] * here[name] / here["reconstruction"] == pytest.approx(ratio, rel=1e-4)
        assert found["weights"][name] != pytest.approx(published, rel=0.05)  # the geometry matters


def test_norms_by_backward(pairs: Pairs, initial: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every term by its own backward pass through a fresh model; the settings' own weights don't count."""
    monkeypatch.setattr(balance, "BATCHES", 2)
    items = pairs(64)
    batches = [torch.stack([items[address] for address in batch]) for batch in EpochBatches(len(items), 2, 2)]
    ones = {f"weight_{name}": 1.0 for name in ("fine", "coarse", "local", "global")}
    expected = {}
    for name, terms in {"reconstruction": ("fine", "coarse"), "local": ("local",), "global": ("global",)}.items():
        norms = []
        model = temporal_model(replace(SETTINGS, **ones), initial, teacher).train()
        for channel, batch in zip((1, 2), batches, strict=True):
            model.zero_grad()
            losses = model(batch, channel)
            sum(losses[term] for term in terms).backward()
            norms.append(sum(float(p.grad.square().sum()) for p in model.student.parameters() if p.grad is not None))
        expected[name] = sum(norm**0.5 for norm in norms) / 2
    weighted = replace(SETTINGS, weight_fine=0.0, weight_coarse=3.0, weight_local=0.0, weight_global=0.0)
    found = gradient_norms(weighted, pairs(64), initial, teacher)
    assert found == pytest.approx(expected, rel=1e-3)
    assert all(norm > 0 for norm in found.values())


def test_learning_without_forgetting_pulls_as_hard_as_what_it_replaces(pairs: Pairs, initial: Path) -> None:
    weight = forget_weight(SETTINGS, pairs, initial, weight_global=7.0)
    items, norms = pairs(64), {"global": [], "forget": []}
    batches = [torch.stack([items[address] for address in batch]) for batch in EpochBatches(len(items), 2, 4)]
    settings = replace(SETTINGS, weight_global=7.0, weight_forget=weight)
    model = temporal_model(settings, initial, initial).train()
    for step, batch in enumerate(batches):
        for name, found in norms.items():
            model.zero_grad()
            model(batch, 1 + step % 2)[name].backward()
            squares = [p.grad.square().sum() for p in model.student.parameters() if p.grad is not None]
            found.append(float(torch.stack(squares).sum() ** 0.5))
    assert sum(norms["forget"]) == pytest.approx(sum(norms["global"]), rel=0.01)
    assert weight > 0
