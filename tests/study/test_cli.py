"""The command line as a user meets it: figures on standard output. What it refuses is in `test_bad_*.py`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from answers import Shell, assert_refused
from writers import write_videos

TINY = {
    "real": [],
    "spatial": {"width": 0.125, "size": 32, "load_size": 40, "batch": 2, "steps": 2, "queue": 5, "dim": 8, "lr": 1e-3},
    "temporal": {"width": 0.125, "size": 64, "batch": 2, "steps": 2, "radius_fine": 3, "radius_coarse": 2},
}


@pytest.fixture
def common(tmp_path: Path, data_folder: Path) -> tuple:
    """Options of a training: a tiny profile, and data."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"profile": "tiny", "settings": TINY}))
    return "--profile", path, "--data", data_folder


def results_of(shell: Shell, out: Path, *options: object) -> tuple[dict, str]:
    """Content of results.json of `stt evaluate davis`, and what was printed."""
    answer = shell("evaluate", "davis", *options, "--out", out)
    assert (answer.code, answer.error) == (0, "")
    return json.loads((out / "results.json").read_text()), answer.output


def test_evaluate_davis(shell: Shell, data_folder: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", ("--resize", 96, "--radius", 4, "--topk", 3, "--num-preceding", 2)
    results, output = results_of(shell, out, "--data", data_folder / "davis", "--weights", "lab", *options)
    settings = results["settings"]
    assert (settings["task"], settings["split"], settings["stride"]) == ("davis", "val", 8)
    assert (settings["resize"], settings["radius"], settings["topk"], settings["num_preceding"]) == (96, 4, 3, 2)
    assert settings["temperature"] == 0.07
    for name, value in results["metrics"].items():
        assert f"{name} {value:.4f}" in output
    assert output.splitlines()[-1] == str(out / "results.json")
    assert results["metrics"]["J&F-Mean"] > 0.5
    assert sorted(path.name for path in (out / "masks" / "square").iterdir()) == [f"{t:05d}.png" for t in range(5)]


def test_evaluate_presets(shell: Shell, data_folder: Path, tmp_path: Path) -> None:
    davis = ("--data", data_folder / "davis", "--weights", "lab", "--resize", 48)

    def settings(*options: object) -> dict:
        return results_of(shell, tmp_path / "-".join(map(str, options)), *davis, *options)[0]["settings"]

    found = settings("--preset", "davis_dino", "--topk", 3)
    assert (found["num_preceding"], found["topk"], found["temperature"], found["stride"]) == (7, 3, 0.1, 8)
    found = settings("--preset", "davis_s4", "--radius", 3)
    assert (found["stride"], found["radius"]) == (4, 3)
    assert settings("--window", "circle")["window"] == "circle"


def test_baselines_without_features(shell: Shell, data_folder: Path, tmp_path: Path) -> None:
    found = {}
    for weights in ("copy", "flow"):
        davis = ("--data", data_folder / "davis", "--weights", weights)
        results, output = results_of(shell, tmp_path / weights, *davis)
        assert re.search(r"^5 frames, \d+\.\d\d a second$", output, re.MULTILINE)
        found[weights] = results["metrics"]
    assert found["copy"]["J-Mean"] == pytest.approx((12 / 20 + 8 / 24 + 4 / 28) / 3)  # 16 px wide, 4 px a frame
    assert found["flow"] != found["copy"]


def test_train_both_steps_and_evaluate(shell: Shell, data_folder: Path, tmp_path: Path, common: tuple) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    answer = shell("train", "spatial", *common, "--out", one, "--seed", 3)
    assert answer == (0, f"{one / 'weights.pth'}\n", "", [])
    assert torch.load(one / "weights.pth", weights_only=True)["input"] == "lab"
    answer = shell("train", "temporal", *common, "--out", two, "--initial", one / "weights.pth")
    assert answer == (0, f"{two / 'weights.pth'}\n", "", [])
    header = (two / "metrics.csv").read_text().splitlines()
    assert header[0] == "step,loss,fine,coarse,local,global,lr"
    assert len(header) == 3
    davis = ("--data", data_folder / "davis", "--resize", 48, "--radius", 3)
    results_of(shell, tmp_path / "out", *davis, "--weights", two / "weights.pth")
    assert_refused(shell("train", "spatial", *common, "--out", one), one / "weights.pth", "is there already")
    file = tmp_path / "file"
    file.touch()
    assert_refused(shell("train", "spatial", *common, "--out", file), file)


def test_seed_and_colours_reach_the_training(
    shell: Shell, tmp_path: Path, common: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noted(settings, images, out: Path, **how) -> Path:
        seen.append((settings.seed, images.seed, settings.input, how["scale"].device))
        return out

    monkeypatch.setattr("stt_core.training.train_spatial.train_spatial", noted)
    for options in ((), ("--seed", 1), ("--input", "rgb", "--device", "cpu")):
        assert shell("train", "spatial", *common, "--out", tmp_path / "out", *options).code == 0
    assert seen == [(0, 0, "lab", "auto"), (1, 1, "lab", "auto"), (0, 0, "rgb", "cpu")]


@pytest.mark.parametrize(
    ("variant", "columns"),
    [
        ("no_global", "step,loss,fine,coarse,local,lr"),
        ("scratch", "step,loss,fine,coarse,lr"),
    ],
)
def test_variants(shell: Shell, tmp_path: Path, common: tuple, variant: str, columns: str) -> None:
    temporal = ("train", "temporal", *common, "--variant", variant, "--out", tmp_path / "two")
    if variant == "no_global":
        assert_refused(shell(*temporal), "--initial")
        none = tmp_path / "none.pth"
        assert_refused(shell(*temporal, "--initial", none), none)
        assert shell("train", "spatial", *common, "--out", tmp_path / "one").code == 0
        temporal = (*temporal, "--initial", tmp_path / "one" / "weights.pth")
    assert shell(*temporal).code == 0
    assert (tmp_path / "two" / "metrics.csv").read_text().splitlines()[0] == columns


@pytest.mark.parametrize("arguments", [(), ("data",), ("train",), ("evaluate",), ("propagate",)])
def test_help(shell: Shell, arguments: tuple) -> None:
    answer = shell(*arguments, "--help")
    assert (answer.code, answer.error) == (0, "")
    assert "usage: stt" in answer.output
    named = {(): "bench", ("data",): "--root", ("train",): "share_0.4"}.get(arguments, "--precision")
    assert named in answer.output


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("evaluate", "davis"),
        ("evaluate", "kitti", "--data", "d", "--weights", "lab", "--out", "o"),
        ("train", "spatial", "--out", "o", "--seed", "x"),
    ]
    + [("train", "temporal", "--out", "o", "--variant", name) for name in ("step_one", "one_stage", "everything")],
)
def test_wrong_usage(shell: Shell, arguments: tuple) -> None:
    answer = shell(*arguments)
    assert answer.code == 2
    assert "Traceback" not in answer.error
    assert answer.error


def test_streams_that_know_few_letters(tmp_path: Path) -> None:
    write_videos(tmp_path / "weiße", videos=1)
    program = "from stt_study.cli import main; main()"
    command = [sys.executable, "-c", program, "data", "check", "videos", "weiße"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    says = b"wei\\xdfe: videos 1, frames 4, decoded 4\nno problems\n"
    assert (done.returncode, done.stdout) == (0, says), done
