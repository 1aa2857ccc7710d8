"""The package's own names: there, documented, not loaded before they are asked for, and without the study."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import Field

import stt_core
from stt_core import correlation, encoder, features, losses, propagation, settings, spatial, temporal


@pytest.mark.parametrize("name", stt_core.__all__)
def test_public_names_are_documented(name: str) -> None:
    thing = getattr(stt_core, name)
    assert thing.__name__ == name
    assert thing.__doc__.strip()


@pytest.mark.parametrize(
    "module",
    [correlation, encoder, features, losses, propagation, settings, spatial, temporal],
    ids=lambda module: module.__name__,
)
def test_examples_hold(module) -> None:
    found = doctest.testmod(module, extraglobs={"Field": Field, "torch": torch}, report=True)
    assert found.attempted
    assert not found.failed


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
