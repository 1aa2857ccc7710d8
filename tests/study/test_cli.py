"""The command line as a user meets it: figures on standard output, one sentence and exit code 2 for a bad input."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from stt_core.training.run import Run
from stt_core.training.train_spatial import train_spatial
from stt_study import cli
from stt_study.cli import main
from stt_study.train_command import train
from stt_study.variants import VARIANTS

TINY = {
    "real": [],
    "spatial": {"width": 0.125, "size": 32, "load_size": 40, "batch": 2, "steps": 2, "queue": 5, "dim": 8, "lr": 1e-3},
    "temporal": {"width": 0.125, "size": 64, "batch": 2, "steps": 2, "radius_fine": 3, "radius_coarse": 2},
}


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path):
    """Run `stt ...` in an empty folder: (exit code, standard output, standard error)."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def stt(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stt", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return stt


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"profile": "tiny", "settings": TINY}))
    return path


def one_sentence(result: tuple[int, str, str], *named: object) -> str:
    """A bad input's end: exit code 2, one line on standard error that names the culprit, nothing on standard output."""
    code, output, error = result
    assert code == 2
    assert output == ""
    assert error.startswith("stt: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert "Traceback" not in error
    for name in named:
        assert str(name) in error
    return error


def test_evaluate_davis(stt, data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    davis = ("evaluate", "davis", "--data", data_folder / "davis", "--out", out)
    code, output, error = stt(
        *davis, "--weights", "lab", "--resize", 96, "--radius", 4, "--topk", 3, "--num-preceding", 2
    )
    assert (code, error) == (0, "")
    results = json.loads((out / "results.json").read_text())
    settings = results["settings"]
    assert (settings["task"], settings["split"], settings["stride"]) == ("davis", "val", 8)
    assert (settings["resize"], settings["radius"], settings["topk"], settings["num_preceding"]) == (96, 4, 3, 2)
    assert settings["temperature"] == 0.07
    for name, value in results["metrics"].items():
        assert f"{name} {value:.4f}" in output
    assert output.splitlines()[-1] == str(out / "results.json")
    assert results["metrics"]["J&F-Mean"] > 0.5
    assert sorted(path.name for path in (out / "masks" / "square").iterdir()) == [f"{t:05d}.png" for t in range(5)]


def test_evaluate_defaults_are_the_papers(
    stt, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noted(benchmark, source, root, out, inference, **of) -> dict:
        seen.append((source.stride, inference))
        return {"metrics": {"PCK": 0.5}, "notes": [], "frames": 0, "fps": 0.0}

    monkeypatch.setattr("stt_study.benchmarks.run.evaluate", noted)
    for task in ("davis", "vip", "jhmdb", "badja"):
        for stride in (8, 4):
            assert stt("evaluate", task, "--data", "d", "--weights", "lab", "--out", "o", "--stride", stride)[0] == 0
    found = [(stride, i.resize, i.radius, i.topk, i.temperature, i.num_preceding) for stride, i in seen]
    assert found == [
        (8, 480, 12, 10, 0.07, 20),
        (4, 480, 35, 10, 0.07, 20),
        (8, (560, 560), 16, 10, 0.07, 20),
        (4, (560, 560), 35, 10, 0.07, 20),
        (8, (320, 320), 5, 10, 0.07, 20),
        (4, (320, 320), 12, 10, 0.07, 20),
        (8, 480, 12, 10, 0.07, 20),
        (4, 480, 35, 10, 0.07, 20),
    ]


def test_evaluate_presets(stt, data_folder: Path, tmp_path: Path) -> None:
    davis = ("evaluate", "davis", "--data", data_folder / "davis", "--weights", "lab", "--resize", 48)

    def settings(*options: object) -> dict:
        out = tmp_path / "-".join(map(str, options))
        assert stt(*davis, "--out", out, *options)[0] == 0
        return json.loads((out / "results.json").read_text())["settings"]

    found = settings("--preset", "davis_dino", "--topk", 3)
    assert (found["num_preceding"], found["topk"], found["temperature"], found["stride"]) == (7, 3, 0.1, 8)
    found = settings("--preset", "davis_s4", "--radius", 3)
    assert (found["stride"], found["radius"]) == (4, 3)
    assert settings("--window", "circle")["window"] == "circle"
    one_sentence(stt(*davis, "--out", "o", "--preset", "davis_s4", "--stride", 8), "davis_s4", "stride 4")
    one_sentence(stt(*davis, "--out", "o", "--preset", "davis"), "davis_crw")
    one_sentence(stt(*davis, "--out", "o", "--davis", "d"), "--davis")
    one_sentence(stt(*davis, "--out", "o", "--window", "circle", "--radius", 0), "radius is 0")


def test_baselines_without_features(stt, data_folder: Path, tmp_path: Path) -> None:
    for weights in ("copy", "flow"):
        davis = ("evaluate", "davis", "--data", data_folder / "davis", "--out", tmp_path / weights)
        code, output, _ = stt(*davis, "--weights", weights)
        assert code == 0
        assert re.search(r"^5 frames, \d+\.\d\d a second$", output, re.MULTILINE)
    copied, flowed = (json.loads((tmp_path / w / "results.json").read_text())["metrics"] for w in ("copy", "flow"))
    assert copied["J-Mean"] == pytest.approx((12 / 20 + 8 / 24 + 4 / 28) / 3)  # 16 px wide, 4 px a frame
    assert flowed != copied


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The real exit code and the real streams."""
    path = f"import sys; sys.path.insert(0, {str(Path(cli.__file__).parents[1])!r})"
    arguments = ["evaluate", "davis", "--data", "none", "--weights", "lab", "--out", "out"]
    command = [sys.executable, "-c", f"{path}; from stt_study.cli import main; main()", *arguments]
    bad = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    one_sentence((bad.returncode, bad.stdout, bad.stderr), "none")


def test_missing_data(stt, tmp_path: Path, profile: Path) -> None:
    none = tmp_path / "none"
    for task in ("davis", "vip", "jhmdb", "badja"):
        one_sentence(stt("evaluate", task, "--data", none, "--weights", "lab", "--out", "out"), none)
    one_sentence(stt("train", "spatial", "--profile", profile, "--data", none, "--out", "out"), none)


def test_missing_and_broken_weights(stt, data_folder: Path, tmp_path: Path, profile: Path) -> None:
    none, broken = tmp_path / "none.pth", tmp_path / "broken.pth"
    broken.write_bytes(b"not weights")
    for path in (none, broken):
        one_sentence(stt("evaluate", "davis", "--data", data_folder / "davis", "--weights", path, "--out", "out"), path)
        temporal = ("train", "temporal", "--profile", profile, "--data", data_folder, "--out", "out")
        one_sentence(stt(*temporal, "--initial", path), path)


def test_frame_that_cannot_be_decoded(stt, data_folder: Path, tmp_path: Path) -> None:
    davis = tmp_path / "davis"
    shutil.copytree(data_folder / "davis", davis)
    frame = davis / "JPEGImages" / "480p" / "square" / "00003.jpg"
    whole = frame.read_bytes()
    evaluate = ("evaluate", "davis", "--data", davis, "--weights", "lab", "--out", tmp_path / "out", "--resize", 48)
    for content in (b"", b"no image", whole[: len(whole) // 2]):
        frame.write_bytes(content)
        one_sentence(stt(*evaluate), frame)
        assert not (tmp_path / "out" / "results.json").exists()
    frame.write_bytes(whole)
    assert stt(*evaluate)[0] == 0


def test_image_that_cannot_be_decoded(stt, data_folder: Path, tmp_path: Path, profile: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(data_folder, data)
    for image in (data / "imagenet" / "train" / "class0").iterdir():
        image.write_bytes(b"no image")
    error = one_sentence(stt("train", "spatial", "--profile", profile, "--data", data, "--out", "out"))
    assert "class0" in error


def test_out_that_is_a_file(stt, data_folder: Path, tmp_path: Path, profile: Path) -> None:
    out = tmp_path / "file"
    out.write_text("")
    one_sentence(stt("evaluate", "davis", "--data", data_folder / "davis", "--weights", "lab", "--out", out), out)
    one_sentence(stt("train", "spatial", "--profile", profile, "--data", data_folder, "--out", out), out)


@pytest.mark.parametrize(
    "option",
    [
        ("--topk", 0),
        ("--num-preceding", -1),
        ("--radius", -1),
        ("--temperature", 0),
        ("--resize", 0),
        ("--resize", -5),
        ("--width", 0),
    ],
)
def test_numbers_that_make_no_sense(stt, data_folder: Path, option: tuple) -> None:
    davis = ("evaluate", "davis", "--data", data_folder / "davis", "--weights", "lab", "--out", "out")
    one_sentence(stt(*davis, *option))


def test_train_both_steps_and_evaluate(stt, data_folder: Path, tmp_path: Path, profile: Path) -> None:
    common = ("--profile", profile, "--data", data_folder)
    one, two = tmp_path / "one", tmp_path / "two"
    code, output, error = stt("train", "spatial", *common, "--out", one, "--seed", 3)
    assert (code, output, error) == (0, f"{one / 'weights.pth'}\n", "")
    assert torch.load(one / "weights.pth", weights_only=True)["input"] == "lab"
    code, output, error = stt("train", "temporal", *common, "--out", two, "--initial", one / "weights.pth")
    assert (code, output, error) == (0, f"{two / 'weights.pth'}\n", "")
    header = (two / "metrics.csv").read_text().splitlines()
    assert header[0] == "step,loss,fine,coarse,local,global,lr"
    assert len(header) == 3
    davis = (
        "evaluate",
        "davis",
        "--data",
        data_folder / "davis",
        "--out",
        tmp_path / "out",
        "--resize",
        48,
        "--radius",
        3,
    )
    assert stt(*davis, "--weights", two / "weights.pth")[0] == 0
    # what is there is not overwritten
    one_sentence(stt("train", "spatial", *common, "--out", one), one / "weights.pth")


def test_seed_and_colours_reach_the_training(
    stt, data_folder: Path, tmp_path: Path, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds, original = [], train_spatial

    def spy(settings, images, *arguments, **keywords) -> Path:
        seeds.append((settings.seed, images.seed))
        return original(settings, images, *arguments, **keywords)

    monkeypatch.setattr("stt_core.training.train_spatial.train_spatial", spy)
    spatial = ("train", "spatial", "--profile", profile, "--data", data_folder)
    for name, options in {"a": (), "b": (), "seed": ("--seed", 1), "rgb": ("--input", "rgb")}.items():
        assert stt(*spatial, "--out", tmp_path / name, *options)[0] == 0
    made = {name: torch.load(tmp_path / name / "weights.pth", weights_only=True) for name in ("a", "b", "seed", "rgb")}
    stems = {name: content["state_dict"]["conv1.weight"] for name, content in made.items()}
    assert torch.equal(stems["a"], stems["b"])
    assert not torch.equal(stems["a"], stems["seed"])
    assert not torch.equal(stems["a"], stems["rgb"])
    assert [made[name]["input"] for name in ("a", "rgb")] == ["lab", "rgb"]
    assert seeds == [(0, 0), (0, 0), (1, 1), (0, 0)]


@pytest.mark.parametrize(
    ("variant", "columns"),
    [
        ("no_global", "step,loss,fine,coarse,local,lr"),
        ("neither", "step,loss,fine,coarse,lr"),
        ("step_two", "step,loss,fine,coarse,local,lr"),
        ("scratch", "step,loss,fine,coarse,lr"),
    ],
)
def test_variants(stt, data_folder: Path, tmp_path: Path, profile: Path, variant: str, columns: str) -> None:
    common = ("--profile", profile, "--data", data_folder)
    temporal = ("train", "temporal", *common, "--variant", variant, "--out", tmp_path / "two")
    if variant in ("no_global", "neither"):
        one_sentence(stt(*temporal), "--initial")
        assert stt("train", "spatial", *common, "--out", tmp_path / "one")[0] == 0
        temporal = (*temporal, "--initial", tmp_path / "one" / "weights.pth")
    assert stt(*temporal)[0] == 0
    assert (tmp_path / "two" / "metrics.csv").read_text().splitlines()[0] == columns


def test_variants_that_are_none(stt, data_folder: Path, profile: Path) -> None:
    for variant in ("step_one", "everything"):
        temporal = ("train", "temporal", "--profile", profile, "--data", data_folder, "--out", "out")
        one_sentence(stt(*temporal, "--variant", variant), variant)


def test_the_help_lists_every_variant() -> None:
    (line,) = re.findall(r"variant: step two: (.*)", train.__doc__)
    names = {name for name, variant in VARIANTS.items() if variant.steps in ("two", "both")} - {"forget"}
    assert set(re.findall(r"[\w.]*\w", line)) - {"from", "scratch:"} == names


def test_bad_profiles(stt, data_folder: Path, profile: Path) -> None:
    one_sentence(
        stt("train", "spatial", "--profile", "laptpo", "--data", data_folder, "--out", "out"), "laptpo", "laptop"
    )
    profile.write_text("profile: tiny\nsettings: {spatial: {stepz: 3}}\n")
    one_sentence(stt("train", "spatial", "--profile", profile, "--data", data_folder, "--out", "out"), "stepz", profile)


def test_stopped_and_continued(
    stt, data_folder: Path, tmp_path: Path, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spatial(name: str) -> tuple[int, str, str]:
        return stt("train", "spatial", "--profile", profile, "--data", data_folder, "--out", tmp_path / name)

    monkeypatch.setitem(train_spatial.__wrapped__.__kwdefaults__, "save_every", 1)
    assert spatial("whole")[0] == 0
    log = Run.log

    def stopping(self, step: int, rate: float, **values: torch.Tensor) -> None:
        if step == 1:
            raise KeyboardInterrupt
        log(self, step, rate, **values)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", stopping)
        code, output, error = spatial("stopped")
    assert (code, output) == (130, "")
    assert "goes on" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "stopped" / "weights.pth").exists()
    assert spatial("stopped")[0] == 0
    whole, stopped = ((tmp_path / name / "metrics.csv").read_text() for name in ("whole", "stopped"))
    assert stopped == whole
    assert len(whole.splitlines()) == 3


@pytest.mark.parametrize("arguments", [(), ("data",), ("train",), ("evaluate",)])
def test_help(stt, arguments: tuple) -> None:
    code, output, error = stt(*arguments, "--help")
    assert (code, error) == (0, "")
    assert "usage: stt" in output
    for named in {(): ("data", "train", "evaluate"), ("data",): ("--root",)}.get(arguments, ("--out", "--data")):
        assert named in output


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("evaluate", "kitti"), ("evaluate", "davis"), ("train", "spatial", "--out", "o", "--seed", "x")],
)
def test_wrong_usage(stt, arguments: tuple) -> None:
    code, _, error = stt(*arguments)
    assert code == 2
    assert "Traceback" not in error
    assert error
