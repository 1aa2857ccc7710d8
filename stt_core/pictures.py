"""Pictures on the disk: where they lie, what they hold, and one sentence for each that cannot be read."""

import errno
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from stt_core.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins

# Of a broken picture, OpenCV would write paragraphs to standard error, beside our one sentence.
if "OPENCV_LOG_LEVEL" not in os.environ:
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
        InputError: there are none, or one is there twice or is no file.
    """
    files = picture_files(folder, [ending])
    if not files:
        raise InputError(f"{folder} has no *{ending} frames, but its sequence is listed; unpack it or mend the list.")
    names = _numbers(files) or [file.stem for file in files]
    order = sorted(range(len(files)), key=names.__getitem__)  # 9 before 10
    files, names = [files[i] for i in order], [names[i] for i in order]
    for (earlier, file), (one, other) in zip(pairwise(files), pairwise(names), strict=True):
        if one == other:
            raise InputError(f"{file} and {earlier.name} are the same frame; remove one of them.")
    for file in files:
        if not file.is_file():
            state = "is a folder" if file.is_dir() else "is a link to nothing"
            raise InputError(f"{file} {state}; restore this frame.")
    return tuple(files)


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


def decoded(path: str | Path, flags: int) -> np.ndarray:
    """A picture as `cv2.imdecode` with these flags has it.

    Raises:
        InputError: it is missing or cannot be decoded, or is a JPEG that was cut off.
        OSError: the disk won't give it.
    """
    # Not cv2.imread: it fills the rest of a JPEG that was cut off with grey, where imdecode refuses it.
    try:
        content = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; restore this frame.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not an image; restore this frame.") from None
    try:
        image = cv2.imdecode(content, flags) if content.size and _whole(content) else None
    except cv2.error as error:  # a header that claims more pixels than OpenCV takes
        if error.code == cv2.Error.StsNoMem:
            raise
        image = None
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image; restore this frame.")
    return image


def _whole(content: np.ndarray) -> bool:
    """False for a PNG that is cut off or damaged, of which libpng would write a line to standard error."""
    data, at = memoryview(content), len(PNG)
    if data[:at] != PNG:
        return True  # of others, the decoder says so
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kind, check = bytes(data[at + 4 : at + 8]), data[end - 4 : end]
        # What isn't needed for the pixels is called in lower case, and may be damaged.
        if end > len(data) or not (kind[:1].islower() or zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(check)):
            return False
        if kind == b"IEND":
            return True
        at = end
    return False


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
    except InputError:
        raise
    except MemoryError:
        if _whole(np.fromfile(path, np.uint8)):
            raise
        # A damaged length, which Pillow asks memory for.
        raise InputError(f"{path} cannot be decoded as an image; restore this {what}.") from None
    except FileNotFoundError:
        raise InputError(f"{path} is missing; restore this {what}.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not an image; restore this {what}.") from None
    except Exception as error:  # broken bytes raise nearly every kind: SyntaxError, ValueError, zlib.error, …
        # Pillow's own have no number; EINVAL is of a place before the file's beginning, which a damaged one names.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
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
