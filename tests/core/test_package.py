"""The package's own names: there, documented, not loaded before they are asked for, and without the study."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import stt_core


@pytest.fixture(scope="module")
def known(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What examples take for granted."""
    data = {"photos": data_folder / "imagenet", "videos": data_folder / "youtube-vos"}
    return {"torch": torch, "np": np, "folder": tmp_path_factory.mktemp("examples"), **data}


BOOK = Path(__file__).parents[2] / "book"
PAGES = [BOOK / "api.md", *sorted((BOOK / "api").glob("*.md"))]
MODULES = ["stt_core", *(f"stt_core.{module}" for module in ("correlation", *stt_core._HOMES))]


def test_examples_hold(known: dict) -> None:
    found = {name: doctest.testmod(import_module(name), extraglobs=known, report=True).failed for name in MODULES}
    assert sum(found.values()) == 0, found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_pages_hold(page: Path, known: dict) -> None:
    assert not doctest.testfile(str(page), module_relative=False, globs=dict(known), encoding="utf-8").failed


def test_every_public_name_is_in_an_example() -> None:
    docstrings = [test for name in MODULES for test in doctest.DocTestFinder().find(import_module(name))]
    pages = [doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {}, page.stem, None, 0) for page in PAGES]
    examples = [example for test in docstrings + pages for example in test.examples]
    shown = set(re.findall(r"\w+", " ".join(example.source + example.want for example in examples)))
    assert set(stt_core.__all__) <= shown


def test_the_package_alone_loads_nothing() -> None:
    program = "import sys, stt_core; print([name for name in ('torch', 'cv2', 'stt_study') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Of the notebooks' extra, and what the study alone needs.
BLOCKED = "pandas scipy skimage papermill jupytext nbformat matplotlib seaborn tyro stt_study"
TRAINING = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}.split()))  # importing one fails
import stt_core
from stt_core.spatial import SpatialSettings
from stt_core.training.images import Images
from stt_core.temporal import TemporalSettings
from stt_core.training.pairs import FramePairs
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal
import torch
settings = SpatialSettings(width=0.125, size=32, load_size=40, batch=2, steps=1, queue=2, dim=8)
one = train_spatial(settings, Images({images!r}, 40), {out!r} + "/one")
settings = TemporalSettings(width=0.125, size=32, batch=2, steps=1, warmup=0)
train_temporal(settings, FramePairs({videos!r}, size=32), {out!r} + "/two", initial=one, teacher=one)
stt_core.propagate(torch.rand(3, 4, 5, 6), torch.rand(2, 5, 6), radius=1)
"""


def test_a_training_needs_nothing_of_notebooks(data_folder: Path, tmp_path: Path) -> None:
    videos, images = str(data_folder / "youtube-vos"), str(data_folder / "imagenet")
    program = TRAINING.format(blocked=BLOCKED, images=images, videos=videos, out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two" / "weights.pth").is_file()
