"""Counted operations, memory and time: against formulas, known figures and PyTorch's own books. Never against a clock."""

import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from stt_core.errors import InputError
from stt_core.propagation import Inference
from stt_core.spatial import SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_study.cli import main
from stt_study.profile import load_profile
from stt_study.speed import budget, costs, gpus
from stt_study.speed.gpus import GPUS, LAUNCH, Gpu
from stt_study.speed.meter import Op, metered
from stt_study.speed.throughput import Measured, RandomItems, fitting, measure

SPATIAL = SpatialSettings(width=0.125, size=32, load_size=40, batch=8, steps=2, queue=16, dim=8)
TEMPORAL = TemporalSettings(width=0.125, size=64, batch=4, steps=2, radius_fine=3, radius_coarse=2)


def test_a_convolution_by_hand() -> None:
    layer = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
    with metered() as meter:
        out = layer(torch.empty(2, 3, 20, 30))
        assert meter.live == 4 * (2 * 3 * 20 * 30 + 2 * 8 * 10 * 15)
        out.sum().backward()
    forward = 2 * (2 * 8 * 10 * 15) * (3 * 5 * 5)
    first, *others = [op for op in meter.ops if op.flops]
    assert (first.flops, first.half) == (forward, False)
    assert first.bytes == 4 * (2 * 3 * 20 * 30 + 8 * 3 * 5 * 5 + 2 * 8 * 10 * 15)
    assert sum(op.flops for op in others) == forward  # of the weights; nobody asks for the images' gradient
    assert isinstance(layer.weight.data, torch.Tensor)
    assert layer.weight.isfinite().all()  # the module is as it was


def test_views_move_nothing_and_what_is_dropped_is_given_back() -> None:
    with metered() as meter:
        x = torch.zeros(10, 10)
        before = len(meter.ops)
        y = x.T.reshape(5, 20)[1:]
        assert [op.name for op in meter.ops[before:]] == ["clone"]
        z = y + 1
        held = meter.live
        del z
        assert held - meter.live == 4 * 80
        assert meter.peak == held


def test_known_figures_of_a_resnet_18() -> None:
    with metered() as meter, torch.no_grad():
        resnet18().eval()(torch.empty(1, 3, 224, 224))
    assert sum(op.flops for op in meter.ops) == pytest.approx(2 * 1.82e9, rel=0.01)
    # The encoder has no classifier, and stops at res4 in an evaluation: a quarter of the work is in each stage.
    whole = costs.spatial_cost(replace(SPATIAL, width=1.0, size=224, batch=2, queue=2))
    assert whole.flops / 2 == pytest.approx(4 * 2 * 1.82e9, rel=0.05)  # query forward, backward twice, key forward


def test_the_count_is_pytorchs_own() -> None:
    model = SpatialThenTemporal(replace(TEMPORAL, weight_global=0.0)).train()
    with FlopCounterMode(display=False) as counter:
        pairs = torch.zeros(4, 2, 3, 64, 64, dtype=torch.uint8)
        sum(model(pairs, 1).values()).backward()
    found = costs.temporal_cost(replace(TEMPORAL, weight_global=0.0))
    assert found.flops == counter.get_total_flops()


def test_the_correlations_matrix_products_by_formula() -> None:
    """Forward: both levels, the local volume; with the colours that they carry. A backward pass doubles all but the volume."""
    cost = costs.temporal_cost(replace(TEMPORAL, weight_global=0.0))
    fine, coarse, pairs = 16**2, 8**2, 4
    features = fine**2 * 16 + coarse**2 * 32  # multiplications: cells x cells x channels
    colours = fine**2 + coarse**2
    # Of the colours, only the correlation's gradient is asked for. RGB is turned to Lab by a matrix of 3 x 3.
    expected = 2 * pairs * (3 * features + coarse**2 * 32 + 2 * colours + 2 * 64**2 * 9)
    products = gpus.by_kind(cost.ops, GPUS["h100"]).loc["matrix products", "TFLOP"]
    assert products * 1e12 == pytest.approx(expected)


def test_operations_are_in_proportion_to_the_batch_and_divided_among_gpus() -> None:
    for cost, settings in ((costs.spatial_cost, SPATIAL), (costs.temporal_cost, TEMPORAL)):
        whole, twice = cost(settings), cost(replace(settings, batch=2 * settings.batch))
        assert twice.flops == 2 * whole.flops
        assert twice.weights == whole.weights
        assert whole.kept < twice.kept <= 2 * whole.kept
        assert cost(replace(settings, batch=2 * settings.batch), gpus=2).flops == whole.flops
    parts = costs.temporal_cost(replace(TEMPORAL, accumulate=2))
    whole = costs.temporal_cost(TEMPORAL)
    assert (parts.items, parts.flops) == (whole.items, whole.flops)
    assert parts.peak < whole.peak
    shards = costs.spatial_cost(replace(SPATIAL, shards=4))
    assert shards.flops == costs.spatial_cost(SPATIAL).flops
    assert costs.spatial_cost(replace(SPATIAL, shards=4), gpus=4).items == 2


def test_memory_of_weights_and_optimizer() -> None:
    model = SpatialThenTemporal(replace(TEMPORAL, weight_global=0.0))
    cost = costs.temporal_cost(replace(TEMPORAL, weight_global=0.0))
    trained = sum(p.numel() for p in model.student.parameters() if p.requires_grad)
    assert cost.gradients == 4 * trained
    assert cost.optimizer == 2 * 4 * trained
    assert cost.weights == sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    assert cost.memory == cost.weights + cost.optimizer + cost.peak
    spatial = costs.spatial_cost(SPATIAL)
    assert spatial.optimizer == spatial.gradients  # a momentum
    assert costs.spatial_cost(replace(SPATIAL, queue=116)).weights - spatial.weights == 4 * 100 * SPATIAL.dim
    # A larger teacher is held and adds its work, but nothing to train.
    larger = costs.temporal_cost(TEMPORAL, teacher=(50, 0.125))
    own = costs.temporal_cost(TEMPORAL)
    assert larger.weights > own.weights > cost.weights
    assert larger.flops > own.flops > cost.flops
    assert larger.gradients == own.gradients


def test_kept_memory_is_what_autograd_saves() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Sigmoid())
    saved, own = {}, {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    for dtype in (None, torch.bfloat16):
        saved.clear()
        images = torch.rand(4, 3, 24, 24)
        mixed = {"dtype": dtype, "enabled": dtype is not None}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", **mixed):
            out = model(images)
        with metered() as meter, torch.autocast("cpu", **mixed):
            again = model(torch.empty_like(images))
            kept = meter.live
        del out, again
        expected = sum(size for size, _ in saved.values())
        assert kept == pytest.approx(expected, abs=64)  # counters of a few bytes


def test_half_precision_halves_what_autocast_converts() -> None:
    many = replace(SPATIAL, batch=256, queue=256)  # beside which 16-bit copies of the weights are little
    whole, mixed = (costs.spatial_cost(replace(many, precision=name)) for name in ("32-true", "bf16-mixed"))
    assert mixed.flops == whole.flops
    assert 0.4 * whole.kept < mixed.kept < whole.kept
    assert not any(op.half for op in whole.ops)
    assert {op.half for op in mixed.ops if "convolution" in op.name} == {True}
    with pytest.raises(InputError, match="precision"):
        costs.spatial_cost(replace(SPATIAL, precision="64-true"))


def test_counting_leaves_the_random_numbers_alone() -> None:
    costs.spatial_cost.cache_clear()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    costs.spatial_cost(replace(SPATIAL, shards=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_affinity_counts_clipped_windows() -> None:
    inference = Inference(radius=2, num_preceding=3)
    pairs = sum(
        abs(y - v) <= 2 and abs(x - u) <= 2 for y in range(5) for x in range(7) for v in range(5) for u in range(7)
    )
    assert costs.affinity_flops(5, 7, 16, inference) == 2 * pairs * 4 * 16


def test_time_is_the_longer_of_arithmetic_and_memory() -> None:
    on = Gpu("made up", half=2.0, single=1.0, bandwidth=1.0, memory=1.0)
    fast, slow, moved = Op("a", 4e12, 1e12, True), Op("b", 4e12, 1e12, False), Op("c", 0.0, 5e12, True)
    assert [gpus.op_seconds(op, on) for op in (fast, slow, moved)] == [2.0, 4.0, 5.0]
    assert gpus.seconds((fast, slow, moved), on, 0.5) == 22.0
    assert gpus.seconds((Op("d", 0.0, 1.0, True),) * 3, on, 1.0) == 3 * LAUNCH
    assert gpus.by_kind((fast, moved), on)["time"].tolist() == [0.0, 2 / 7, 5 / 7]


def test_what_was_published_lies_within_what_is_assumed() -> None:
    reached = gpus.calibration(batch=8)["reached"]
    assert reached.between(0.5, 0.7).all()
    assert all(min(gpus.REACHED) < share for share in reached)


def test_a_budget_has_every_training_once() -> None:
    changes = {"spatial": vars(SPATIAL), "temporal": {k: v for k, v in vars(TEMPORAL).items() if k != "local"}}
    profile = load_profile("tiny", {**changes, "teacher": "rgb"})
    planned = budget.Budget(profile, 2, "all")
    jobs = planned.jobs()
    assert (
        len({job.title for job in jobs}) == len(jobs) == 1 + len(budget.VARIANTS)
    )  # "step one" is no training of its own
    one_stage = next(job for job in jobs if job.title == "both steps at once")
    assert one_stage.gpus == 1
    by_title = {job.title: job.cost.flops for job in jobs}
    assert by_title["no distillation"] < by_title["no local distillation"] < by_title["full method"]
    times = budget.time_table(jobs, GPUS["a100"], seeds=3)
    assert times.index[-1] == "together"
    assert times["GPU-hours to"].iloc[-1] == pytest.approx(times["GPU-hours to"].iloc[:-1].sum())
    hours = times["GPU-hours to"] / (3 * times["hours to"])
    assert hours.dropna().round(9).isin([1.0, 2.0]).all()
    published = replace(profile, published=replace(profile.published, student="a.pth", teacher="b.pth"))
    assert not any(job.title.startswith("step one") for job in budget.Budget(published, 2).jobs())
    frames = budget.evaluation_table(profile, GPUS["a100"])
    assert frames.loc["davis", "px"] == "480 x 854"
    assert frames.loc["davis", "frames"] == 1999


def test_numbers_as_text() -> None:
    assert [budget.brief(v) for v in (0.0, 12.0, 0.01234, 1.234, 123.4, 98765.4)] == [
        *("0", "12", "0.0123", "1.23", "123", "98,765"),
    ]
    table = budget.as_ranges(pd.DataFrame({"a": [1], "s from": [2.5], "s to": [1.0]}))
    assert table.loc[0].tolist() == [1, "1 to 2.50"]


def test_measured_steps() -> None:
    cost = costs.spatial_cost(SPATIAL)
    found = measure(SPATIAL, cost, steps=2)
    assert len(found.times) == 2
    assert min(found.times) > 0
    assert found.items == found.of == 8
    assert found.rate == pytest.approx(cost.flops / found.seconds)
    assert measure(TEMPORAL, costs.temporal_cost(TEMPORAL), steps=1).summary(10)["hours"] > 0
    with pytest.raises(InputError, match="0 steps"):
        measure(SPATIAL, cost, steps=0)


def test_a_large_share_is_measured_in_part() -> None:
    cost = costs.temporal_cost(replace(TEMPORAL, batch=12))
    assert fitting(cost) == 12
    assert fitting(replace(cost, peak=10 * 3_000_000_000)) == 2
    assert fitting(replace(cost, peak=int(2.4 * 3_000_000_000))) == 4
    assert Measured("", 4, 12, (3.0, 1.0, 2.0), 12.0).seconds == 6.0
    items = RandomItems((3, 4, 4), 2, 9)
    for index in range(4):
        assert items[0, index].shape == (3, 4, 4)
    assert (len(items), len(items.begun)) == (9, 2)


def stt(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["stt", "plan", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return stop.code, *capsys.readouterr()
    return 0, *capsys.readouterr()


def test_the_command_prints_its_tables(capsys, monkeypatch) -> None:
    code, output, error = stt(
        capsys, monkeypatch, "--profile", "smoke", "--gpus", 2, "--gpu", "v100", "--rows", "headline", "--seeds", 2
    )
    assert (code, error) == (0, "")
    assert "2 x V100" in output
    assert "2 seeds" in output
    for word in ("step one, Lab", "full method", "together", "davis", "30% to 60%"):
        assert word in output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--gpus", 0), "--gpus is 0"),
        (("--gpus", 3), "can't be divided"),
        (("--gpu", "abacus"), "no GPU abacus"),
        (("--seeds", 0), "--seeds is 0"),
        (("--reached", 0, 1), "--reached"),
        (("--steps", 0, "--measure"), "--steps is 0"),
        (("--profile", "nowhere"), "no profile"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(capsys, monkeypatch, arguments, named) -> None:
    code, output, error = stt(capsys, monkeypatch, "--profile", "smoke", *arguments)
    assert (code, output) == (2, "")
    assert error.startswith("stt: ")
    assert error.count("\n") == 1
    assert named in error
