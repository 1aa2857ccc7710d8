"""Counted operations against known ones and PyTorch's own count of real tensors; nothing is asserted about speed."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_study.profile import load_profile
from stt_study.speed import training_cost as module
from stt_study.speed.training_cost import step_operations, training_cost
from stt_study.variants import ALL, VARIANTS, every_training

SPATIAL = SpatialSettings(width=0.125, size=32, load_size=40, batch=8, steps=20, queue=16, dim=8)
TEMPORAL = TemporalSettings(width=0.125, size=64, batch=4, steps=20, radius_fine=3, radius_coarse=2)
ALONE = replace(TEMPORAL, weight_global=0.0)
counted = cache(step_operations)  # each takes seconds


def test_the_count_is_that_of_real_tensors() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    found = [counted(settings) for settings in (ALONE, SPATIAL)]
    assert torch.equal(torch.get_rng_state(), before)
    pairs = torch.zeros(4, 2, 3, 64, 64, dtype=torch.uint8)
    moco = MoCo(SPATIAL).train()
    moco.augment = nn.Identity()
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    for expected, loss in (
        (found[0], lambda: sum(SpatialThenTemporal(ALONE).train()(pairs, 1).values())),
        (found[1], lambda: moco(images)[0]),
    ):
        with FlopCounterMode(display=False) as counter:
            loss().backward()
        assert expected == counter.get_total_flops()


def test_operations_are_in_proportion_to_the_batch_however_it_is_divided() -> None:
    for settings, divided in ((SPATIAL, {"shards": 4}), (TEMPORAL, {"accumulate": 2})):
        whole = counted(settings)
        assert step_operations(replace(settings, batch=2 * settings.batch)) == 2 * whole
        assert step_operations(replace(settings, **divided)) == whole
    assert step_operations(replace(ALONE, weight_local=0.0)) < counted(ALONE) < counted(TEMPORAL)
    # The known 1.82 GMAC of a ResNet-18: of queries forward and backward, which is twice the work, and of keys forward.
    whole = step_operations(replace(SPATIAL, width=1.0, size=224, batch=2, queue=2))
    assert whole / 2 == pytest.approx(4 * 2 * 1.82e9, rel=0.05)


@pytest.mark.parametrize("settings", [SPATIAL, TEMPORAL], ids=["one", "two"])
def test_measured_steps(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 2)
    found = training_cost(settings)
    assert found["measured"] == 1
    assert 0 < found["fastest"] <= found["seconds a step"] <= found["slowest"]
    assert found["TFLOP a step"] == counted(settings) / 1e12
    assert found["hours"] == pytest.approx(20 * found["seconds a step"] / 3600)


def test_a_large_step_is_measured_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(module, "_times", lambda run, scale: asked.append(run) or [9.0, 3.0, 1.0, 2.0])
    monkeypatch.setattr(module, "MOST", step_operations(replace(SPATIAL, batch=16)))
    monkeypatch.setattr(module, "chosen_device", lambda device: "cpu")
    monkeypatch.setattr(module, "STEPS", 3)
    found = training_cost(replace(SPATIAL, batch=64, queue=64, shards=8))
    assert (asked[0].batch, asked[0].shards, asked[0].steps) == (16, 2, 5)
    assert found["measured"] == pytest.approx(0.25, rel=0.05)  # but for the queue, which is longer
    scaled = [found[name] * found["measured"] for name in ("seconds a step", "fastest", "slowest")]
    assert scaled == pytest.approx([2.0, 1.0, 3.0])  # the first one warms up


def test_a_profile_has_every_training_once() -> None:
    profile = load_profile("smoke", {"teacher": "rgb"})
    found = every_training(profile)
    assert len(found) == 2 + len(ALL) - 2  # "step one only" is step one; "both at once" isn't counted
    assert [settings.input for settings in list(found.values())[:2]] == ["lab", "rgb"]
    assert found["no global distillation"] == replace(profile.temporal, weight_global=0.0)
    published = replace(profile, rows="headline", published=replace(profile.published, student="a", teacher="b"))
    assert list(every_training(published)) == [v.title for v in VARIANTS.values() if v.headline and v.steps != "one"]
