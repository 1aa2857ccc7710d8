"""What must not change silently: reference results that a setting made unreadable, and what a training imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from stt_core.files import read_json
from stt_study.results.comparison import REFERENCE, settings_hash
from stt_study.study import Study

FILES = sorted(REFERENCE.glob("*/*.json"))
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_reference_results_are_of_todays_settings(path: Path) -> None:
    """A field that is renamed would empty the reference columns of every page."""
    assert read_json(path)["settings"] == settings_hash(Study(path.parent.name), path.stem)


def test_a_training_needs_nothing_of_notebooks(data_folder: Path, tmp_path: Path) -> None:
    videos, images = str(data_folder / "youtube-vos"), str(data_folder / "imagenet")
    program = TRAINING.format(blocked=BLOCKED, images=images, videos=videos, out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two" / "weights.pth").is_file()
