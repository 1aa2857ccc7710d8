"""What made a result: commit, versions, machine."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def provenance() -> dict:
    """Commit, versions of Python and packages, and machine, for a file beside a result."""
    return {"commit": commit(), "versions": versions(), "machine": machine()}


def commit() -> str:
    """The repository's commit, with "+" where files differ from it; "unknown" outside of one."""
    asked = [["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]]
    try:
        head, changes = (
            subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for words in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + "+" * bool(changes)


def machine() -> dict:
    """Processor, cores and system; the GPUs where there are any."""
    import torch  # seconds to load, and what asks for versions alone doesn't need it

    found = {"processor": processor(), "cores": os.cpu_count(), "system": platform.machine()}
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return found | ({"gpus": gpus} if gpus else {})


def processor() -> str:
    """Its name, where the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


VERSIONED = ("torch", "torchvision", "lightning-fabric", "kornia", "numpy", "scipy", "pandas", "pillow")


VERSIONED += ("opencv-python-headless", "scikit-image", "av", "matplotlib", "seaborn", "ipykernel", "papermill")


def versions() -> dict[str, str]:
    """Python's and the packages' versions on which results may depend."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found
