"""Videos of any kind as RGB frames, one at a time, and back to an mp4: nothing here holds more than a frame."""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import Colorspace

from stt_core.errors import InputError
from stt_core.files import written_whole
from stt_core.pictures import IMAGE_ENDINGS, as_shown, folder_frames, opened_video, read_image
from stt_study.store import hash_of

TICK = Fraction(1, 60_000)  # s; 24, 25, 30, 50, 60 and 30000/1001 frames a second are whole numbers of it


class Frame(NamedTuple):
    """Frame `number`, counted from 0, shown `time` s after frame 0: image (H, W, 3) uint8 RGB, upright."""

    number: int
    time: float
    image: np.ndarray


@dataclass(frozen=True)
class Video:
    """A video file, or a folder of frames."""

    path: Path
    files: tuple[Path, ...]  # the frames of a folder; () for a video file
    size: tuple[int, int]  # (height, width) in px, upright
    rate: float  # frames a second; of a video with a variable rate, the mean
    count: int | None  # frames, as far as the file says

    def frames(self, skip: Container[int] = ()) -> Iterator[Frame]:
        """The frames in order; those whose number is in `skip` are left out, which is quicker than to drop them."""
        of_folder = (Frame(t, t / self.rate, read_image(file)) for t, file in enumerate(self.files) if t not in skip)
        for frame in of_folder if self.files else _file_frames(self, skip):
            (height, width), (own_height, own_width) = self.size, frame.image.shape[:2]
            if (height, width) != (own_height, own_width):
                what = self.files[frame.number] if self.files else f"{self.path}: frame {frame.number}"
                sizes = f"{own_width}x{own_height} px, not {width}x{height} px as frame 0"
                raise InputError(f"{what} is {sizes}; cut it there.")
            yield frame

    def fingerprint(self, count: int) -> str:
        """Changes with a folder's first `count` frames, or with a video file as a whole (name, size, time stamp)."""
        paths = self.files[:count] or (self.path,)
        return hash_of([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths])


def open_video(path: str | Path, rate: float = 24.0) -> Video:
    """Open what FFmpeg decodes, as upright RGB, or a folder of frames (`folder_frames`), `rate` a second."""
    path = Path(path)
    if path.is_dir():
        files = folder_frames(path)
        if not files:
            raise InputError(f"{path} has no {', '.join(IMAGE_ENDINGS)} frames; give the folder that holds them.")
        return Video(path, tuple(files), read_image(files[0]).shape[:2], rate, len(files))
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a video file or a folder of frames.")
    with opened_video(path, "give another one") as stream:
        rate = stream.average_rate or stream.guessed_rate or rate
        count = stream.frames or round(_length(stream) * rate) or None
    video = Video(path, (), (0, 0), float(rate), count)
    first = next(_file_frames(video), None)
    if first is None:
        raise InputError(f"{path} has no frames; give another video.")
    return replace(video, size=first.image.shape[:2])


def write_video(path: str | Path, frames: Iterable[tuple[float, np.ndarray]], rate: float) -> None:
    """Encode (time in s, image (H, W, 3) uint8 RGB) as an H.264 mp4, whole or not; `rate` in 1/s."""
    path = Path(path).absolute()  # FFmpeg takes what stands before a colon for a protocol
    with written_whole(path) as temporary, av.open(str(temporary), "w", options={"movflags": "faststart"}) as container:
        stream = None
        ticks = -1
        for time, image in frames:
            height, width = image.shape[:2]
            if stream is None:
                # x264's macroblock tree makes other bytes of the same small frames now and then.
                options = {"crf": "20", "preset": "veryfast", "x264-params": "mbtree=0"}
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=options)
                stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
                stream.time_base = stream.codec_context.time_base = TICK
                stream.codec_context.colorspace = Colorspace.ITU601  # players would guess
            # Players take even sides.
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601)
            ticks = max(ticks + 1, round(time / TICK))
            frame.pts, frame.time_base, frame.duration = ticks, TICK, round(1 / (rate * TICK))
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


def _file_frames(video: Video, skip: Container[int] = ()) -> Iterator[Frame]:
    number, start, ends, last = 0, 0.0, 0.0, 0.0
    with opened_video(video.path, "give another one") as stream:
        length = _length(stream)
        try:
            for frame in stream.container.decode(stream):
                if frame.is_corrupt:
                    raise av.error.InvalidDataError(0, "corrupt")
                seconds = ends if frame.pts is None else float(frame.pts * stream.time_base)
                start = start if number else seconds
                last = seconds - start
                if number not in skip:
                    yield Frame(number, last, as_shown(frame, stream))
                number += 1
                ends = seconds + (float(frame.duration * stream.time_base) or 1 / video.rate)
        except av.error.FFmpegError:
            where = f"from frame {number} (at {ends - start:.2f} s) on"
            raise InputError(f"{video.path} cannot be decoded {where}; restore it, or cut it there.") from None
        # Where sound or an edited start make a file look longer than its frames, the count of frames contradicts it.
        missing = number < (stream.frames or number + 1)
        if missing and ends - min(start, 0.0) + 2 / video.rate < length:
            where = f"after frame {number - 1} (at {last:.2f} s), but should last {length:.2f} s"
            raise InputError(f"{video.path} ends {where}; restore the rest of it.")


def _length(stream: av.VideoStream) -> float:
    """Seconds that the frames should last, or 0 where the file doesn't say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    parts = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))  # as Matroska says it
    return sum(float(part) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0.0
