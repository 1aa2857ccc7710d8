"""The weights that come with the package: the card's hashes, better than no features, and all there in a wheel."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from answers import Shell

from stt_core.checkpoints import open_weights, pretrained, shipped
from stt_core.labels import read_mask
from stt_study.results.shipped import FOLDER, NAMES
from stt_study.store import ROOT


def test_the_card_is_of_these_files() -> None:
    card = (FOLDER / "README.md").read_text()
    said = dict(re.findall(r"\| `(\w+)\.safetensors` \|.*`([0-9a-f]{64})` \|", card))
    assert said == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in shipped().items()}
    assert sorted(NAMES) == list(shipped())


@pytest.mark.parametrize("name", NAMES)
def test_they_load(name: str) -> None:
    found = open_weights(shipped()[name])
    assert (found.depth, found.width, found.input, found.assumed) == (18, 0.5, "lab", False)
    assert pretrained(name, stride=4).out_channels["res4"] == 128


def overlap(frames: Path, result: Path) -> float:
    """Mean intersection over union of all that isn't background."""
    pairs = [(read_mask(path) > 0, read_mask(result / "masks" / path.name) > 0) for path in frames.iterdir()]
    assert len(pairs) == 24
    return np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs])


def test_the_demo(shell: Shell, tmp_path: Path) -> None:
    """It follows its clip, whose truth is known, and better than the Lab image does."""
    shell("demo", tmp_path)
    answer = shell("demo", tmp_path)  # once more: it finds all done
    assert (answer.code, answer.output.splitlines()[-1]) == (0, str(tmp_path / "result" / "overlay.mp4"))
    command = answer.output.splitlines()[0].split()
    answer = shell(*command[1:-1], tmp_path / "lab", "--weights", "lab")
    assert answer.code == 0
    [truth] = (tmp_path / "davis" / "Annotations" / "480p").iterdir()
    assert overlap(truth, tmp_path / "result") > overlap(truth, tmp_path / "lab") + 0.05


def test_a_wheel_has_them(tmp_path: Path) -> None:
    """Built from the tracked files, installed where the repository isn't, and asked to follow a mask."""
    source = tmp_path / "source"
    for part in ("stt_core", "stt_study", "results/weights"):
        shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source]
    subprocess.run([sys.executable, "-m", *build], check=True)
    home = tmp_path / "venv"
    venv.create(home)
    [wheel] = tmp_path.glob("*.whl")
    site = next(home.glob("lib/python*/site-packages"))
    install = ["pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", site, wheel]
    subprocess.run([sys.executable, "-m", *install], check=True)
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))  # what it needs; its own .pth files aren't read
    program = "import sys, stt_core; print(stt_core.__file__); from stt_study.cli import main; main()"
    done = subprocess.run(
        [home / "bin" / "python", "-c", program, "demo", tmp_path / "demo"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    assert (tmp_path / "demo" / "result" / "overlay.mp4").is_file()
