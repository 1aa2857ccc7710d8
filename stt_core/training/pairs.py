"""Pairs of frames of unlabelled videos for step two; a pair depends on its address alone, as in `images`."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stt_core.errors import InputError
from stt_core.files import listed, read_json
from stt_core.pictures import Kept, VideoFrame, folder_frames, frame_size, read_frame, reduction, video_frames

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
EVERY = 5  # frames of a video file: YouTube-VOS lists every fifth


class FramePairs(Dataset):
    """Two frames of one video, cropped alike (paper section 2).

    Args:
        root: as `training_videos` reads it.
        size: px of both sides of what is returned.
        max_gap, min_gap: by how many listed frames the second frame is later.
        area: share of the frame that a crop covers. aspect: its width over its height.
        cache: keep decoded frames in memory.

    Raises:
        InputError: no video with two frames is found, the list is broken, or a frame cannot be decoded.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        size: int = 256,
        max_gap: int = 1,
        min_gap: int = 1,
        area: tuple[float, float] = (0.6, 1.0),
        aspect: tuple[float, float] = (1.5, 2.0),
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        self.videos = training_videos(root)
        self.items = [(v, t) for v, frames in enumerate(self.videos) for t in range(len(frames) - min_gap)]
        if not self.items:
            raise InputError(f"{root} has no video of {min_gap + 1} frames or more; put videos or frame folders there.")
        self.size, self.gap, self.area, self.aspect, self.seed = size, (min_gap, max_gap), area, aspect, seed
        self.kept = Kept(cache)

    def __len__(self) -> int:
        return len(self.items)

    def cut(self, address: tuple[int, int]) -> tuple[list[Path | VideoFrame], tuple[int, int, int, int], bool]:
        """Reference (earlier) and query (later) at (epoch, index); the crop (top, left, height, width); if flipped."""
        epoch, index = address
        video, first = self.items[index]
        frames = self.videos[video]
        rng = np.random.default_rng((self.seed, epoch, index))
        last = min(first + self.gap[1], len(frames) - 1)
        pair = [frames[first], frames[int(rng.integers(first + self.gap[0], last + 1))]]
        size, other = (self.kept(frame_size, frame) for frame in pair)
        if size != other:
            raise InputError(f"{pair[1]} differs in size from {pair[0]}; frames of a video must agree.")
        return pair, _crop(size, self.area, self.aspect, rng), rng.random() < 0.5

    def __getitem__(self, address: tuple[int, int]) -> Tensor:
        """(2, 3, size, size) uint8 RGB of the pair at (epoch, index), as `cut` says."""
        pair, crop, flip = self.cut(address)
        factor = reduction(min(crop[2:]), self.size)
        views = []
        for frame in pair:
            top, left, height, width = (round(extent / factor) for extent in crop)  # in the image as decoded
            part = self.kept(read_frame, frame, factor)[top : top + height, left : left + width]
            mode = cv2.INTER_AREA if min(height, width) > self.size else cv2.INTER_LINEAR
            view = cv2.resize(part, (self.size, self.size), interpolation=mode)
            views.append(view[:, ::-1] if flip else view)
        return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)  # (2, H, W, 3) -> (2, 3, H, W)


def _crop(
    size: tuple[int, int], area: tuple[float, float], aspect: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height, width of a random resized crop; where none of 20 fits, the central square (released code)."""
    height, width = size
    for _ in range(20):
        wanted = height * width * rng.uniform(*area)
        ratio = np.exp(rng.uniform(*np.log(aspect)))
        h, w = round((wanted / ratio) ** 0.5), round((wanted * ratio) ** 0.5)
        if 0 < h <= height and 0 < w <= width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    side = min(size)
    return (height - side) // 2, (width - side) // 2, side, side


def training_videos(root: str | Path) -> Sequence[Sequence[Path | VideoFrame]]:
    """The frames of every video, in order; InputError for a missing folder or listed video, a broken list or video.

    Videos are, whichever is found first: `root/train/meta.json` (YouTube-VOS: the frames listed for its objects),
    `root/JPEGImages/480p` or `Full-Resolution` (DAVIS: the sequences of `ImageSets/2017/train.txt`, all if there is no
    such list), or all frame folders and video files in `root`, of which every fifth frame is taken.
    """
    root = Path(root)
    meta, names = root / "train" / "meta.json", root / "ImageSets" / "2017" / "train.txt"
    if meta.is_file():
        return _youtube_vos(meta)
    if not root.is_dir():
        raise InputError(f"{root} does not exist or is a file; give the folder of the training videos.")
    sizes = [root / "JPEGImages" / size for size in ("480p", "Full-Resolution")]
    folder = next(filter(Path.is_dir, sizes), root)
    if folder != root and names.is_file():
        videos = [folder / name for name in listed(names)]
    else:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        videos = [path for path in found if path.is_dir() or path.suffix.lower() in VIDEO_ENDINGS]
    for video in videos:
        if not video.exists():
            raise InputError(f"{video} is listed but missing; unpack it or take it off the list.")
    return [video_frames(video, EVERY) if video.is_file() else folder_frames(video) for video in videos]


def _youtube_vos(meta: Path) -> list[list[Path]]:
    try:
        videos = {
            video: sorted({frame for thing in entry["objects"].values() for frame in thing["frames"]})
            for video, entry in sorted(read_json(meta)["videos"].items())
        }
        for name in (*videos, *(frame for frames in videos.values() for frame in frames)):
            if not name.isprintable() or Path(name).name != name:
                raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{meta} is not YouTube-VOS's (videos > id > objects > frames' names); restore it.") from None
    folder = meta.parent / "JPEGImages"
    paths = [[folder / video / f"{frame}.jpg" for frame in frames] for video, frames in videos.items()]
    for path in (frames[0] for frames in paths if frames):
        if not path.is_file():
            raise InputError(f"{path} is listed in {meta} but missing; unpack JPEGImages beside it.")
    return paths
