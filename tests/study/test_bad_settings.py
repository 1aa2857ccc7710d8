"""Settings and machines that can't do: the same promise as in test_bad_benchmarks.py, one sentence and exit code 2."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from answers import Answer, Shell, assert_refused, left_behind, nobody, records
from test_cli import TINY
from writers import write_davis

from stt_core.errors import InputError, out_of_memory
from stt_study import cli
from stt_study.benchmarks.registry import BENCHMARKS
from stt_study.exit_codes import FULL, in_words
from stt_study.parameters import merged

# id: what is set (of a profile's step or whole, or options of `stt evaluate davis`), words of the sentence.
PROFILES = {
    "unknown field": ({"spatial": {"stepz": 3}}, "unknown field spatial.stepz"),
    "another type": ({"spatial": {"steps": "many"}}, "spatial.steps is 'many'; give a valid integer"),
    "no step": ({"spatial": {"steps": 0}}, "spatial.steps is 0; give 1 or more"),
    "rate of infinity": ({"spatial": {"lr": ".inf"}}, "spatial.lr"),
    "queue above the images": ({"spatial": {"queue": 500}}, "choose a smaller queue or batch"),
    "depth": ({"spatial": {"depth": 34}}, "spatial.depth is 34; choose 18 or 50"),
    "colours": ({"spatial": {"input": "bgr"}}, "spatial.input is 'bgr'; choose lab or rgb"),
    "16 bits without a GPU": ({"spatial": {"precision": "16-mixed"}}, "16-mixed needs a GPU; set it to bf16-mixed"),
    "shards that don't divide": ({"spatial": {"shards": 3}}, "a batch of 2 can't be divided by 3 (spatial.shards)"),
    "seed": ({"world": {"seed": -1}}, "world.seed is -1; give 0 or more"),
    "size that strides don't divide": ({"temporal": {"size": 60}}, "temporal.size is 60; give a multiple of 8"),
    "nothing to learn": (
        {"temporal": dict.fromkeys(("weight_fine", "weight_coarse", "weight_local", "weight_global"), 0)},
        "temporal: every weight is 0",
    ),
    "stride": ({"evaluation": {"stride": 6}}, "evaluation.stride is 6; choose 8 or 4"),
    "window": (
        {"evaluation": {"vip": {"window": "round"}}},
        "evaluation.vip.window is 'round'; choose square or circle",
    ),
    "no context": ({"evaluation": {"davis": {"num_preceding": 0, "with_first": False}}}, "davis: num_preceding is 0"),
    "aspect": ({"aspect": [2.0, 1.0]}, "aspect is (2.0, 1.0); give the least and the largest"),
    "one side of two": ({"evaluation": {"davis": {"resize": [320]}}}, "evaluation.davis.resize"),
    "unknown deep field": ({"temporal": {"local": {"T": 0.7}}}, "unknown field temporal.local.T"),
    "a list for a mapping": ({"spatial": [1]}, "spatial is [1]; give a mapping"),
}
OPTIONS = {
    "radius": (("--radius", -1), "radius is -1; give 0 or more"),
    "zero temperature": (("--temperature", 0), "temperature is 0.0; give 1e-30 or more"),
    "width": (("--weights", "random", "--width", 0), "--width is 0.0; give 0.015625 or more"),
    "preset": (("--preset", "davis_s6"), "there is no preset davis_s6; the presets are davis_s8"),
    "preset's stride": (("--preset", "davis_s4", "--stride", 8), "davis_s4 is for stride 4, not 8"),
    "year of another task": (("--davis", "x"), "--davis belongs to badja"),
    "no CUDA": (("--device", "cuda"), "PyTorch finds no GPU here; choose cpu, or install"),
    "no neighbours of a circle": (("--window", "circle", "--radius", 0), "radius is 0"),
    "no split": (("--split", "tets"), "tets.txt is missing"),
}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize(("settings", "words"), PROFILES.values(), ids=PROFILES)
def test_settings_of_a_profile(shell: Shell, settings: dict, words: str, tmp_path: Path, data_folder: Path) -> None:
    path, out = tmp_path / "own.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump({"profile": "own", "settings": merged(TINY, settings)}))
    assert_refused(shell("train", "spatial", "--profile", path, "--data", data_folder, "--out", out), words)
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_options(shell: Shell, options: tuple, words: str, tmp_path: Path, data_folder: Path) -> None:
    davis = ("evaluate", "davis", "--data", data_folder / "davis", "--out", tmp_path / "out")
    assert_refused(shell(*davis, *(() if "--weights" in options else ("--weights", "lab")), *options), words)


@pytest.fixture
def davis(tmp_path: Path) -> tuple:
    """A DAVIS of two sequences, and how `stt evaluate` is called on it."""
    write_davis(tmp_path / "davis", names=("first", "second"))
    small = ("--resize", 48, "--radius", 3, "--topk", 3, "--num-preceding", 2)
    return "evaluate", "davis", "--data", tmp_path / "davis", "--weights", "lab", *small, "--out", tmp_path / "out"


def kept_and_finished(shell: Shell, davis: tuple, before: dict) -> None:
    """What was done is kept, and the same command does the rest."""
    out = davis[-1]
    assert left_behind(out) == []
    assert shell(*davis).code == 0
    after = records(out)
    assert after.keys() == {"first", "second"}
    assert before.items() <= after.items()


def limited(limit: str, most: int, *arguments: object) -> Answer:
    """`stt` in a process that may have no more of something."""
    begin = f"import resource; resource.setrlimit(resource.{limit}, ({most},) * 2)"
    program = f"{begin}; from stt_study.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return Answer(done.returncode, done.stdout, done.stderr, [])


def test_files_that_may_not_grow(shell: Shell, davis: tuple) -> None:
    """Writes that fail half-way, as on a full disk: no file may be larger than the first masks."""
    assert in_words(OSError(errno.ENOSPC, "No space left", "a/b")) == f"a/b: {FULL}."
    assert_refused(limited("RLIMIT_FSIZE", 150, *davis), davis[-1] / "masks" / "first", "File too large.")
    kept_and_finished(shell, davis, {})


def test_out_that_may_not_be_written(shell: Shell, davis: tuple, tmp_path: Path) -> None:
    davis = (*davis[:-1], tmp_path / "closed")
    davis[-1].mkdir(mode=0o555)
    with nobody(tmp_path):
        answer = shell(*davis)
    assert_refused(answer, davis[-1], "permission denied; change that (chmod) or choose another")
    davis[-1].chmod(0o755)
    kept_and_finished(shell, davis, {})


def test_memory_that_runs_out(shell: Shell, davis: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    original = BENCHMARKS["davis"]

    def hungry(sequence, *arguments) -> dict:
        if sequence.name == "second":
            import torch

            torch.empty(10**15)
        return original.score(sequence, *arguments)

    with monkeypatch.context() as patch:
        patch.setitem(BENCHMARKS, "davis", replace(original, score=hungry))
        assert_refused(shell(*davis), "memory ran out; lower --resize or --num-preceding")
    before = records(davis[-1])
    assert before.keys() == {"first"}
    kept_and_finished(shell, davis, before)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: …")])
def test_only_memory_is_taken_for_memory(error: Exception) -> None:
    with pytest.raises(InputError, match=r"memory ran out; lower it\."), out_of_memory("lower it"):
        raise error
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory("lower it"):
        raise RuntimeError("shapes don't fit")


def test_a_defect_of_ours_is_code_1(shell: Shell, davis: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a defect\nof ours")

    monkeypatch.setitem(BENCHMARKS, "davis", replace(BENCHMARKS["davis"], score=broken))
    answer = shell(*davis)
    assert (answer.code, answer.output) == (1, "")
    assert answer.error.startswith("stt: this is a defect of the program, not of its input: KeyError: ")
    assert answer.error.endswith("(--debug shows where; please report it).\n")
    assert answer.error.count("\n") == 1
    with pytest.raises(KeyError, match="a defect"):
        shell("--debug", *davis)
    with pytest.raises(InputError, match="topk is 0"):  # of a bad input, too
        shell(*davis, "--topk", 0, "--debug")
