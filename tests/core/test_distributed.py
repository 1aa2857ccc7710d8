"""Two processes on this machine against one: what they compute together, to the last digits."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from trained import log, state
from writers import write_davis

from stt_core import distributed as processes
from stt_core.errors import InputError
from stt_core.features import feature_source
from stt_core.propagation import Inference
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal
from stt_study.benchmarks.davis import DAVIS
from stt_study.benchmarks.run import evaluate
from stt_study.processes import spread, together

# In float64: in float32 these tiny networks blow up any rounding, or a change of a weight by 1e-7, tenfold a step.
SPATIAL = SpatialSettings(
    width=0.125, size=64, load_size=72, batch=8, steps=20, warmup=2, lr=0.01, queue=16, momentum=0.9, dim=8, shards=2,
    precision="64-true",
)  # fmt: skip
TEMPORAL = TemporalSettings(
    width=0.125, size=64, batch=4, steps=20, warmup=2, lr=1e-4, radius_fine=3, radius_coarse=2, seed=3,
    precision="64-true",
)  # fmt: skip


def training(step: str, root: Path, initial: Path, **changes):
    """`train(out, scale)` for a step, to be run in one process or many."""
    if step == "spatial":
        images = Images(root / "imagenet", 72, seed=3)
        images.paths *= 3  # so that queue and batch are no more than an epoch
        return train_spatial, (replace(SPATIAL, **changes), images), {}
    pairs = FramePairs(root / "youtube-vos", size=64, seed=3)
    return train_temporal, (replace(TEMPORAL, **changes), pairs), {"initial": initial, "teacher": initial}


def assert_equal_runs(one: Path, other: Path) -> None:
    """Losses and weights to 1e-5, of which the trainings moved them a hundred times as much."""
    for a, b in zip(log(one.parent), log(other.parent), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    a, b = state(one), state(other)
    for name in a:
        if a[name].is_floating_point():
            torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


def test_two_processes_train_step_one(data_folder: Path, initial: Path, tmp_path: Path) -> None:
    """Each draws its own views, so that the result isn't one process's; it is the same when it is trained again."""
    train, arguments, _ = training("spatial", data_folder, initial, steps=3)
    once, again = (spread(2, train, *arguments, tmp_path / name) for name in ("once", "again"))
    assert_equal_runs(once, again)
    assert json.loads((tmp_path / "once/run.json").read_text())["sessions"][0]["processes"] == 2


def _stopped(train, arguments: tuple, keywords: dict, out: Path, stop: int) -> None:
    """As `train`, but killed in step `stop`."""
    saved = torch.optim.Adam.step
    count = [0]

    def step(self, *given, **named):
        count[0] += 1
        if count[0] > stop:
            raise InputError("stopped")
        return saved(self, *given, **named)

    torch.optim.Adam.step = step
    train(*arguments, out, **keywords)


def test_two_processes_train_step_two_as_one_and_go_on(data_folder: Path, initial: Path, tmp_path: Path) -> None:
    train, arguments, keywords = training("temporal", data_folder, initial, steps=9, accumulate=2)
    keywords["save_every"] = 4
    whole = spread(2, train, *arguments, tmp_path / "whole", **keywords)
    assert_equal_runs(train(*arguments, tmp_path / "one", **keywords), whole)
    out = tmp_path / "stopped"
    with pytest.raises(InputError, match="stopped"):
        spread(2, _stopped, train, arguments, keywords, out, 6)
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 4
    resumed = train(*arguments, out, **keywords)
    assert_equal_runs(whole, resumed)
    record = json.loads((out / "run.json").read_text())
    assert [(s["from step"], s["processes"]) for s in record["sessions"]] == [(0, 2), (4, 1)]


def test_what_cannot_be_divided_is_refused(data_folder: Path, initial: Path, tmp_path: Path) -> None:
    for step, changes in (("spatial", {"shards": 3}), ("temporal", {"accumulate": 3})):
        train, arguments, keywords = training(step, data_folder, initial, **changes)
        with pytest.raises(InputError, match=r"a batch of . can't be divided by 3"):
            train(*arguments, tmp_path / "b", **keywords)


def _normalised(x: Tensor, gradient: Tensor) -> list[Tensor]:
    """Output, input gradient, weight gradient, running mean and variance of this process's half of x."""
    layer = nn.Sequential(nn.BatchNorm2d(3))
    layer[0].weight.data.copy_(torch.tensor([1.0, 2.0, -0.5]))
    processes.synchronise(layer, torch.device("cpu"))
    assert isinstance(layer[0], processes.SyncedNorm) == (processes.count() > 1)
    rank = processes.rank()
    mine = x.chunk(processes.count())[rank].clone().requires_grad_()
    out = layer(mine)
    (out * gradient.chunk(processes.count())[rank]).sum().backward()
    norm = layer[0]
    summed = processes.averaged(norm.weight.grad) * processes.count()
    results = [processes.gathered(out.detach()), processes.gathered(mine.grad), summed]
    results += [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    return [result.clone() for result in results]


def test_parts_leave_the_mean_of_their_statistics() -> None:
    layer = nn.Sequential(nn.BatchNorm2d(2, momentum=0.3))
    layer[0].running_mean.copy_(torch.tensor([1.0, -2.0]))
    before, parts = layer[0].running_mean.clone(), [torch.randn(3, 2, 4, 4) + k for k in range(3)]
    for index, part in enumerate(parts):
        with processes.part_of_batch(layer, index, 3):
            layer(part)
    means = torch.stack([part.mean(dim=(0, 2, 3)) for part in parts])
    torch.testing.assert_close(layer[0].running_mean, 0.7 * before + 0.3 * means.mean(dim=0))
    assert layer[0].momentum == 0.3


def test_split_normalisation_is_that_of_each_part() -> None:
    """Against PyTorch's own, part by part."""
    split, alone = nn.Sequential(nn.BatchNorm2d(2)), nn.BatchNorm2d(2)
    processes.split_norms(split, 3)
    assert isinstance(split[0], processes.SplitNorm)
    x = 5 + torch.randn(6, 2, 4, 4)
    expected = torch.cat([alone(part) for part in x.chunk(3)])
    torch.testing.assert_close(split(x), expected)
    mean = torch.stack([part.mean(dim=(0, 2, 3)) for part in x.chunk(3)]).mean(dim=0)
    torch.testing.assert_close(split[0].running_mean, 0.1 * mean)


def test_a_key_is_embedded_among_others_than_its_query() -> None:
    """Which images were normalised together, seen through an encoder that says so; keys come back in their order."""
    model = MoCo(replace(SPATIAL, shards=2))
    seen = []

    def embed(encoder, head, images: Tensor) -> Tensor:
        seen.append([int(number) for number in images[:, 0, 0, 0]])
        return images[:, 0, 0, :1]

    model.embed = embed
    views = torch.arange(8.0)[:, None, None, None].expand(8, 3, 2, 2)
    assert model.shuffled_keys(views, seed=5)[:, 0].tolist() == list(range(8))
    (first,) = seen
    assert sorted(first) == list(range(8))
    assert set(first[:4]) not in ({0, 1, 2, 3}, {4, 5, 6, 7})
    model.shuffled_keys(views, seed=6)
    assert seen[1] != first  # drawn anew


def _keys(views: Tensor) -> list[Tensor]:
    """Of this process's share of the views: all keys, and the key encoder's running mean."""
    torch.manual_seed(0)
    model = MoCo(SPATIAL).double()
    keys = model.shuffled_keys(views.chunk(processes.count())[processes.rank()], seed=5)
    processes.average_statistics(model)
    return [keys, model.encoder_k.layer4[1].bn2.running_mean]


def _evaluated(root: Path, out: Path) -> dict:
    source = feature_source("random", width=0.25)
    return evaluate(DAVIS, source, root, out, Inference(resize=48, radius=3, num_preceding=2))


def _joined(x: Tensor, gradient: Tensor, views: Tensor, root: Path, out: Path) -> tuple:
    with together():
        return _normalised(x, gradient), _keys(views), _evaluated(root, out)


def test_two_processes_normalise_embed_and_measure_as_one(tmp_path: Path) -> None:
    """Against PyTorch's own normalisation of the whole batch, one process that splits its batch, and one's files."""
    generator = torch.Generator().manual_seed(0)
    x, gradient = torch.randn(2, 6, 3, 4, 5, generator=generator)
    views = torch.rand(8, 3, 64, 64, dtype=torch.float64, generator=generator)
    given = 5 + 3 * x, gradient, views, write_davis(tmp_path / "davis", names=("a", "b", "c"))
    *of_one, alone = _joined(*given, tmp_path / "one")
    *of_two, shared = spread(2, _joined, *given, tmp_path / "two")
    torch.testing.assert_close(of_two, of_one, rtol=1e-5, atol=1e-6)
    for results in (alone, shared):
        assert [record["name"] for record in results["sequences"]] == ["a", "b", "c"]
    assert shared["metrics"] == alone["metrics"]
    for path in sorted((tmp_path / "one").rglob("*.png")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    written = json.loads((tmp_path / "two/results.json").read_text())
    assert written["metrics"] == alone["metrics"]


@pytest.mark.parametrize(
    ("capabilities", "chosen"), [({"amx_bf16": True}, "bf16-mixed"), ({"avx512_bf16": True}, "32-true")]
)
def test_auto_is_bfloat16_where_units_are(capabilities: dict, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert processes.chosen_precision("auto", "cpu") == chosen
    assert processes.chosen_precision("64-true", "cpu") == "64-true"
    assert processes.start("auto", replace(processes.ALONE, device="cpu"))._precision.precision == chosen
