"""Where a result comes from: commit, versions, machine."""

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VECTORS = re.compile("avx|amx|fma|neon|asimd|sve|sme|bf16|i8mm")
PACKAGES = (
    "torch torchvision lightning-fabric kornia numpy scipy pandas pillow opencv-python-headless scikit-image av"
    " matplotlib seaborn ipykernel papermill"
)


def provenance() -> dict:
    """Commit, versions of Python and packages, and machine, for a file beside a result."""
    return {"commit": commit(), "versions": versions(), "machine": machine()}


def machine() -> dict[str, Any]:
    """The machine: processor, cores, instructions for vectors and matrices, GPUs.

    The name alone is not enough: virtual machines of one name differ in instructions and thus in the last digits.
    """
    import torch  # seconds to load, and what asks for versions alone doesn't need it

    can = [name for name, has in torch.cpu.get_capabilities().items() if has is True and VECTORS.match(name)]
    found: dict[str, Any] = {"processor": processor(), "cores": os.cpu_count()}
    found |= {"system": platform.machine(), "instructions": sorted(can)}
    if torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return found


def commit() -> str:
    """The repository's commit, with "+" where files differ from it; "unknown" outside of one."""
    # Named, so that it is no repository around an installed package, and another user's isn't refused.
    asked = ["git", f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}", "describe", "--always", "--abbrev=40"]
    asked += ["--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def short(commit: str) -> str:
    """The first digits of a `commit`, still with its "+"."""
    return commit[:8] + "+" * commit.endswith("+")


def processor() -> str:
    """Name of the processor, as far as the system knows it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Python's and the packages' versions on which results may depend; "none" for one that isn't installed."""
    installed = {str(package.name).lower(): package.version for package in metadata.distributions()}
    return {"python": platform.python_version()} | {name: installed.get(name, "none") for name in PACKAGES.split()}
