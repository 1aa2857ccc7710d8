"""Pictures and frames of videos on the disk: where they lie, what they hold, one sentence for each that is broken."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from PIL import Image

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
    """The files of a folder with these endings (given in lower case, of any in names), by name; [] without a folder."""
    if not folder.is_dir():
        return []
    # Hidden ones don't count: a Mac leaves a ._00000.jpg beside every 00000.jpg.
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in endings and not p.name.startswith("."))


def read_image(path: str | Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """(H, W, 3) uint8 RGB; InputError if the file is missing, cannot be decoded, or is a JPEG that was cut off.

    Flags are those of `cv2.imdecode`.
    """
    # Not cv2.imread: it fills the rest of a JPEG that was cut off with grey, where imdecode refuses it.
    try:
        content = np.fromfile(path, np.uint8)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path} is missing; restore this frame.") from None
    try:
        image = cv2.imdecode(content, flags) if content.size else None
    except cv2.error as error:  # a header that claims more pixels than OpenCV takes
        if error.code == cv2.Error.StsNoMem:
            raise
        image = None
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image; restore this frame.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@contextmanager
def opened(path: str | Path, what: str = "frame") -> Iterator[Image.Image]:
    """A picture opened by Pillow, which reads its header now and its pixels when they are asked for.

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
        if isinstance(error, OSError) and error.filename:  # the system's, not Pillow's own
            raise
        raise InputError(f"{path} cannot be decoded as an image; restore this {what}.") from None


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) out of an image's header; InputError if it has none."""
    with opened(path) as image:
        return image.size


class VideoFrame(NamedTuple):
    """A frame inside of a video file."""

    path: Path
    pts: int  # time stamp, in the stream's units

    def __str__(self) -> str:
        return f"{self.path} (frame at {self.pts})"


def video_frames(path: Path, every: int) -> list[VideoFrame]:
    """Every so-manieth frame of a video file, in the order in which they are shown; InputError if it holds no video."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None:
                raise InputError(f"{path} has no video in it; take it out of the folder.")
            times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
    except av.error.PermissionError:
        raise
    except av.error.FFmpegError as error:
        raise InputError(f"{path} cannot be read as a video ({error.strerror}); take it out of the folder.") from None
    return [VideoFrame(path, time) for time in times[::every]]


def read_frame(frame: Path | VideoFrame, factor: int = 1) -> np.ndarray:
    """(H, W, 3) uint8 RGB at 1, 1/2, 1/4 or 1/8 of its size (rounded up); InputError if it is missing or broken."""
    if isinstance(frame, Path):
        return read_image(frame, REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)  # so that its size is the header's
    try:
        with av.open(str(frame.path), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            stream.thread_type = "SLICE"  # one frame is wanted, not the next ones in advance
            container.seek(frame.pts, stream=stream)  # to the key frame before
            for decoded in container.decode(stream):
                if decoded.pts is not None and decoded.pts >= frame.pts:
                    image = np.rot90(decoded.to_ndarray(format="rgb24"), round(decoded.rotation / 90))
                    image = np.ascontiguousarray(image)
                    size = [-(-extent // factor) for extent in image.shape[:2]]
                    return image if factor == 1 else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError) and error.filename:
            raise  # without a name it is the decoder's own word for broken
    raise InputError(f"{frame} cannot be decoded; restore the video or take it out of the folder.")


def frame_size(frame: Path | VideoFrame) -> tuple[int, int]:
    """(height, width) in px of what `read_frame` reads; of an image, its header is enough."""
    return image_size(frame)[::-1] if isinstance(frame, Path) else read_frame(frame).shape[:2]


def reduction(extent: float, needed: int) -> int:
    """The largest of 1, 2, 4 and 8 that leaves more than `needed` px of `extent` px; 1 where none does."""
    return max(factor for factor in REDUCED if factor == 1 or extent / factor > needed)


class Kept:
    """Calls functions, and keeps what they returned in memory where `cache` is set."""

    def __init__(self, cache: bool) -> None:
        self.values: dict[tuple, Any] | None = {} if cache else None

    def __call__(self, function: Callable, *arguments: Any) -> Any:
        if self.values is None:
            return function(*arguments)
        key = (function, *arguments)
        if key not in self.values:
            self.values[key] = function(*arguments)
        return self.values[key]
