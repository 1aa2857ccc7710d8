"""Kills trainings and notebook runs, runs them again and compares: they must leave what an undisturbed run leaves.

    python tests/tools/kills.py training --kills 20   # SIGKILL at random moments, for each of the two steps
    python tests/tools/kills.py writing               # SIGKILL at every write, rename and deletion of a training
    python tests/tools/kills.py notebooks --kills 10  # SIGKILL of the launcher or all its processes, on profile smoke

Each prints what it did and exits with 1 at the first difference. `test_kills.py` runs a share of it.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch
from same_results import differences
from writers import write_images, write_videos

from stt_core.checkpoints import save_weights
from stt_core.encoder import random_encoder
from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal

REPOSITORY = Path(__file__).parents[2]
SPATIAL = SpatialSettings(
    width=0.125, size=32, load_size=40, batch=4, warmup=2, queue=12, dim=8, lr=1e-3, precision="bf16-mixed", seed=3
)
TEMPORAL = TemporalSettings(width=0.125, size=64, batch=2, warmup=2, radius_fine=3, radius_coarse=2, seed=3)
APART = 30  # s between two kills of a run of notebooks, at most
KEPT = {"weights.pth", "metrics.csv"}  # what must be the same to the bit; run.json has times


class Training:
    """One of the two steps on tiny data, in a forked process, so that each start takes no more than the training.

    Args:
        folder: for its data.
    """

    def __init__(self, step: str, folder: Path, steps: int, save_every: int) -> None:
        self.step, self.save_every = step, save_every
        self.data = folder / "data" / step
        self.initial = folder / "initial.pth"
        if not self.data.exists():
            (write_images if step == "spatial" else write_videos)(self.data)
            save_weights(self.initial, random_encoder(18, 0.125), input="lab")
        self.settings = replace(SPATIAL if step == "spatial" else TEMPORAL, steps=steps)

    def __call__(self, out: Path) -> None:
        settings, often = self.settings, {"save_every": self.save_every}
        if self.step == "spatial":
            # More images than there are, so that the queue never holds an image's own key.
            images = Images(self.data, 40, seed=settings.seed)
            images.paths *= 3
            train_spatial(settings, images, out, **often)
        else:
            pairs = FramePairs(self.data, size=64, seed=settings.seed)
            train_temporal(settings, pairs, out, initial=self.initial, teacher=self.initial, **often)

    def start(self, out: Path, prepare: Callable[[], None] = lambda: None) -> int:
        """Train in a new process, after `prepare` there; its number."""
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # its progress
            prepare()
            self(out)
            code = 0
        finally:
            os._exit(code)

    def whole(self, out: Path) -> dict[str, bytes]:
        """Train to the end; the files that count."""
        assert ended(self.start(out)) == 0, f"the training in {out} failed"
        assert not [path for path in out.iterdir() if path.name.startswith(".")], "half-written files stay"
        assert {path.name for path in out.iterdir()} == {*KEPT, "run.json"}
        return left(out)


def ended(child: int) -> int:
    """Wait for a process: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check_whole(out: Path) -> int:
    """Every file of a killed run can be read, and to its end; the steps that are saved."""
    saved = 0
    for path in out.iterdir() if out.exists() else ():
        if path.name.startswith("."):
            continue  # a temporary name: never read, and deleted by the next run
        if path.suffix in (".pt", ".pth"):
            saved = max(saved, torch.load(path, weights_only=True).get("step", 0))
        elif path.suffix == ".csv":
            text = path.read_text()
            assert text.endswith("\n")
            assert len({len(row) for row in csv.reader(text.splitlines())}) == 1
        else:
            json.loads(path.read_text())
    return saved


def kill_training(step: str, folder: Path, kills: int, *, steps: int, save_every: int, seed: int) -> dict[str, int]:
    """SIGKILL at so many moments, one run after another; each is killed until it ends.

    Returns:
        Kills, runs that ended, and how many kills came when something was saved.
    """
    rng, training = random.Random(seed), Training(step, folder, steps, save_every)
    begun = time.perf_counter()
    expected = training.whole(folder / f"{step}-undisturbed")
    took = time.perf_counter() - begun
    done = {"kills": 0, "runs": 0, "resumed": 0}
    while done["kills"] < kills:
        out = folder / f"{step}-{done['runs']}"
        while done["kills"] < kills:
            child = training.start(out)
            time.sleep(rng.uniform(0, took))
            os.kill(child, signal.SIGKILL)
            if ended(child) == 0:
                break  # it was quicker
            done["kills"] += 1
            done["resumed"] += check_whole(out) > 0
        done["runs"] += 1
        assert (left(out) if (out / "weights.pth").exists() else training.whole(out)) == expected, out
    return done


def left(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in KEPT}


def kill_writing(step: str, folder: Path, *, steps: int, save_every: int) -> int:
    """SIGKILL at the first, second, … event of the file system: half-way through a write, before and after a rename.

    Returns:
        The number of events.
    """
    training = Training(step, folder, steps, save_every)
    expected = training.whole(folder / f"{step}-undisturbed")
    for number in range(1, 10_000):
        out = folder / f"{step}-write-{number}"
        code = ended(training.start(out, lambda number=number: kill_at(number)))
        if code == 0:
            return number - 1
        assert code == -signal.SIGKILL, code
        check_whole(out)
        finished = (out / "weights.pth").exists() and not (out / "checkpoint.pt").exists()
        assert (left(out) if finished else training.whole(out)) == expected, f"killed at event {number}: {out}"
    raise AssertionError("it never ended")


def kill_at(number: int) -> None:
    """Have this process killed at the `number`-th write, rename or deletion of a file by `pathlib`."""
    count = [0]
    write, replace_, unlink = Path.write_bytes, Path.replace, Path.unlink

    def event() -> bool:
        count[0] += 1
        return count[0] == number

    def write_bytes(path: Path, content: bytes) -> int:
        if event():
            write(path, bytes(content)[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, content)

    def rename(path: Path, target: Path) -> Path:
        if event():
            os.kill(os.getpid(), signal.SIGKILL)
        result = replace_(path, target)
        if event():
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def delete(path: Path, missing_ok: bool = False) -> None:
        if path.exists() and event():
            os.kill(os.getpid(), signal.SIGKILL)
        unlink(path, missing_ok)

    Path.write_bytes, Path.replace, Path.unlink = write_bytes, rename, delete


def copied_repository(folder: Path) -> Path:
    """What a run needs, apart from this checkout's own runs and data."""
    kept = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("stt_core", "stt_study", "notebooks", "book", "results"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=kept)
    shutil.copy(REPOSITORY / "Snakefile", folder)
    (folder / "data").mkdir()
    return folder


def run_notebooks(root: Path, only: Sequence[str] = ()) -> subprocess.Popen:
    command = [sys.executable, "-m", "stt_study.engine.launch", "--profile", "smoke", "-p", "seed", "0"]
    command += ["--only", *only] if only else []
    environment = os.environ | {"PYTHONPATH": str(root)}
    environment.pop("OMP_NUM_THREADS", None)
    with open(root / "log.txt", "a") as log:
        return subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True)


def kill_notebooks(
    folder: Path, undisturbed: Path, kills: int, *, seed: int, only: Sequence[str] = ()
) -> dict[str, int]:
    """SIGKILL a run so many times, by turns the launcher alone and all its processes, then let it end and compare.

    Args:
        undisturbed: `runs/smoke` of another checkout.
        only: beginnings of the pages that are run, of those that the other has; empty: all, and there is nothing else.

    Returns:
        Kills, and files that were compared.
    """
    rng, root = random.Random(seed), copied_repository(folder)
    number = 0
    while number < kills:
        runner = run_notebooks(root, only)
        time.sleep(rng.uniform(2, APART))
        if runner.poll() == 0:  # it was quicker: from the beginning
            shutil.rmtree(root / "runs")
            continue
        family = [psutil.Process(runner.pid)]
        if number % 2:
            family += family[0].children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert runner.wait() == -signal.SIGKILL, (root / "log.txt").read_text()
        print(f"kill {number + 1}: {'all' if number % 2 else 'the launcher alone'}", flush=True)
        number += 1
    assert run_notebooks(root, only).wait() == 0, (root / "log.txt").read_text()
    compared, found = differences(undisturbed, root / "runs" / "smoke")
    found = [line for line in found if not (only and line.endswith(f"is in {undisturbed} alone"))]
    assert not found, "\n".join(found)
    return {"kills": kills, "files compared": compared}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["training", "writing", "notebooks"])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(np.random.SeedSequence().entropy % 10**6))
    parser.add_argument("--steps", type=int, help="of a training; 60, or 9 for writing")
    parser.add_argument("--every", type=int, help="steps between two checkpoints; 5, or 3 for writing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.what == "notebooks":
            other = copied_repository(folder / "undisturbed")
            assert run_notebooks(other).wait() == 0, (other / "log.txt").read_text()
            print(kill_notebooks(folder / "killed", other / "runs" / "smoke", given.kills, seed=given.seed))
        for step in ("spatial", "temporal") if given.what != "notebooks" else ():
            if given.what == "training":
                how = {"steps": given.steps or 60, "save_every": given.every or 5, "seed": given.seed}
                print(step, kill_training(step, folder, given.kills, **how), flush=True)
            else:
                events = kill_writing(step, folder, steps=given.steps or 9, save_every=given.every or 3)
                print(f"{step}: killed at each of {events} writes, renames and deletions", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
