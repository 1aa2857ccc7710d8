"""How much memory propagation takes, measured in processes of its own."""

import math
import subprocess
import sys
from pathlib import Path

import torch


def memory(context: int, frame: tuple[int, int, int], radii: tuple[int, int], videos: tuple[int, ...]) -> list[dict]:
    """Peak memory of propagating one frame at strides 8 and 4, and of whole small videos of different length.

    Args:
        context: frames of context.
        frame: height and width in px, channels of the features.
        radii: at stride 8 and 4; 0 leaves it out.
        videos: numbers of frames.
    """
    height, width, channels = frame
    records = []
    for stride, radius in zip((8, 4), radii, strict=True):
        if radius:
            used = peak_memory(context, 2, -(-height // stride), -(-width // stride), channels, radius)
            records.append({"what": f"stride {stride}: {context} frames of context", **used})
    for frames in videos:
        records.append(
            {"what": f"a video of {frames} frames, 30 x 40 cells", **peak_memory(1, frames - 1, 30, 40, 64, 3)}
        )
    return records


PROGRAM = """
import sys, torch
from stt_core.propagation import Context
given, frames, height, width, channels, radius, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) / 1e3
before, context = peak(), Context(radius=radius)
for t in range(given + frames):
    features = torch.randn(channels, height, width)
    if t < given:
        context.put(t, features, torch.rand(4, height, width))
    else:
        context.propagate(t, features)
print(before, peak())
"""


def peak_memory(given: int, frames: int, height: int, width: int, channels: int, radius: int) -> dict:
    """Peak memory, in MB, of a process of its own: `given` frames of context, then `frames` that are propagated.

    Returns:
        "before" (Python and PyTorch loaded) and "peak"; nan where the system doesn't tell (Linux does).
    """
    if not Path("/proc/self/status").exists():
        return {"before": math.nan, "peak": math.nan}
    numbers = (given, frames, height, width, channels, radius, torch.get_num_threads())
    command = [sys.executable, "-c", PROGRAM, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, peak = map(float, done.stdout.split())
    return {"before": before, "peak": peak}
