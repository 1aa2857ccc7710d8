"""Can the data keep a GPU busy? Images and frame pairs a second that one core reads, beside what training takes.

Measured through the data sets' own `__getitem__`, one at a time on one core, which is what a worker process does, in
processor time: others' work doesn't count, and nor does waiting for a disk.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_study.speed.budget import HOUR, Job
from stt_study.speed.gpus import REACHED, Gpu, seconds
from stt_study.world.textures import photograph

COLOUR = ("astronaut", "chelsea", "coffee", "retina", "rocket")  # of the photographs
IMAGE_SIZE = (375, 500)  # height, width in px: what most of ImageNet has
FRAME_SIZE = (720, 1280)  # YouTube-VOS
QUALITY = 95  # of the JPEGs
GRAIN = 4.0  # grey levels, deviation: enlarged photographs lack the fine detail that makes decoding slow


@dataclass(frozen=True)
class Rate:
    """How fast one core makes items for training."""

    what: str
    kilobytes: float  # of a file, mean
    seconds: float  # an item, median
    decoding: float  # share of that in which files are read and decoded; the rest cuts out and resizes

    @property
    def per_core(self) -> float:
        """Items a second."""
        return 1 / self.seconds


def write_images(root: Path, count: int = 40, size: tuple[int, int] = IMAGE_SIZE) -> Path:
    """JPEGs of crops out of photographs, in class folders."""
    for index, picture in enumerate(_crops(count, size, shifts=1)):
        _write(root / COLOUR[index % len(COLOUR)] / f"{index}.jpg", picture[0])
    return root


def write_videos(root: Path, count: int = 5, frames: int = 5, size: tuple[int, int] = FRAME_SIZE) -> Path:
    """Folders of JPEGs: a slow pan over each photograph."""
    for index, video in enumerate(_crops(count, size, shifts=frames)):
        for t, picture in enumerate(video):
            _write(root / f"{index}" / f"{t:05d}.jpg", picture)
    return root


def image_rate(root: Path, settings: SpatialSettings, most: int = 40, what: str = "images") -> Rate:
    """Of step one's images below `root`, none of them in memory."""
    dataset = Images(root, settings.load_size)
    return _rate(dataset, dataset.paths, most, what)


def pair_rate(
    root: Path,
    settings: TemporalSettings,
    most: int = 40,
    what: str = "pairs",
    aspect: tuple[float, float] = (1.5, 2.0),
) -> Rate:
    """Of step two's pairs below `root`, none of them in memory."""
    dataset = FramePairs(root, size=settings.size, aspect=aspect)
    return _rate(dataset, [frame for video in dataset.videos for frame in video], most, what)


def feeding_table(rates: list[tuple[Rate, Job]], on: Gpu, workers: int = 8) -> pd.DataFrame:
    """What cores give beside what GPUs take, one row a rate.

    Columns: "KB a file", "decoding" (share of the time), "a core gives, items/s"; for a GPU, by its faster and its slower
    estimate: "a GPU takes, items/s", "cores a GPU" that would feed it, and the share of its need that so many `workers` give, and how
    many hours the training takes with them.
    """
    rows = {}
    for rate, job in rates:
        row = {"KB a file": rate.kilobytes, "decoding": f"{rate.decoding:.0%}", "a core gives, items/s": rate.per_core}
        for end, reached in zip(("from", "to"), sorted(REACHED, reverse=True), strict=True):
            need = job.cost.items / seconds(job.cost.ops, on, reached)
            row |= {f"a GPU takes, items/s {end}": need, f"cores a GPU {end}": need / rate.per_core}
            row |= {f"share of its need that {workers} give {end}": workers * rate.per_core / need}
            slower = job.cost.items / min(need, workers * rate.per_core)
            row |= {f"hours with {workers} {end}": job.steps * slower / HOUR}
        rows[rate.what] = row
    return pd.DataFrame.from_dict(rows, orient="index")


@contextmanager
def one_core() -> Iterator[None]:
    """Within, OpenCV and PyTorch start no threads."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


class Timed:
    """A decoder that takes down how long it works."""

    def __init__(self, decoder) -> None:
        self.decoder, self.seconds = decoder, 0.0

    def __call__(self, *args):
        return self._timed(self.decoder, *args)

    def size(self, *args):
        return self._timed(self.decoder.size, *args)

    def _timed(self, work, *args):
        begun = time.thread_time()
        try:
            return work(*args)
        finally:
            self.seconds += time.thread_time() - begun


def _rate(dataset: Images | FramePairs, paths: list[Path], most: int, what: str) -> Rate:
    dataset.decoder = decoder = Timed(dataset.decoder)
    chosen = np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int)
    times = []
    with one_core():
        dataset[0, int(chosen[0])]  # the first one loads libraries
        decoder.seconds = 0.0
        for index in chosen:
            begun = time.thread_time()
            dataset[1, int(index)]
            times.append(time.thread_time() - begun)
    files = [Path(getattr(path, "path", path)) for path in paths]  # a frame of a video has a path
    size = float(np.mean([path.stat().st_size for path in files[:: max(1, len(files) // 100)]]))
    return Rate(what, size / 1000, float(np.median(times)), decoder.seconds / sum(times))


def _crops(count: int, size: tuple[int, int], shifts: int) -> Iterator[list[np.ndarray]]:
    """`count` times `shifts` pictures (H, W, 3): crops of a photograph, each a bit further than the last."""
    rng = np.random.default_rng(0)
    for index in range(count):
        photo = photograph(COLOUR[index % len(COLOUR)])
        factor = 1.1 * max(wanted / extent for wanted, extent in zip(size, photo.shape[:2], strict=True))
        large = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        grain = GRAIN * rng.standard_normal(large.shape, dtype=np.float32)
        large = np.clip(large + grain, 0, 255).astype(np.uint8)
        top = int(rng.integers(large.shape[0] - size[0]))
        left = int(rng.integers(large.shape[1] - size[1] - 2 * shifts))
        yield [large[top : top + size[0], left + 2 * s : left + 2 * s + size[1]] for s in range(shifts)]


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
