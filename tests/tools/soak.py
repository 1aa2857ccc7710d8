"""Memory over time.

python tests/tools/soak.py propagations --times 50             # in one process: does it grow?
python tests/tools/soak.py run make reproduce                  # the most that a command and its processes hold together
"""

import argparse
import contextlib
import gc
import sys
import tempfile
import time
from pathlib import Path

import psutil
from writers import write_davis

from stt_core.features import feature_source
from stt_core.propagation import Inference
from stt_study.benchmarks.davis import DAVIS
from stt_study.benchmarks.registry import PRESETS
from stt_study.benchmarks.run import evaluate

SMALL = Inference(resize=96, num_preceding=4, radius=3, topk=5)


def propagations(
    times: int, davis: Path | None = None, weights: str = "random", inference: Inference = SMALL
) -> list[float]:
    """Resident memory, in MB, after each of many propagations of a DAVIS folder (of a tiny one) in this process."""
    held, process = [], psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        davis = davis or write_davis(Path(folder) / "davis", frames=8)
        source = feature_source(weights, width=0.25) if weights == "random" else feature_source(weights)
        for number in range(times):
            evaluate(DAVIS, source, davis, Path(folder) / str(number), inference)
            gc.collect()
            held.append(process.memory_info().rss / 1e6)
    return held


def peak(command: list[str]) -> tuple[int, float]:
    """Run a command: its exit code, and the most memory, in MB, that it and its processes held at once.

    Memory that they share counts once. What lasts less than half a second may be missed.
    """
    most, begun = 0.0, psutil.Popen(command)
    while begun.poll() is None:
        held = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [begun, *begun.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                    held += process.memory_full_info().pss / 1e6
        most = max(most, held)
        with contextlib.suppress(psutil.TimeoutExpired):
            begun.wait(0.5)
    return begun.returncode, most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["propagations", "run"])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--davis", type=Path, help="a DAVIS folder to propagate at full size; a tiny one if not given")
    parser.add_argument("--weights", default="random")
    given, command = parser.parse_known_args()
    begun = time.perf_counter()
    if given.what == "run":
        code, most = peak(command)
        print(f"peak {most:,.0f} MB, {time.perf_counter() - begun:.0f} s")
        return code
    held = propagations(given.times, given.davis, given.weights, PRESETS["davis_s8"] if given.davis else SMALL)
    for number in [1, 2, 5, *range(10, given.times, 10), given.times]:
        print(f"after {number:3d}: {held[number - 1]:,.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
