"""Settings and machines that can't do: the same promise as in test_bad_input.py, one clear sentence and exit code 2."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from writers import write_davis

from stt_core import files
from stt_core.errors import FULL, InputError, in_words, out_of_memory
from stt_core.files import write_bytes
from stt_study import cli
from stt_study.benchmarks.registry import BENCHMARKS

SPATIAL = {"width": 0.125, "size": 32, "load_size": 40, "batch": 2, "steps": 2, "queue": 5, "dim": 8, "lr": 1e-3}
TEMPORAL = {"width": 0.125, "size": 64, "batch": 2, "steps": 2, "radius_fine": 3, "radius_coarse": 2}

# id: what is set (of a profile's step or whole, or options of `stt evaluate davis`), words of the sentence.
PROFILES = {
    "unknown field": ({"spatial": {"stepz": 3}}, "unknown field spatial.stepz"),
    "another type": ({"spatial": {"steps": "many"}}, "spatial.steps is 'many'; give a valid integer"),
    "half a step": ({"spatial": {"steps": 2.5}}, "spatial.steps is 2.5; give a valid integer"),
    "no step": ({"spatial": {"steps": 0}}, "spatial.steps is 0; give 1 or more"),
    "no image": ({"spatial": {"batch": 0}}, "spatial.batch is 0; give 2 or more"),
    "no rate": ({"spatial": {"lr": 0.0}}, "spatial.lr is 0.0; give more than 0"),
    "rate of infinity": ({"spatial": {"lr": ".inf"}}, "spatial.lr"),
    "temperature of step one": ({"spatial": {"temperature": 0}}, "spatial.temperature is 0; give more than 0"),
    "momentum": ({"spatial": {"momentum": 1.5}}, "spatial.momentum is 1.5; give 1 or less"),
    "queue below batch": ({"spatial": {"queue": 1}}, "spatial: queue is 1; give 2, which is the batch"),
    "queue above the images": ({"spatial": {"queue": 500}}, "choose a smaller queue or batch"),
    "depth": ({"spatial": {"depth": 34}}, "spatial.depth is 34; choose 18 or 50"),
    "colours": ({"spatial": {"input": "bgr"}}, "spatial.input is 'bgr'; choose lab or rgb"),
    "precision": ({"spatial": {"precision": "32"}}, "spatial.precision is '32'; choose 32-true, bf16-mixed"),
    "16 bits without a GPU": ({"spatial": {"precision": "16-mixed"}}, "16-mixed needs a GPU; set it to bf16-mixed"),
    "shards that don't divide": ({"spatial": {"shards": 3}}, "a batch of 2 can't be divided by 3 (spatial.shards)"),
    "seed": ({"world": {"seed": -1}}, "give seed >= 0"),
    "size that strides don't divide": ({"temporal": {"size": 60}}, "temporal.size is 60; give a multiple of 8"),
    "radius of step two": ({"temporal": {"radius_fine": -1}}, "temporal.radius_fine is -1; give 0 or more"),
    "teacher's temperature": ({"temporal": {"teacher_temperature": 0}}, "temporal.teacher_temperature is 0; give more"),
    "weight": ({"temporal": {"weight_local": -1}}, "temporal.weight_local is -1; give 0 or more"),
    "nothing to learn": (
        {"temporal": dict.fromkeys(("weight_fine", "weight_coarse", "weight_local", "weight_global"), 0)},
        "temporal: every weight is 0",
    ),
    "share": ({"temporal": {"local": {"share": 0}}}, "temporal.local.share is 0; give more than 0"),
    "stride": ({"evaluation": {"stride": 6}}, "evaluation.stride is 6; choose 8 or 4"),
    "radius": ({"evaluation": {"davis": {"radius": -3}}}, "evaluation.davis.radius is -3; give 0 or more"),
    "top-k": ({"evaluation": {"davis": {"radius": 0, "topk": 30}}}, "davis: topk is 30, but the windows"),
    "temperature": ({"evaluation": {"vip": {"temperature": 0}}}, "evaluation.vip.temperature is 0; give"),
    "window": (
        {"evaluation": {"vip": {"window": "round"}}},
        "evaluation.vip.window is 'round'; choose square or circle",
    ),
    "aspect": ({"aspect": [2.0, 1.0]}, "aspect is (2.0, 1.0); give the least and the largest"),
    "rows": ({"rows": "some"}, "rows is 'some'; choose headline or all"),
    "processes": ({"scale": {"processes": -1}}, "scale.processes is -1; give 0 or more"),
    "a list for a mapping": ({"spatial": [1]}, "spatial is [1]; give a mapping"),
    "mapping of numbers": ({"spatial": {1: 2}}, "unknown field spatial.1"),
}
OPTIONS = {
    "radius": (("--radius", -1), "radius is -1; give 0 or more"),
    "no neighbour": (("--topk", 0), "topk is 0; give 1 or more"),
    "top-k above the window": (("--topk", 100, "--radius", 1, "--num-preceding", 3), "no more than 36 cells"),
    "top-k above the circle": (("--topk", 6, "--radius", 1, "--num-preceding", 1, "--window", "circle"), "2 cells"),
    "zero temperature": (("--temperature", 0), "temperature is 0.0; give 1e-30 or more"),
    "no number": (("--temperature", "nan"), "temperature is nan; give a finite number"),
    "no frame of context": (("--num-preceding", -1), "num_preceding is -1; give 0 or more"),
    "size": (("--resize", 0), "resize is 0; give 1 or more"),
    "width": (("--weights", "random", "--width", 0), "--width is 0.0; give 0.015625 or more"),
    "infinite width": (("--weights", "random", "--width", "inf"), "--width is inf"),
    "preset": (("--preset", "davis_s6"), "there is no preset davis_s6; the presets are davis_s8"),
    "preset's stride": (("--preset", "davis_s4", "--stride", 8), "davis_s4 is for stride 4, not 8"),
    "year of another task": (("--davis", "x"), "--davis belongs to badja"),
    "no CUDA": (("--device", "cuda"), "PyTorch finds no GPU here; choose cpu, or install"),
    "no split": (("--split", "tets"), "tets.txt is missing"),
}


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path):
    """Run `stt …`: (exit code, standard output, standard error)."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def stt(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stt", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return stt


def answered(result: tuple[int, str, str], *words: object) -> None:
    code, output, error = result
    assert (code, output) == (2, ""), error
    assert error.startswith("stt: ")
    assert error.count("\n") == 1
    for word in words:
        assert str(word) in error


@pytest.mark.parametrize(("settings", "words"), PROFILES.values(), ids=PROFILES)
def test_settings_of_a_profile(stt, settings: dict, words: str, tmp_path: Path, data_folder: Path) -> None:
    path, out = tmp_path / "own.yaml", tmp_path / "out"
    steps = {"spatial": SPATIAL, "temporal": TEMPORAL}
    for name, changes in settings.items():
        own = steps.get(name, {})
        steps[name] = own | changes if isinstance(changes, dict) else changes
    path.write_text(yaml.safe_dump({"profile": "own", "settings": steps}))
    result = stt("train", "spatial", "--profile", path, "--data", data_folder, "--out", out)
    answered(result, words)
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_options(stt, options: tuple, words: str, tmp_path: Path, data_folder: Path) -> None:
    davis = ("evaluate", "davis", "--data", data_folder / "davis", "--out", tmp_path / "out")
    answered(stt(*davis, *(() if "--weights" in options else ("--weights", "lab")), *options), words)


def test_profile_that_is_none(stt, tmp_path: Path) -> None:
    answered(stt("train", "spatial", "--profile", "smokey", "--out", tmp_path), "smokey", "the profiles are", "laptop")
    for text in ("profile: [", "- 1", "profile: x", "settings: {}\nprofile: x\nmore: 1"):
        path = tmp_path / "own.yaml"
        path.write_text(text)
        answered(stt("train", "spatial", "--profile", path, "--out", tmp_path), path)


# The machine


@pytest.fixture
def davis(tmp_path: Path) -> tuple:
    """A DAVIS of two sequences, and how `stt evaluate` is called on it."""
    write_davis(tmp_path / "davis", names=("first", "second"))
    small = ("--resize", 48, "--radius", 3, "--topk", 3, "--num-preceding", 2)
    return "evaluate", "davis", "--data", tmp_path / "davis", "--weights", "lab", *small


def records(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "sequences").glob("*.json")}


def kept_and_finished(stt, davis: tuple, out: Path, before: dict[str, int]) -> None:
    """What was done is kept, and the same command does the rest."""
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]
    assert not (out / "results.json").exists()
    assert stt(*davis, "--out", out)[0] == 0
    after = records(out)
    assert after.keys() == {"first.json", "second.json"}
    assert before.items() <= after.items()


def test_full_disk(stt, davis: tuple, tmp_path: Path) -> None:
    """On a real one: a file system in memory that is too small for the second sequence."""
    out = tmp_path / "small"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(out)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        filler = out / "filler"
        filler.write_bytes(bytes(8192))
        result = stt(*davis, "--out", out)
        before = records(out)
        answered(result, out, "the disk is full; free some space")
        assert before.keys() == {"first.json"}
        filler.unlink()
        subprocess.run([*mount[:4], "remount,size=4M", "none", str(out)], check=True)
        kept_and_finished(stt, davis, out, before)
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_files_that_may_not_grow(stt, davis: tuple, tmp_path: Path) -> None:
    """Writes that fail half-way, without root: no file may be larger than the first masks."""
    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, before[1]))
    try:
        result = stt(*davis, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    answered(result, out / "masks" / "first", "larger than files may be here; raise that limit")
    kept_and_finished(stt, davis, out, {})


def test_out_that_may_not_be_written(stt, davis: tuple, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # whom permissions bind
    try:
        result = stt(*davis, "--out", out)
    finally:
        if root:
            os.seteuid(0)
    answered(result, out, "you have no right to it; change that (chmod) or choose another")
    out.chmod(0o755)
    kept_and_finished(stt, davis, out, {})


def test_memory_that_runs_out(stt, davis: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    original = BENCHMARKS["davis"]

    def hungry(sequence, *arguments) -> dict:
        if sequence.name == "second":
            import torch

            torch.empty(10**15)
        return original.score(sequence, *arguments)

    with monkeypatch.context() as patch:
        patch.setitem(BENCHMARKS, "davis", replace(original, score=hungry))
        result = stt(*davis, "--out", out)
    answered(result, "memory ran out; lower --resize or --num-preceding")
    before = records(out)
    assert before.keys() == {"first.json"}
    kept_and_finished(stt, davis, out, before)


def test_memory_that_really_runs_out(tmp_path: Path, data_folder: Path) -> None:
    """A training that needs more than its process may have."""
    path = tmp_path / "own.yaml"
    large = SPATIAL | {"width": 1.0, "size": 2048, "load_size": 2048}
    path.write_text(yaml.safe_dump({"profile": "own", "settings": {"spatial": large}}))
    arguments = ["train", "spatial", "--profile", path, "--data", data_folder, "--out", tmp_path / "out"]
    program = "from stt_study.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    gigabytes = 5  # of addresses, of which PyTorch's libraries take some

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30,) * 2)

    how = {"capture_output": True, "text": True, "env": environment, "preexec_fn": limit}
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], **how)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("stt: memory ran out; lower spatial.batch or spatial.size in the profile")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: …")])
def test_only_memory_is_taken_for_memory(error: Exception) -> None:
    with pytest.raises(InputError, match=r"memory ran out; lower it\."), out_of_memory("lower it"):
        raise error
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory("lower it"):
        raise RuntimeError("shapes don't fit")


# Whose fault, and what else is said


def broken(*_: object) -> None:
    raise KeyError("a defect\nof ours")


def test_a_defect_of_ours_is_code_1(stt, davis: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BENCHMARKS, "davis", replace(BENCHMARKS["davis"], score=broken))
    code, output, error = stt(*davis, "--out", tmp_path / "out")
    assert (code, output) == (1, "")
    assert error.startswith("stt: this is a defect of the program, not of its input: KeyError: ")
    assert error.endswith("(--debug shows where; please report it).\n")
    assert error.count("\n") == 1
    with pytest.raises(KeyError, match="a defect"):
        stt("--debug", *davis, "--out", tmp_path / "out")


def test_debug_shows_where_an_input_is_refused(stt, davis: tuple, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="topk is 0"):
        stt(*davis, "--out", tmp_path / "out", "--topk", 0, "--debug")


def refused(call: Callable) -> OSError:
    with pytest.raises(OSError) as error:  # noqa: PT011
        call()
    return error.value


def test_errors_of_the_system_in_words(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for call, name, mend in (
        (lambda: (tmp_path / "none").read_text(), "none", "it does not exist"),
        (lambda: tmp_path.read_text(), tmp_path.name, "it is a folder"),
        (lambda: (file / "below").mkdir(), "file/below", "a file is where a folder should be"),
        (lambda: circle.read_text(), "circle", "lead in a circle"),
        (lambda: write_bytes(tmp_path / ("x" * 300), b""), "x" * 300, "its name is too long"),
        (lambda: Path("/dev/full").write_bytes(bytes(10_000)), "", "No space left on device"),
    ):
        sentence = in_words(refused(call))
        assert name in sentence
        assert mend in sentence
        assert "\n" not in sentence
    # A full disk names no file by itself; what is written whole does.
    with pytest.raises(OSError) as error, files.written_whole(tmp_path / "x.json"):  # noqa: PT011
        Path("/dev/full").write_bytes(bytes(10_000))
    assert in_words(error.value) == f"{tmp_path / 'x.json'}: {FULL}."
