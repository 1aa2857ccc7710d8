"""A data set looked through: what is there, counted, and all that is missing, cut off or of the wrong size."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stt_core.training.decoding import Decoder, VideoFrame
from stt_core.errors import InputError
from stt_core.files import listed
from stt_core.labels import read_mask
from stt_core.pictures import image_size, read_image

AT_ONCE = 4096  # pictures handed to the threads, so that a million of them needs no memory


@dataclass(frozen=True)
class Checked:
    """What a check found: how many of what, remarks that are no fault, and the faults, a sentence each."""

    name: str
    folder: Path
    counts: dict[str, int]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A file to decode. `like`: one that it must agree with in size. `ids`: it is an annotation."""

    path: Path | VideoFrame
    like: Path | None = None
    ids: bool = False


@dataclass
class Findings:
    """What the functions of `data_layouts` gather."""

    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        """Add to the number of `what`."""
        self.counts[what] = self.counts.get(what, 0) + number

    def of_official(self, number: int, official: int, what: str) -> None:
        """Note a subset, or more than the official number."""
        if number != official:
            self.notes.append(f"{number:,} of the official {official:,} {what}.")

    def names(self, path: Path) -> list[str]:
        """The lines of a list file, each once; what is wrong with the list becomes a problem."""
        try:
            lines = listed(path)
        except InputError as error:
            self.problems.append(str(error))
            return []
        names = list(dict.fromkeys(lines))
        if len(names) < len(lines):
            self.problems.append(f"{path} lists {len(lines) - len(names)} twice; mend the list.")
        return names

    def add(self, what: str, pictures: Iterable[Picture]) -> None:
        """Count pictures, and keep for decoding those that aren't missing or empty."""
        for picture in pictures:
            path = picture.path if isinstance(picture.path, Path) else picture.path.path
            self.count(what)
            try:
                size = path.stat().st_size
            except OSError:
                self.problems.append(f"{path} is missing; restore it.")
                continue
            if size:
                self.pictures.append(picture)
            else:
                self.problems.append(f"{path} is empty; restore it.")

    def video(self, frames: list[Path], what: str = "frames") -> None:
        """Add a video's frames, which must be of one size."""
        self.add(what, (Picture(frame, frames[0]) for frame in frames))

    def frames(self, folder: Path, pattern: str) -> list[Path]:
        """Add the frames of a listed video, and return them."""
        frames = sorted(folder.glob(pattern))
        if not frames:
            state = f"has no {pattern} frames" if folder.is_dir() else "is missing"
            self.problems.append(f"{folder} {state}, but it is listed; restore it or mend the list.")
        self.video(frames)
        return frames

    def gaps(self, frames: list[Path], first: int) -> None:
        """Frames missing at the start or in the middle of a video that is numbered from `first` without a break."""
        if frames and all(frame.stem.isdigit() for frame in frames):
            numbers = {int(frame.stem) for frame in frames}
            missing = sorted(set(range(first, max(numbers))) - numbers)
            if missing:
                more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
                self.problems.append(f"{frames[0].parent} lacks frame {missing[0]}{more}; restore what is missing.")

    def unlisted(self, folder: Path, known: Iterable[str], pattern: str = "*") -> None:
        """Note how many videos in `folder` are on no list."""
        known = set(known)
        there = [path for path in folder.glob(pattern) if path.is_dir()] if folder.is_dir() else []
        more = sum(path.relative_to(folder).as_posix() not in known for path in there)
        if more:
            self.notes.append(f"{more:,} folders in {folder} are on no list; nothing reads them.")


def check(name: str, folder: str | Path, *, every: bool = False, sample: int = 200) -> Checked:
    """Look through a data set in its official layout; unlike our loaders, to the end.

    Every file that belongs to it must be there and not be empty. Of the pictures, a sample that is spread over the set
    (the same every time) is decoded, or all: they must be whole, of their video's size, annotations of their frame's.

    Args:
        name: one of `data_layouts.LAYOUTS`.
        every: decode all pictures.
        sample: decode so many.

    Raises:
        InputError: an unknown name, or no such folder.
    """
    from stt_study.data.layouts import LAYOUTS

    folder = Path(folder)
    if name not in LAYOUTS:
        raise InputError(f"'{name}' can't be checked; choose from {', '.join(LAYOUTS)}.")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; give the folder of the data set.")
    found = Findings()
    LAYOUTS[name](folder, found)
    pictures = found.pictures if every else _spread(found.pictures, sample)
    faults = [fault for fault in _decoded(pictures) if fault]
    found.count("decoded", len(pictures))
    if not found.pictures and not found.problems:
        found.problems.append(f"{folder} has no pictures; see data/README.md for where they should be.")
    return Checked(name, folder, found.counts, tuple(found.notes), tuple(dict.fromkeys(found.problems + faults)))


def _spread(pictures: list[Picture], sample: int) -> list[Picture]:
    """One picture out of each of `sample` equal parts, at random."""
    if len(pictures) <= sample:
        return pictures
    edges = np.linspace(0, len(pictures), sample + 1).astype(int)
    rng = np.random.default_rng(0)
    return [pictures[rng.integers(low, high)] for low, high in pairwise(edges)]


def _decoded(pictures: list[Picture]) -> Iterator[str | None]:
    """What is wrong with each picture, or None. In threads: OpenCV and Pillow work outside of Python's lock."""
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(pictures), desc="decode", unit="picture", disable=None) as bar,
    ):
        for start in range(0, len(pictures), AT_ONCE):
            for fault in pool.map(_fault, pictures[start : start + AT_ONCE]):
                bar.update()
                yield fault


def _fault(picture: Picture) -> str | None:
    path = picture.path
    try:
        if isinstance(path, VideoFrame):
            Decoder()(path)
            return None
        if picture.ids:
            read_mask(path)
        else:
            read_image(path)
        size = image_size(path)
    except (InputError, Image.DecompressionBombError) as error:
        return str(error)
    try:
        expected = image_size(picture.like) if picture.like else size
    except (InputError, Image.DecompressionBombError):
        return None  # it is a picture of its own, and said there
    if size != expected:
        sizes = "x".join(map(str, size)), "x".join(map(str, expected))
        return f"{path} is {sizes[0]} px but {picture.like} is {sizes[1]}; they must agree."
    return None
