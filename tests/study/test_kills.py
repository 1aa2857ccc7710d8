"""A share of `kills.py`: what is killed or stopped goes on, and ends as if nothing had happened."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import kills
import pytest
import torch
import yaml
from answers import Shell, assert_refused
from same_results import differences
from trained import log
from writers import write_images

from stt_core.files import write_json, written_whole
from stt_core.signals import Stopped, asked_to_stop, stopped_by_signals
from stt_study.store import only_writer

SETTINGS = {"width": 0.125, "size": 32, "load_size": 40, "batch": 2, "steps": 90, "queue": 5, "dim": 8, "lr": 1e-3}


SOON = """
from stt_core.training.train_spatial import train_spatial
train_spatial.__wrapped__.__kwdefaults__["save_every"] = 25
from stt_study.cli import main
main()
"""
PROGRAM = """
import sys, kills
from pathlib import Path
kills.torch.set_num_threads(1)
print(kills.{call}, folder=Path(sys.argv[1])))
"""


def run(folder: Path, call: str) -> str:
    """In a process of its own: what is forked from one in which threads have run may wait for them for ever."""
    command = [sys.executable, "-c", PROGRAM.format(call=call), str(folder)]
    tools = kills.REPOSITORY / "tests" / "tools"
    done = subprocess.run(command, cwd=tools, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_at_every_write(tmp_path: Path) -> None:
    """Both steps write alike: here, step one.

    For each of two checkpoints, metrics.csv and run.json: a write, before and after the rename. And the end.
    """
    assert int(run(tmp_path, "kill_writing('spatial', steps=3, save_every=2")) > 12


def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert "'kills': 2" in run(tmp_path, "kill_training('temporal', kills=2, steps=30, save_every=3, seed=0")


@pytest.fixture
def command(tmp_path: Path) -> tuple:
    """`stt train spatial` on tiny data; the output folder is to follow."""
    write_images(tmp_path / "data" / "imagenet")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({"profile": "tiny", "settings": {"spatial": SETTINGS}}))
    return "train", "spatial", "--profile", tmp_path / "tiny.yaml", "--data", tmp_path / "data", "--out"


def test_sigterm_and_ctrl_c_save_the_step_and_say_so_in_a_line(tmp_path: Path, command: tuple, shell: Shell) -> None:
    whole, out, done = tmp_path / "whole", tmp_path / "out", 0
    assert shell(*command, whole).error == ""
    program = [sys.executable, "-c", SOON, *map(str, command), str(out)]
    environment = os.environ | {"PYTHONPATH": str(kills.REPOSITORY), "OMP_NUM_THREADS": "1"}
    how = {"env": environment, "text": True, "start_new_session": True, "stdout": subprocess.PIPE}
    for number in (signal.SIGTERM, signal.SIGINT):
        process, before = subprocess.Popen(program, stderr=subprocess.PIPE, **how), int(done)
        while not (out / "metrics.csv").exists() or len(log(out)) <= before:
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, number)  # as a terminal does
        printed, error = process.communicate(timeout=60)
        assert (process.returncode, printed) == (128 + number, "")
        says = r"stt: stopped after (\d+) of 90 steps; the same command goes on from there\.\n"
        (done,) = re.fullmatch(says, error).groups()
        assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == len(log(out)) == int(done)
    assert int(done) % 25  # not at one of its checkpoints, which would come anyway
    assert shell(*command, out).code == 0
    for name in kills.KEPT:
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_two_trainings_in_a_folder(tmp_path: Path, command: tuple, shell: Shell, monkeypatch) -> None:
    monkeypatch.setattr(only_writer.__wrapped__, "__defaults__", (0.1,))  # s of patience
    with only_writer(tmp_path / "taken"):
        answer = shell(*command, tmp_path / "taken")
    assert_refused(answer, tmp_path / "taken", "another process is at work there; wait for it to end or choose another")


def test_the_first_signal_is_noted_and_the_second_stops() -> None:
    before = signal.getsignal(signal.SIGINT)
    with asked_to_stop() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.number == signal.SIGTERM
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGINT)
    assert stopped.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(Stopped), stopped_by_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_under_torchrun_further_signals_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with asked_to_stop() as asked:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert asked.number == signal.SIGINT


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(LookupError), written_whole(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise LookupError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_differences_are_found(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "runs" / "x", tmp_path / "b" / "runs" / "x"
    for seconds, root in enumerate((one, two)):
        write_json(root / "results.json", {"metrics": {"J": 0.5}, "seconds": seconds, "in": str(root)})
        (root / "mask.png").write_bytes(b"same")
    assert differences(one, two) == (2, [])
    write_json(two / "results.json", {"metrics": {"J": 0.50001}, "seconds": 9.0, "in": str(two)})
    (two / "mask.png").write_bytes(b"other")
    (two / "more.csv").touch()
    count, found = differences(one, two)
    assert (count, [line.split()[0] for line in found]) == (2, ["more.csv", "mask.png", "results.json"])


@pytest.mark.skipif("STT_RUN" not in os.environ, reason="STT_RUN names a run of profile smoke to compare with")
def test_smoke_again_and_killed_on_the_way(tmp_path: Path) -> None:
    """The same bytes from a second run of some pages and what they need, elsewhere and killed once of either kind."""
    pages = ("03", "04", "05", "14")
    done = kills.kill_notebooks(tmp_path / "again", Path(os.environ["STT_RUN"]), 2, seed=0, only=pages)
    assert done["files compared"] > 100
