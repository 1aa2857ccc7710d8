"""Frames for training: decoded no larger than they are needed, out of image files or of videos."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from stt_core.errors import InputError
from stt_core.pictures import decoded, opened

# libjpeg scales while it decodes: half the size takes a third of the time.
REDUCED = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class VideoFrame(NamedTuple):
    """A frame inside of a video file."""

    path: Path
    pts: int  # time stamp, in the stream's units

    def __str__(self) -> str:
        return f"{self.path} (frame at {self.pts})"


class Decoder:
    """Reads frames (a path, or a `VideoFrame`), and keeps what it read if it is told to.

    Args:
        cache: keep decoded frames, and sizes, in memory.
    """

    def __init__(self, cache: bool = False) -> None:
        self.kept: dict | None = {} if cache else None

    def size(self, frame: Path | VideoFrame) -> tuple[int, int]:
        """(height, width) in px, as stored: a rotation that a camera noted in an image doesn't count.

        Raises:
            InputError: the frame is missing or broken.
        """
        if isinstance(frame, VideoFrame):
            return self(frame).shape[:2]
        return self._once((frame, "size"), lambda: _header_size(frame))

    def __call__(self, frame: Path | VideoFrame, factor: int = 1) -> np.ndarray:
        """(H, W, 3) uint8 RGB, at 1, 1/2, 1/4 or 1/8 of its size (rounded up).

        Raises:
            InputError: the frame is missing or broken.
        """

        def read() -> np.ndarray:
            return _video_frame(frame, factor) if isinstance(frame, VideoFrame) else _image(frame, factor)

        return self._once((frame, factor), read)

    def _once(self, key: tuple, read: Callable[[], Any]) -> Any:
        if self.kept is None:
            return read()
        if key not in self.kept:
            self.kept[key] = read()
        return self.kept[key]


def reduction(extent: float, needed: int) -> int:
    """The largest of 1, 2, 4 and 8 that leaves more than `needed` px of `extent` px; 1 where none does."""
    return max(factor for factor in REDUCED if factor == 1 or extent / factor > needed)


def frame_times(path: Path, every: int) -> list[VideoFrame]:
    """Every so-manieth frame of a video file, in the order in which they are shown.

    Raises:
        InputError: FFmpeg can't read it, or it holds no video.
    """
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


def _header_size(path: Path) -> tuple[int, int]:
    with opened(path) as image:
        return image.size[::-1]


def _image(path: Path, factor: int) -> np.ndarray:
    image = decoded(path, REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)  # so that the header's size is the image's
    return image if factor == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # reduced, there's BGR alone


def _video_frame(frame: VideoFrame, factor: int) -> np.ndarray:
    try:
        with av.open(str(frame.path), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            stream.thread_type = "SLICE"  # one frame is wanted, not the next ones in advance
            container.seek(frame.pts, stream=stream)  # to the key frame before
            for decoded in container.decode(stream):
                if decoded.pts is not None and decoded.pts >= frame.pts:
                    image = np.rot90(decoded.to_ndarray(format="rgb24"), round(decoded.rotation / 90))
                    size = [-(-extent // factor) for extent in image.shape[:2]]
                    image = np.ascontiguousarray(image)
                    return image if factor == 1 else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError) and error.filename:
            raise  # without a name it is the decoder's own word for broken
    raise InputError(f"{frame} cannot be decoded; restore the video or take it out of the folder.")
