"""The two training loops: rates by hand, resuming bit by bit, and what a run leaves in its folder."""

import csv
import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stt_core.checkpoints import load_encoder
from stt_core.distributed import Scale
from stt_core.encoder import STANDARD
from stt_core.errors import InputError
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training import run as training_run
from stt_core.training.images import Images
from stt_core.training.loop import cosine_rate
from stt_core.training.pairs import FramePairs
from stt_core.training.run import Run
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal

SPATIAL = SpatialSettings(
    width=0.125, size=32, load_size=40, batch=2, steps=7, warmup=2, lr=0.05, queue=5, momentum=0.9, dim=8, seed=3
)
TEMPORAL = TemporalSettings(
    width=0.125, size=64, batch=2, steps=7, warmup=2, lr=1e-3, radius_fine=3, radius_coarse=2, seed=3
)
STEPS = ["spatial", "temporal"]


@pytest.fixture
def run(data_folder: Path, initial: Path):
    """Train "spatial" or "temporal": `run(step, out, stop=n, workers=, save_every=, **settings)`.

    With `stop`, the n-th item that is read raises KeyboardInterrupt, as Ctrl-C would.
    """

    def run(step: str, out: Path, *, stop: int | None = None, workers: int = 0, save_every: int = 3, **changes) -> Path:
        left = [math.inf if stop is None else stop]

        class Stopped:
            def __getitem__(self, address: tuple[int, int]) -> Tensor:
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
                return super().__getitem__(address)

        how = {"scale": Scale(workers=workers), "save_every": save_every, "origin": {"where": "here"}}
        if step == "spatial":
            settings = replace(SPATIAL, **changes)
            images = type("StoppedImages", (Stopped, Images), {})(data_folder / "imagenet", 40, seed=settings.seed)
            return train_spatial(settings, images, out, **how)
        settings = replace(TEMPORAL, **changes)
        pairs = type("StoppedPairs", (Stopped, FramePairs), {})(
            data_folder / "youtube-vos", size=64, seed=settings.seed
        )
        return train_temporal(settings, pairs, out, initial=initial, teacher=initial, **how)

    return run


def state(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def same(first: Path, second: Path) -> bool:
    a, b = state(first), state(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows(out: Path) -> list[dict[str, float]]:
    with open(out / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_rate_warms_up_and_falls_to_a_thousandth() -> None:
    rate = [cosine_rate(step, lr=0.2, steps=104, warmup=4) for step in range(104)]
    assert rate[0] == pytest.approx(0.2 * 1e-3)
    cosine = 0.2 * (1e-3 + (1 - 1e-3) * (1 + math.cos(math.pi * 3 / 104)) / 2)  # counts from step 0
    assert rate[3] == pytest.approx(cosine * (1 - 0.25 * 0.999))  # three quarters of the warm-up are over
    assert rate[52] == pytest.approx(0.2 * (1 + 1e-3) / 2)  # half-way
    assert rate[26] == pytest.approx(0.2 * (1e-3 + (1 - 1e-3) * (2 + math.sqrt(2)) / 4))  # a quarter
    assert cosine_rate(104, lr=0.2, steps=104, warmup=4) == pytest.approx(0.2 * 1e-3)  # the end
    assert all(later < earlier for earlier, later in pairwise(rate[4:]))
    assert cosine_rate(0, lr=3e-2, steps=10) == pytest.approx(3e-2)  # no warm-up
    assert cosine_rate(3, lr=1.0, steps=3, warmup=3) == pytest.approx(1e-3)  # nothing but warm-up


@pytest.mark.parametrize("step", STEPS)
def test_interrupted_and_continued_is_as_uninterrupted(run, step: str, tmp_path: Path) -> None:
    whole = run(step, tmp_path / "whole")
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(step, out, stop=11)  # 2 items a step: in step 5, two steps after the checkpoint
    assert names(out) == ["checkpoint.pt", "metrics.csv", "run.json"]
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 3
    assert len(rows(out)) == 3
    with pytest.raises(KeyboardInterrupt):
        run(step, out, stop=3)  # once more, before the next checkpoint
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 3
    torch.manual_seed(99)  # another process has another random state
    assert same(run(step, out), whole)
    assert rows(out) == rows(tmp_path / "whole")
    assert not same(run(step, tmp_path / "other", seed=4), whole)


@pytest.mark.parametrize("step", STEPS)
def test_stopped_after_the_last_step(run, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(step, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "save_weights", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(step, tmp_path / "stopped", save_every=7)
    assert same(run(step, tmp_path / "stopped", stop=0), whole)  # no step is run again


@pytest.mark.parametrize("step", STEPS)
def test_worker_processes_change_nothing(run, step: str, tmp_path: Path) -> None:
    assert same(run(step, tmp_path / "0", steps=3), run(step, tmp_path / "1", steps=3, workers=1))


@pytest.mark.parametrize("step", STEPS)
def test_what_a_run_leaves(run, step: str, tmp_path: Path) -> None:
    path = run(step, tmp_path / "run")
    assert path == tmp_path / "run" / "weights.pth"
    assert names(tmp_path / "run") == ["metrics.csv", "run.json", "weights.pth"]
    log = rows(tmp_path / "run")
    assert [row["step"] for row in log] == list(range(7))
    assert log[0]["lr"] < log[1]["lr"] < log[2]["lr"]  # two steps of warm-up
    parts = {"spatial": {"accuracy"}, "temporal": {"fine", "coarse", "local", "global"}}[step]
    assert set(log[0]) == {"step", "loss", "lr"} | parts
    if step == "temporal":
        for row in log:
            assert row["loss"] == pytest.approx(sum(row[name] for name in parts), rel=1e-5)
    encoder, colours = load_encoder(path, strides=STANDARD[0], pool=STANDARD[1])
    assert colours == "lab"
    assert all(value.isfinite().all() for value in encoder.state_dict().values())
    assert int(encoder.bn1.num_batches_tracked) == 7  # what was trained was saved


@pytest.mark.parametrize("step", STEPS)
def test_adam_and_sgd_step_by_hand(run, step: str, tmp_path: Path) -> None:
    """One step from known weights and known gradients: Adam's first step is lr * sign, SGD's lr * (grad + decay)."""
    before, gradients = {}, {}
    kind = "Adam" if step == "temporal" else "SGD"
    original = getattr(torch.optim, kind).step

    def spy(self, *arguments, **keywords):
        known = {"Adam": {"betas": (0.9, 0.999)}, "SGD": {"momentum": 0.9}}[kind]  # seen from the second step on
        assert all(group[name] == value for group in self.param_groups for name, value in known.items())
        for index, parameter in enumerate(p for group in self.param_groups for p in group["params"]):
            before[index], gradients[index] = parameter.detach().clone(), parameter.grad.clone()
        result = original(self, *arguments, **keywords)
        for index, parameter in enumerate(p for group in self.param_groups for p in group["params"]):
            moved, gradient = parameter.detach() - before[index], gradients[index]
            if step == "spatial":
                torch.testing.assert_close(moved, -0.05 * (gradient + 1e-4 * before[index]), rtol=1e-3, atol=1e-7)
            else:
                torch.testing.assert_close(moved, -1e-3 * gradient / (gradient.abs() + 1e-8), rtol=1e-3, atol=1e-7)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getattr(torch.optim, kind), "step", spy)
        run(step, tmp_path / "run", steps=1, warmup=0)
    assert gradients
    assert sum(float(g.abs().sum()) for g in gradients.values()) > 0


def test_rgb_weights_say_so(run, tmp_path: Path) -> None:
    path = run("spatial", tmp_path / "run", steps=1, input="rgb")
    assert load_encoder(path, strides=STANDARD[0], pool=STANDARD[1])[1] == "rgb"


def test_one_dropped_channel_a_batch_and_both_in_turn(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = []
    forward = SpatialThenTemporal.forward
    monkeypatch.setattr(
        SpatialThenTemporal,
        "forward",
        lambda self, pairs, channel: channels.append(channel) or forward(self, pairs, channel),
    )
    run("temporal", tmp_path / "run", steps=12)
    assert len(channels) == 12
    assert set(channels) == {1, 2}


@pytest.mark.parametrize("step", STEPS)
def test_checkpoint_of_other_settings(run, step: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(step, tmp_path, stop=8)
    with pytest.raises(InputError, match=r"checkpoint\.pt.*other settings"):
        run(step, tmp_path, lr=0.123)
    assert names(tmp_path) == ["checkpoint.pt", "metrics.csv", "run.json"]  # and is kept


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_broken_checkpoint(run, step: str, share: float, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(step, tmp_path, stop=8)
    checkpoint = tmp_path / "checkpoint.pt"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read"):
        run(step, tmp_path)


@pytest.mark.parametrize("step", STEPS)
def test_a_write_that_fails_leaves_the_earlier_checkpoint(
    run, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(step, tmp_path / "whole")
    write, count = Path.write_bytes, [0]

    def failing(path: Path, content: bytes) -> None:
        count[0] += path.suffix == ".pt"
        write(path, content[:1000] if count[0] == 2 else content)
        if count[0] == 2:
            raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", failing)
        with pytest.raises(OSError, match="disk full"):
            run(step, tmp_path / "run")
    assert names(tmp_path / "run") == ["checkpoint.pt", "metrics.csv", "run.json"]
    assert same(run(step, tmp_path / "run"), whole)


@pytest.mark.parametrize(("step", "value"), [("spatial", math.nan), ("temporal", math.inf)])
def test_loss_that_is_not_finite(run, step: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = [0]
    kind = {"spatial": MoCo, "temporal": SpatialThenTemporal}[step]
    forward = kind.forward

    def broken(self, *arguments):
        count[0] += 1
        result = forward(self, *arguments)
        if count[0] < 5:
            return result
        return (result[0] * value, result[1]) if step == "spatial" else {**result, "fine": result["fine"] * value}

    monkeypatch.setattr(kind, "forward", broken)
    with pytest.raises(InputError, match=r"run.*loss is (nan|inf) at step 4"):
        run(step, tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)  # of before
    assert kept["step"] == 3
    assert all(value.isfinite().all() for value in kept["model"].values())


def test_tensorboard_gets_every_step_once(data_folder: Path, tmp_path: Path) -> None:
    """Of a run that was stopped and went on, too."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    images = Images(data_folder / "imagenet", 40, seed=3)
    how = {"scale": Scale(tensorboard=True), "save_every": 3}
    train_spatial(SPATIAL, images, tmp_path / "whole", **how)
    run = Run.log

    def stopping(self, step: int, **values: Tensor) -> None:
        run(self, step, **values)
        if step == 4:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "log", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_spatial(SPATIAL, images, tmp_path / "stopped", **how)
    train_spatial(SPATIAL, images, tmp_path / "stopped", **how)
    for name in ("whole", "stopped"):
        found = events.EventAccumulator(str(tmp_path / name / "events")).Reload()
        assert set(found.Tags()["scalars"]) == {"loss", "accuracy", "lr"}
        seen = {event.step: event.value for event in found.Scalars("loss")}
        assert len(found.Scalars("loss")) == len(seen) == 7
        log = rows(tmp_path / name)
        assert [seen[row["step"]] for row in log] == pytest.approx([row["loss"] for row in log])


@pytest.mark.parametrize("step", STEPS)
def test_a_run_says_what_it_ran_with(run, step: str, tmp_path: Path) -> None:
    """Of each session: it was stopped after three steps were saved, and went on."""
    with pytest.raises(KeyboardInterrupt):
        run(step, tmp_path, stop=8)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["sessions"]
    run(step, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"]["seed"] == 3
    assert record["sessions"][0] == kept[0]
    assert [session["from step"] for session in record["sessions"]] == [0, 3]
    for session in record["sessions"]:
        assert session["versions"]["torch"] == torch.__version__.split("+")[0]
        assert len(session["commit"].rstrip("+")) == 40 or session["commit"] == "unknown"
        assert session["processes"] == 1
        assert session["machine"]["processor"]
        assert session["data"] == {"where": "here"}
