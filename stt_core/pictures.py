"""Pictures on the disk: where they lie, what they hold, and one sentence for each that cannot be read."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from stt_core.errors import InputError

# Of a broken picture, OpenCV would write paragraphs to standard error, beside our one sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def picture_files(folder: Path, endings: Collection[str]) -> list[Path]:
    """The files of a folder with these endings (in lower case; the files' may be of any), by name; [] if there is no folder.

    Hidden ones don't count: a Mac leaves a ._00000.jpg beside every 00000.jpg.
    """
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in endings and not p.name.startswith("."))


def frame_files(folder: Path, ending: str) -> tuple[Path, ...]:
    """The frames of a listed video, in the order of their numbers if their names are numbers, else of their names.

    Raises:
        InputError: there are none, or one is there twice.
    """
    files = picture_files(folder, [ending])
    if not files:
        raise InputError(f"{folder} has no *{ending} frames, but its sequence is listed; unpack it or fix the list.")
    names: list[Any] = list(_numbers(files)) or [file.stem for file in files]
    frames = dict(zip(names, files, strict=True))
    if len(frames) < len(files):
        twice = min(set(files) - set(frames.values()))
        raise InputError(f"{twice} is there under another name, too; remove one of them.")
    return tuple(frames[number] for number in sorted(frames))  # 9 before 10


def check_steps(frames: Sequence[Path]) -> None:
    """InputError where frames whose names are numbers don't go on in equal steps: one that is left out was lost."""
    numbers = _numbers(frames)
    step = min((b - a for a, b in pairwise(numbers)), default=1)
    for (earlier, frame), (a, b) in zip(pairwise(frames), pairwise(numbers), strict=False):
        if b - a != step:
            lost = earlier.with_stem(f"{a + step:0{len(earlier.stem)}d}")
            raise InputError(f"{lost} is missing between {earlier.name} and {frame.name}; restore this frame.")


def _numbers(files: Sequence[Path]) -> list[int]:
    """What the files are called, if they all are called a number; else []."""
    names = [file.stem for file in files]
    return [int(name) for name in names] if all(name.isascii() and name.isdigit() for name in names) else []


def _no_file(path: str | Path, what: str) -> InputError:
    state = "is a folder, not an image" if Path(path).is_dir() else "is missing"
    return InputError(f"{path} {state}; restore this {what}.")


def decoded(path: str | Path, flags: int) -> np.ndarray:
    """A picture as `cv2.imdecode` with these flags has it.

    Raises:
        InputError: it is missing or cannot be decoded, or is a JPEG that was cut off.
        OSError: the disk won't give it.
    """
    # Not cv2.imread: it fills the rest of a JPEG that was cut off with grey, where imdecode refuses it.
    try:
        content = np.fromfile(path, np.uint8)
    except (FileNotFoundError, IsADirectoryError):
        raise _no_file(path, "frame") from None
    try:
        image = cv2.imdecode(content, flags) if content.size else None
    except cv2.error as error:  # a header that claims more pixels than OpenCV takes
        if error.code == cv2.Error.StsNoMem:
            raise
        image = None
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image; restore this frame.")
    return image


@contextmanager
def opened(path: str | Path, what: str = "frame") -> Iterator[Image.Image]:
    """A picture opened by Pillow, which reads its header now and its pixels when they are asked for.

    Args:
        what: it is, in the sentence for a bad one.

    Raises:
        InputError: it is missing or cannot be decoded; in the block, too.
        OSError: the disk won't give it.
    """
    try:
        with Image.open(path) as image:
            yield image
    except (InputError, MemoryError):
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise _no_file(path, what) from None
    except Exception as error:  # broken bytes raise nearly every kind: SyntaxError, ValueError, zlib.error, …
        if isinstance(error, OSError) and error.filename:  # the system's, not Pillow's own
            raise
        raise InputError(f"{path} cannot be decoded as an image; restore this {what}.") from None


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is missing or cannot be decoded, or is a JPEG that was cut off.
    """
    return cv2.cvtColor(decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) out of an image's header; InputError if it has none."""
    with opened(path) as image:
        return image.size
