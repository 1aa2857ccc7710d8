"""A data set looked through by the readers that use it: counts, and each list, sequence or picture that is broken."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stt_core.errors import InputError
from stt_core.files import listed
from stt_core.labels import read_mask
from stt_core.pictures import VideoFrame, frame_size, read_frame
from stt_core.training.images import Images
from stt_core.training.pairs import training_videos
from stt_study.benchmarks.badja import areas, badja_davis, read_clip
from stt_study.benchmarks.davis import DAVIS
from stt_study.benchmarks.jhmdb import JHMDB
from stt_study.benchmarks.run import Benchmark
from stt_study.benchmarks.vip import VIP
from stt_study.evenly import evenly


@dataclass
class Checked:
    """What a check found."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)  # sentences that are no faults
    problems: list[str] = field(default_factory=list)  # a sentence each
    # To decode; a picture that it must agree with in size; whether it is an annotation.
    pictures: list[tuple[Path | VideoFrame, Path | None, bool]] = field(default_factory=list, repr=False)

    def read(self, reader: Callable[..., Any], *args: object, **options: object) -> Any:
        """What a reader returns, or () where it refuses: its sentence is a problem."""
        try:
            return reader(*args, **options)
        except InputError as error:
            self.problems.append(str(error))
            return ()

    def official(self, number: int, official: int | None, what: str) -> None:
        if official and number != official:
            self.notes.append(f"{number:,} of the official {official:,} {what}.")

    def add(self, what: str, picture: Path | VideoFrame, like: Path | None = None) -> None:
        """Count a picture, and keep it for decoding if it is there and not empty."""
        self.counts[what] += 1
        path = picture.path if isinstance(picture, VideoFrame) else picture
        if path.is_file() and path.stat().st_size:
            self.pictures.append((picture, like, what == "annotations"))
        else:
            self.problems.append(f"{path} is {'empty' if path.exists() else 'missing'}; restore it.")

    def video(self, frames: Sequence[Path | VideoFrame], masks: Sequence[Path] = ()) -> None:
        """Add a video's frames, which must be of one size, and their annotations."""
        for frame in frames:
            self.add("frames", frame, frames[0] if isinstance(frame, Path) else None)
        for mask, frame in zip(masks, frames, strict=False):
            self.add("annotations", mask, frame)


def check(name: str, folder: str | Path, *, every: bool = False, sample: int = 200) -> Checked:
    """Look through a data set (one of `CHECKS`) by the readers that use it; `every` picture or a sample is decoded."""
    folder = Path(folder)
    if name not in CHECKS:
        raise InputError(f"'{name}' can't be checked; choose from {', '.join(CHECKS)}.")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; give the folder of the data set.")
    found = Checked(folder)
    CHECKS[name](folder, found)
    pictures = found.pictures if every else evenly(found.pictures, sample)
    with ThreadPool(os.cpu_count()) as pool:
        faults = list(tqdm(pool.imap(_fault, pictures, 16), total=len(pictures), desc="decode", disable=None))
    found.problems = list(dict.fromkeys(filter(None, found.problems + faults)))
    found.counts["decoded"] = len(pictures)
    if not pictures and not found.problems:
        found.problems.append(f"{folder} has no pictures; see data/README.md for where they should be.")
    return found


def _fault(picture: tuple[Path | VideoFrame, Path | None, bool]) -> str | None:
    path, like, ids = picture
    try:
        height, width = (read_mask if ids else read_frame)(path).shape[:2]
        size = frame_size(like) if like else (height, width)
    except InputError as error:
        return str(error)
    differ = f"{path} is {width}x{height} px but {like} is {size[1]}x{size[0]}; they must agree."
    return None if size == (height, width) else differ


def _listed(benchmark: Benchmark, lists: str, what: str, train: int | None, root: Path, found: Checked) -> None:
    for split, official in {"val": benchmark.count, "train": train}.items():
        path = root / lists.format(split)
        if split == "train" and not path.is_file():
            continue  # nothing is evaluated on it
        lines = found.read(listed, path)
        for line, times in Counter(lines).items():
            if times > 1:
                found.problems.append(f"{path} lists {line} twice; take one of the lines out.")
            for video in found.read(benchmark.read, root, split, names=[line]):
                found.video(video.frames, getattr(video, "masks", ()))
        found.counts[what] += len(lines)
        found.official(len(lines), official, f"{what} of {split}")


def _badja(root: Path, found: Checked) -> None:
    for path in sorted((root / "joint_annotations").glob("*.json")):
        found.counts["clips"] += 1
        if clip := found.read(read_clip, path, root, badja_davis(root)):
            found.video(clip.frames)
            found.read(areas, clip)  # its masks, which may be of another size than the frames
            if not clip.masks:
                found.notes.append(f"{clip.name} has no masks, which its authors' rule of correct points needs.")


def _videos(root: Path, found: Checked, videos: int | None = None, frames: int | None = None) -> None:
    for video in found.read(training_videos, root):
        found.counts["videos"] += 1
        found.video(video)
    found.official(found.counts["videos"], videos, "videos")
    found.official(found.counts["frames"], frames, "listed frames")


def _images(root: Path, found: Checked, classes: int, images: int) -> None:
    paths = getattr(found.read(Images, root), "paths", [])
    for path in paths:
        found.add("images", path)
    found.counts["classes"] = len({path.parent for path in paths})
    found.official(found.counts["classes"], classes, "classes")
    found.official(len(paths), images, "images")


CHECKS: dict[str, Callable[[Path, Checked], None]] = {
    "davis": partial(_listed, DAVIS, "ImageSets/2017/{}.txt", "sequences", 60),
    "vip": partial(_listed, VIP, "lists/{}_videos.txt", "videos", None),
    "jhmdb": partial(_listed, JHMDB, "{}_list.txt", "clips", 660),
    "badja": _badja,
    "youtube-vos": partial(_videos, videos=3471, frames=94_588),
    "imagenet": partial(_images, classes=1000, images=1_281_167),
    "imagenette": partial(_images, classes=10, images=9469),
    "videos": _videos,
}
