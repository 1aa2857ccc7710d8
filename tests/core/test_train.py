"""The two training loops: rates by hand, resuming bit by bit, and what a run leaves in its folder."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from trained import log, same, stopping

from stt_core.checkpoints import load_encoder
from stt_core.distributed import Scale
from stt_core.encoder import STANDARD
from stt_core.errors import InputError
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.images import Images
from stt_core.training.loop import cosine_rate
from stt_core.training.pairs import FramePairs
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
    """Train "spatial" or "temporal": `run(step, out, stop=n, workers=, tensorboard=, **settings)`.

    With `stop`, the n-th item that is read raises KeyboardInterrupt, as Ctrl-C would.
    """

    def run(step: str, out: Path, *, stop: int | None = None, workers: int = 0, tensorboard=False, **changes) -> Path:
        how = {"scale": Scale(workers=workers, tensorboard=tensorboard), "save_every": 3, "origin": {"where": "here"}}
        if step == "spatial":
            settings = replace(SPATIAL, **changes)
            images = stopping(Images, stop)(data_folder / "imagenet", 40, seed=settings.seed)
            return train_spatial(settings, images, out, **how)
        settings = replace(TEMPORAL, **changes)
        pairs = stopping(FramePairs, stop)(data_folder / "youtube-vos", size=64, seed=settings.seed)
        return train_temporal(settings, pairs, out, initial=initial, teacher=initial, **how)

    return run


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
    assert len(log(out)) == 3
    with pytest.raises(KeyboardInterrupt):
        run(step, out, stop=3)  # once more, before the next checkpoint
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 3
    kept = torch.load(out / "checkpoint.pt", weights_only=True)["sessions"]
    torch.manual_seed(99)  # another process has another random state
    assert same(run(step, out), whole)
    assert log(out) == log(tmp_path / "whole")
    assert not same(run(step, tmp_path / "other", seed=4), whole)

    record = json.loads((out / "run.json").read_text())  # of each session, with what it ran
    assert record["settings"]["seed"] == 3
    assert record["sessions"][0] == kept[0]
    assert [session["from step"] for session in record["sessions"]] == [0, 3]
    for session in record["sessions"]:
        assert session["versions"]["torch"] == torch.__version__.split("+")[0]
        assert len(session["commit"].rstrip("+")) == 40 or session["commit"] == "unknown"
        assert session["processes"] == 1
        assert session["machine"]["processor"]
        assert session["data"] == {"where": "here"}


@pytest.mark.parametrize("step", STEPS)
def test_worker_processes_change_nothing(run, step: str, tmp_path: Path) -> None:
    assert same(run(step, tmp_path / "0", steps=3), run(step, tmp_path / "1", steps=3, workers=1))


@pytest.mark.parametrize("step", STEPS)
def test_what_a_run_leaves(run, step: str, tmp_path: Path) -> None:
    path = run(step, tmp_path / "run")
    assert path == tmp_path / "run" / "weights.pth"
    assert names(tmp_path / "run") == ["metrics.csv", "run.json", "weights.pth"]
    rows = log(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(7))
    assert rows[0]["lr"] < rows[1]["lr"] < rows[2]["lr"]  # two steps of warm-up
    parts = {"spatial": {"accuracy"}, "temporal": {"fine", "coarse", "local", "global"}}[step]
    assert set(rows[0]) == {"step", "loss", "lr"} | parts
    if step == "temporal":
        for row in rows:
            assert row["loss"] == pytest.approx(sum(row[name] for name in parts), rel=1e-5)
    encoder, colours = load_encoder(path, strides=STANDARD[0], pool=STANDARD[1])
    assert colours == "lab"
    assert all(value.isfinite().all() for value in encoder.state_dict().values())
    assert int(encoder.bn1.num_batches_tracked) == 7  # what was trained was saved


ADAM = ("Adam", {"lr": 1e-3, "betas": (0.9, 0.999), "weight_decay": 0})
SGD = ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": False})


@pytest.mark.parametrize(("step", "kind", "known"), [("temporal", *ADAM), ("spatial", *SGD)])
def test_optimizers(run, step: str, kind: str, known: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, original = [], getattr(torch.optim, kind).step

    def spy(self, *arguments, **keywords):
        seen.extend({name: group[name] for name in known} for group in self.param_groups)
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(getattr(torch.optim, kind), "step", spy)
    run(step, tmp_path / "run", steps=1, warmup=0)
    assert seen == [known]


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
def test_checkpoint_of_other_settings_and_a_broken_one(run, step: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(step, tmp_path, stop=8)
    with pytest.raises(InputError, match=r"checkpoint\.pt.*other settings"):
        run(step, tmp_path, lr=0.123)
    assert names(tmp_path) == ["checkpoint.pt", "metrics.csv", "run.json"]  # and is kept
    content = (tmp_path / "checkpoint.pt").read_bytes()
    for share in (0.0, 0.3, 0.95):
        (tmp_path / "checkpoint.pt").write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read"):
            run(step, tmp_path)


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


def test_tensorboard_gets_every_step_once(run, tmp_path: Path) -> None:
    """Of a run that was stopped in step 5 and went on from step 3."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with pytest.raises(KeyboardInterrupt):
        run("spatial", tmp_path, stop=11, tensorboard=True)
    run("spatial", tmp_path, tensorboard=True)
    found = events.EventAccumulator(str(tmp_path / "events")).Reload()
    assert set(found.Tags()["scalars"]) == {"loss", "accuracy", "lr"}
    seen = {event.step: event.value for event in found.Scalars("loss")}
    assert len(found.Scalars("loss")) == len(seen) == 7
    rows = log(tmp_path)
    assert [seen[row["step"]] for row in rows] == pytest.approx([row["loss"] for row in rows])
