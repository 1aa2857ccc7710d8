"""Reading pictures and frames of videos from files; a broken file ends in a one-line message."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from PIL import ExifTags, Image

from stt_core.errors import InputError

# Of a broken picture, OpenCV would write paragraphs to standard error, beside our one sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
# libjpeg scales while it decodes: half the size takes a third of the time.
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def picture_files(folder: Path, endings: Collection[str] = IMAGE_ENDINGS) -> list[Path]:
    """The files of a folder with these endings (in lower case; names may have any), sorted; [] without a folder."""
    if not folder.is_dir():
        return []
    # Hidden ones don't count: a Mac leaves a ._00000.jpg beside every 00000.jpg.
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in endings and not p.name.startswith("."))


def folder_frames(folder: Path) -> list[Path]:
    """The pictures of a folder that are frames of one video, 9 before 10; [] if there are none.

    Of JPEGs and PNGs, those that are more, or JPEGs: the others are masks. Of names with and without a number, those
    with one, unless they are fewer: a mask, a title picture lie beside them. InputError for two that more than their
    numbers, or only what follows the number, tells apart.
    """
    files = picture_files(folder)
    jpegs = [file for file in files if file.suffix.lower() != ".png"]
    files = jpegs if 2 * len(jpegs) >= len(files) else [file for file in files if file not in jpegs]
    files.sort(key=lambda file: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", file.stem)])
    numbered = [file for file in files if re.search(r"\d", file.stem)]
    frames = numbered if 2 * len(numbered) >= len(files) else files
    for file, other in pairwise(frames):
        kinds = {re.sub(r"\d+", "0", each.stem) for each in (file, other)}
        if re.fullmatch(re.escape(file.stem) + r"(\D.*)?", other.stem) or (frames is numbered and len(kinds) > 1):
            raise InputError(f"{file} and {other.name} can't both be a frame; leave only the frames in the folder.")
    return frames


@contextmanager
def opened(path: str | Path, what: str = "frame") -> Iterator[Image.Image]:
    """Open a picture by Pillow, which reads its header now and its pixels on demand.

    InputError, which calls it `what` it is, if it is missing or cannot be decoded; in the block, too.
    """
    try:
        with Image.open(path) as image:
            yield image
    except (InputError, MemoryError):
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path} is missing; restore this {what}.") from None
    except Exception as error:  # broken bytes raise nearly every kind: SyntaxError, ValueError, zlib.error, …
        if getattr(error, "filename", None) or getattr(error, "code", 0) == cv2.Error.StsNoMem:
            raise  # the system's own, or memory ran out
        raise InputError(f"{path} cannot be decoded as an image; restore this {what}.") from None


def read_image(path: str | Path, factor: int = 1) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright by its EXIF orientation, at 1, 1/2, 1/4 or 1/8 of its size (rounded up).

    InputError if the file is missing, cannot be decoded, or is a JPEG that was cut off.
    """
    with opened(path):
        # Not cv2.imread: it fills the rest of a JPEG that was cut off with grey, where imdecode refuses it.
        image = cv2.imdecode(np.fromfile(path, np.uint8), REDUCED[factor])
        if image is None:
            raise ValueError
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class VideoFrame(NamedTuple):
    """A frame in a video file."""

    path: Path
    pts: int  # time stamp, in the stream's units

    def __str__(self) -> str:
        return f"{self.path} (frame at {self.pts})"


@contextmanager
def opened_video(path: Path, fix: str) -> Iterator[av.VideoStream]:
    """Open a video file's stream of pictures; InputError, which ends with the fix, if FFmpeg finds or reads none."""
    try:
        # Absolute, since FFmpeg takes what stands before a colon for a protocol.
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None:
                raise InputError(f"{path} has no video in it; {fix}.")
            yield stream
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError) and error.filename:
            raise  # without a name it is a decoder's own word for broken
        raise InputError(f"{path} cannot be read as a video ({error.strerror}); {fix}.") from None


def as_shown(frame: av.VideoFrame, stream: av.VideoStream) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a decoded frame as players show it: with square pixels, turned and mirrored."""
    image = frame.to_ndarray(format="rgb24")
    width = max(1, round(frame.width * (stream.sample_aspect_ratio or 1)))
    if width != frame.width:
        image = cv2.resize(image, (width, frame.height), interpolation=cv2.INTER_LINEAR)
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":  # (x, y) is shown at x (a, b) + y (c, d)
            a, b, _, c, d = np.frombuffer(side, np.int32)[:5].tolist()
            down, right = (b, c) if abs(b) > abs(a) else (d, a)
            image = image.swapaxes(0, 1) if abs(b) > abs(a) else image
            return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
    return image


def video_frames(path: Path, every: int) -> list[VideoFrame]:
    """Every n-th frame (n = `every`) of a video file, in the order shown; InputError if it holds no video."""
    with opened_video(path, "take it out of the folder") as stream:
        packets = stream.container.demux(stream)  # some, before or after a cut, only help to decode others
        times = sorted({packet.pts for packet in packets if packet.pts is not None and not packet.is_discard})
    return [VideoFrame(path, time) for time in times[::every]]


def read_frame(frame: Path | VideoFrame, factor: int = 1) -> np.ndarray:
    """(H, W, 3) uint8 RGB at 1, 1/2, 1/4 or 1/8 of its size (rounded up); InputError if it is missing or broken."""
    if isinstance(frame, Path):
        return read_image(frame, factor)
    with opened_video(frame.path, "restore it or take it out of the folder") as stream:
        stream.thread_type = "SLICE"  # one frame is wanted, not the next ones in advance
        stream.container.seek(frame.pts, stream=stream)  # to the key frame before
        for decoded in stream.container.decode(stream):
            if decoded.pts is not None and decoded.pts >= frame.pts:
                image = as_shown(decoded, stream)
                size = [-(-extent // factor) for extent in image.shape[:2]]
                return image if factor == 1 else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    raise InputError(f"{frame} cannot be decoded; restore the video or take it out of the folder.")


def frame_size(frame: Path | VideoFrame) -> tuple[int, int]:
    """(height, width) in px of what `read_frame` returns, without decoding an image; the same errors."""
    if isinstance(frame, VideoFrame):
        return read_frame(frame).shape[:2]
    with opened(frame) as image:
        orientation = 1
        with suppress(Exception):  # broken EXIF counts for none; PNG's own getexif would decode all pixels
            orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        return image.size if orientation in (5, 6, 7, 8) else image.size[::-1]


def reduction(extent: float, needed: int) -> int:
    """The largest of 1, 2, 4 and 8 that leaves more than `needed` px of `extent` px; 1 where none does."""
    return max(factor for factor in REDUCED if factor == 1 or extent / factor > needed)


class Kept:
    """Calls functions and, if `cache` is set, keeps their results in memory."""

    def __init__(self, cache: bool) -> None:
        self.cache, self.values = cache, dict[tuple, Any]()

    def __call__(self, function: Callable, *arguments: Any) -> Any:
        key = (function, *arguments)
        if self.cache and key not in self.values:
            self.values[key] = function(*arguments)
        return self.values[key] if self.cache else function(*arguments)
