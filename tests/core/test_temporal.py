"""Step two's forward pass: which losses, of which features, and what the student may see."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stt_core import losses, temporal
from stt_core.checkpoints import save_weights
from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.correlation import correlation
from stt_core.encoder import STANDARD, Encoder, random_encoder
from stt_core.errors import InputError
from stt_core.losses import LocalDistillation
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.train_temporal import temporal_model

SETTINGS = TemporalSettings(width=0.125, size=64, batch=2, radius_fine=3, radius_coarse=2)


def pairs(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 2, 3, 64, 64), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Step-one weights for either colours, with batch statistics of their own."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for seed, colours in enumerate(("lab", "rgb")):
        encoder = random_encoder(18, 0.125, seed)
        encoder(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)), ("res5",))
        paths[colours] = folder / f"{colours}.pth"
        save_weights(paths[colours], encoder, input=colours)
    return paths


def model(weights: dict[str, Path], teacher: str | None = "lab", **changes) -> SpatialThenTemporal:
    settings = replace(SETTINGS, **changes)
    return temporal_model(settings, weights["lab"], weights[teacher] if teacher else None).train()


@pytest.mark.parametrize(
    ("off", "left"),
    [
        ((), {"fine", "coarse", "local", "global"}),
        (("weight_global",), {"fine", "coarse", "local"}),
        (("weight_local",), {"fine", "coarse", "global"}),
        (("weight_fine",), {"coarse", "local", "global"}),
        (("weight_global", "weight_local"), {"fine", "coarse"}),
        (("weight_global", "weight_local", "weight_fine"), {"coarse"}),
    ],
)
def test_weight_zero_removes_a_term(weights: dict[str, Path], off: tuple[str, ...], left: set[str]) -> None:
    found = model(weights, **dict.fromkeys(off, 0.0))(pairs(), 1)
    assert set(found) == left
    assert all(loss.ndim == 0 and loss.isfinite() and loss > 0 for loss in found.values())


def test_teacher_only_where_it_is_needed(weights: dict[str, Path]) -> None:
    without = model(weights, None, weight_global=0.0)
    assert without.teacher is None
    assert not any(name.startswith("teacher") for name in without.state_dict())
    computed = []
    without.student.layer4.register_forward_hook(lambda *_: computed.append("res5"))
    without(pairs(), 1)
    assert not computed  # nor is the stage that only it needs


@pytest.mark.parametrize(
    ("words", "teacher", "changes"),
    [
        ("teacher", None, {}),
        (r"lab\.pth.*same depth and width", "lab", {"width": 0.25}),
        (r"lab\.pth.*same depth and width", "lab", {"depth": 50}),
        ("reads RGB", "rgb", {"weight_global": 0.0, "weight_forget": 1.0}),
    ],
)
def test_weights_that_do_not_fit(weights: dict[str, Path], words: str, teacher: str | None, changes: dict) -> None:
    with pytest.raises(InputError, match=words):
        model(weights, teacher, **changes)


def test_bands_give_losses_and_gradients_alike(weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for correlate in (correlation, temporal.banded_correlation):
        monkeypatch.setattr(temporal, "banded_correlation", correlate)
        tested = model(weights).double()
        values = tested(pairs(), 1)
        sum(values.values()).backward()
        found.append([*values.values(), *(p.grad for p in tested.student.parameters())])
    for whole, banded in zip(*found, strict=True):
        torch.testing.assert_close(banded, whole, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("teacher", ["lab", "rgb"])
@pytest.mark.parametrize("channel", [1, 2])
@pytest.mark.parametrize("local", [LocalDistillation(), LocalDistillation.released()])
def test_losses_by_features(weights: dict[str, Path], teacher: str, channel: int, local: LocalDistillation) -> None:
    tested = model(weights, teacher, local=local)
    seen = {}
    for name, layer in {"res3": "layer2", "res4": "layer3", "res5": "layer4"}.items():
        getattr(tested.student, layer).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    found = tested(pairs(), channel)

    rgb = pairs().float() / 255  # (B, 2, 3, H, W)
    reference_lab, query_lab = rgb_to_lab(rgb[:, 0]), rgb_to_lab(rgb[:, 1])
    # 2 B features: the references first
    reference, query = ({name: f[part] for name, f in seen.items()} for part in (slice(0, 2), slice(2, 4)))
    fine = correlation(query["res3"], reference["res3"], radius=3)
    coarse = correlation(query["res4"], reference["res4"], radius=2)
    assert fine.shape == (2, 16 * 16, 16 * 16)
    assert coarse.shape == (2, 8 * 8, 8 * 8)
    expected = {
        "fine": losses.reconstruction_loss(fine, reference_lab, query_lab, channel, 4),
        "coarse": losses.reconstruction_loss(coarse, reference_lab, query_lab, channel, 8),
        "local": 1000 * losses.local_distillation_loss(fine, coarse, query["res4"], reference["res4"], local, radius=2),
    }
    frozen = Encoder(18, 0.125, *STANDARD).eval()
    frozen.load_state_dict(torch.load(weights[teacher])["state_dict"])
    prepare = rgb_to_lab if teacher == "lab" else normalize_rgb
    with torch.no_grad():
        taught = [frozen(prepare(rgb[:, side]), ("res5",))["res5"] for side in (1, 0)]  # query, reference
    target = losses.teacher_correlation(*taught, 0.07)
    expected["global"] = 50 * losses.global_distillation_loss(query["res5"], reference["res5"], target)
    assert found.keys() == expected.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-4, atol=1e-7, msg=lambda m, name=name: f"{name}: {m}")
    torch.testing.assert_close(sum(found.values()), sum(expected.values()), rtol=1e-4, atol=0)


def test_a_given_target_takes_the_teachers_place(weights: dict[str, Path]) -> None:
    tested, seen, asked = model(weights), {}, []
    tested.student.layer4.register_forward_hook(lambda _m, _i, out: seen.update(res5=out))
    tested.teacher.register_forward_hook(lambda *_: asked.append("teacher"))
    target = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(1))
    found = tested(pairs(), 1, target)["global"]
    reference, query = seen["res5"].chunk(2)
    torch.testing.assert_close(found, 50 * (correlation(query, reference) - target).square().mean())
    assert not asked
    assert model(weights, teacher_cosine=True)(pairs(), 1)["global"] != model(weights)(pairs(), 1)["global"]


def test_weights_multiply(weights: dict[str, Path]) -> None:
    names = ("weight_fine", "weight_coarse", "weight_local", "weight_global")
    ones = model(weights, **dict.fromkeys(names, 1.0))(pairs(), 2)
    scaled = model(weights, weight_fine=2.0, weight_coarse=3.0, weight_local=5.0, weight_global=7.0)(pairs(), 2)
    for name, factor in {"fine": 2, "coarse": 3, "local": 5, "global": 7}.items():
        torch.testing.assert_close(scaled[name], factor * ones[name])


def test_teacher_stays_frozen(weights: dict[str, Path]) -> None:
    tested = model(weights)
    assert tested.student.training
    assert not any(module.training for module in tested.teacher.modules())
    before = {name: value.clone() for name, value in tested.teacher.state_dict().items()}
    statistics = tested.student.bn1.running_mean.clone()
    sum(tested(pairs(), 1).values()).backward()
    assert all(torch.equal(value, before[name]) for name, value in tested.teacher.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in tested.teacher.parameters())
    assert not torch.equal(tested.student.bn1.running_mean, statistics)
    reached = {name for name, p in tested.student.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    ends = {name for name, p in tested.student.named_parameters() if name.endswith("bn2.weight")}  # they begin at zero
    inside = {name for name, _ in tested.student.named_parameters() if re.search(r"\d\.(conv1|bn1|conv2)\.", name)}
    assert ends <= reached == {name for name, _ in tested.student.named_parameters()} - inside
    assert not tested.eval().student.training
    assert not tested.train().teacher.training


@pytest.mark.parametrize("channel", [1, 2])
def test_student_sees_lab_without_one_channel(weights: dict[str, Path], channel: int) -> None:
    tested, seen = model(weights), []
    tested.student.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tested(pairs(), channel)
    frames = torch.cat([pairs()[:, 0], pairs()[:, 1]]).float() / 255
    lab = rgb_to_lab(frames)
    (found,) = seen
    assert found.shape == (4, 3, 64, 64)
    assert (found[:, channel] == 0).all()
    for kept in {0, 1, 2} - {channel}:
        torch.testing.assert_close(found[:, kept], 1.5 * lab[:, kept])


def test_student_starts_from_the_initial_weights(weights: dict[str, Path]) -> None:
    state = torch.load(weights["lab"])["state_dict"]
    started = model(weights).student.state_dict()
    assert all(torch.equal(value, started[name]) for name, value in state.items())
    scratch = SpatialThenTemporal(replace(SETTINGS, weight_global=0.0)).student.state_dict()
    assert not torch.equal(scratch["conv1.weight"], state["conv1.weight"])


def test_learning_without_forgetting(weights: dict[str, Path]) -> None:
    """The student sees the teacher's own inputs, and the look leaves no trace in its running statistics."""
    tested = model(weights, weight_global=0.0, weight_forget=3.0)
    without = model(weights, None, weight_global=0.0)
    expected_student, seen = model(weights, None, weight_global=0.0).student.train(), {}
    rgb = pairs().transpose(0, 1).flatten(0, 1).float() / 255  # (2 B, 3, H, W)
    found, rest = tested(pairs(), 1), without(pairs(), 1)
    for name, value in tested.student.named_buffers():
        assert torch.equal(value, without.student.get_buffer(name)), name
    assert {name: loss.item() for name, loss in found.items() if name != "forget"} == pytest.approx(
        {name: loss.item() for name, loss in rest.items()}
    )
    frozen = Encoder(18, 0.125, *STANDARD).eval()
    frozen.load_state_dict(torch.load(weights["lab"])["state_dict"])
    seen["own"] = expected_student(rgb_to_lab(rgb), ("res5",))["res5"]  # no channel dropped
    with torch.no_grad():
        seen["taught"] = frozen(rgb_to_lab(rgb), ("res5",))["res5"]
    expected = 3 * losses.without_forgetting_loss(seen["own"], seen["taught"])
    torch.testing.assert_close(found["forget"], expected, rtol=1e-4, atol=1e-7)
    found["forget"].backward()
    assert tested.student.conv1.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in tested.teacher.parameters())


def test_features_leave_autocast_in_32_bits(weights: dict[str, Path]) -> None:
    """Under autocast images may have become 16-bit before they are asked for."""
    it = model(weights, weight_global=0.0, weight_forget=1.0)
    with torch.autocast("cpu", torch.bfloat16):
        features = it.undropped(torch.zeros(1, 3, 64, 64, dtype=torch.bfloat16))
        losses = it(pairs(), 1)
    assert features.dtype == torch.float32
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
