"""Both steps at once: one set of weights, the sum of the two steps' own losses, and resuming bit by bit."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stt_core.checkpoints import load_encoder
from stt_core.encoder import STANDARD
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_study.one_stage import OneStage, OneStageSettings, train_one_stage

SPATIAL = SpatialSettings(width=0.125, size=32, load_size=40, batch=2, steps=5, queue=5, seed=3, momentum=0.9, dim=8)
TEMPORAL = TemporalSettings(
    width=0.125, size=64, batch=2, radius_fine=3, radius_coarse=2, weight_global=0.0, steps=5, warmup=2, lr=1e-3, seed=3
)
SETTINGS = OneStageSettings(**vars(TEMPORAL), spatial=SPATIAL)


def batches() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=generator)
    pairs = torch.randint(0, 256, (2, 2, 3, 64, 64), dtype=torch.uint8, generator=generator)
    return images, pairs


def test_weights_are_one_statistics_are_two() -> None:
    model = OneStage(SETTINGS)
    student, encoder = model.temporal.student, model.spatial.encoder_q
    ours, theirs = dict(student.named_parameters()), dict(encoder.named_parameters())
    assert all(parameter is theirs[name] for name, parameter in ours.items())
    assert not any(b is other for b in student.buffers() for other in encoder.buffers())
    model.train()(*batches(), 1)
    assert student.bn1.running_mean.ne(encoder.bn1.running_mean).any()


def test_losses_are_those_of_the_two_steps() -> None:
    """Either step alone, given the same weights and the same random numbers."""
    images, pairs = batches()
    torch.manual_seed(5)
    model = OneStage(SETTINGS).train()
    alone = MoCo(SPATIAL).train()
    alone.load_state_dict(model.spatial.state_dict())
    temporal = SpatialThenTemporal(TEMPORAL).train()
    temporal.load_state_dict(model.temporal.state_dict())
    torch.manual_seed(6)
    found = model(images, pairs, 2)
    torch.manual_seed(6)
    expected = {"contrastive": alone(images)[0], **temporal(pairs, 2)}
    assert found.keys() == expected.keys() == {"contrastive", "fine", "coarse", "local"}
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, msg=lambda m, name=name: f"{name}: {m}")
    # The gradient of a shared weight is the sum of both steps' gradients.
    sum(found.values()).backward()
    for part in (expected["contrastive"], expected["fine"] + expected["coarse"] + expected["local"]):
        part.backward()
    models = (model.temporal.student, alone.encoder_q, temporal.student)
    of, other, another = (m.layer1[0].bn2.weight.grad for m in models)
    assert min(other.abs().max(), another.abs().max()) > 0
    torch.testing.assert_close(of, other + another)


@pytest.fixture
def run(data_folder: Path):
    def run(out: Path, stop: int | None = None) -> Path:
        left = [stop]

        class Stopped(FramePairs):
            def __getitem__(self, address: tuple[int, int]) -> Tensor:
                if left[0] is not None:
                    left[0] -= 1
                    if left[0] < 0:
                        raise KeyboardInterrupt
                return super().__getitem__(address)

        images = Images(data_folder / "imagenet", 40, seed=3)
        pairs = Stopped(data_folder / "youtube-vos", size=64, seed=3)
        return train_one_stage(SETTINGS, images, pairs, out, save_every=2)

    return run


def test_resumed_equals_uninterrupted(run, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=7)
    assert not (tmp_path / "parts" / "weights.pth").exists()
    resumed = run(tmp_path / "parts")
    for name, value in torch.load(whole, weights_only=True)["state_dict"].items():
        assert torch.equal(value, torch.load(resumed, weights_only=True)["state_dict"][name]), name
    logs = [list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert len(logs[0]) == SETTINGS.steps
    for row in logs[0]:
        terms = [float(row[name]) for name in ("contrastive", "fine", "coarse", "local")]
        assert float(row["loss"]) == pytest.approx(sum(terms), rel=1e-5)
    assert load_encoder(resumed, strides=STANDARD[0], pool=STANDARD[1])[1] == "lab"
