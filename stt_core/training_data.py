"""Unlabelled images and frame pairs for training, addressed so that workers and resuming change nothing."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from stt_core.decoding import Decoder, reduction
from stt_core.files import InputError
from stt_core.pictures import picture_files
from stt_core.unlabelled import IMAGE_ENDINGS, training_videos


class EpochBatches(Sampler):
    """Batches of (epoch, index), `steps` of them: every epoch its own permutation, its last, short batch left out.

    A sampler that starts at step n yields what one that starts at 0 yields from its n-th batch on. Processes that share
    a batch get their shares of the same one.

    Args:
        length: items of the data set. A batch larger than that wraps around.
        batch_size: of all processes together.
        start: first step.
        rank, ranks: which of how many processes; each gets its share of every batch.
        parts: the batch is cut into so many, one after another, before each part is shared among the processes.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        steps: int,
        *,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        parts: int = 1,
    ) -> None:
        self.length, self.batch_size, self.steps, self.start, self.seed = length, batch_size, steps, start, seed
        # (parts, ranks, items) -> this process's places in a batch
        self.own = np.arange(batch_size).reshape(parts, ranks, -1)[:, rank].ravel()

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        per_epoch = max(1, self.length // self.batch_size)
        order, ordered = None, -1
        for step in range(self.start, self.steps):
            epoch, batch = divmod(step, per_epoch)
            if epoch != ordered:
                order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
                order, ordered = np.resize(order, max(self.length, self.batch_size)), epoch
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size][self.own]
            yield [(epoch, int(index)) for index in chosen]


class Images(Dataset):
    """Images of class folders, `root/<class>/*` or `root/train/<class>/*` (ImageNet's layout); classes are not used.

    Args:
        load_size: px; the short side is resized to it, and a random square of it is cut out.
        cache: keep the resized images in memory.

    Raises:
        InputError: no image is found, or one cannot be decoded.
    """

    def __init__(self, root: str | Path, load_size: int = 96, *, seed: int = 0, cache: bool = False) -> None:
        root = Path(root)
        root = root / "train" if (root / "train").is_dir() else root
        folders = sorted(f for f in root.iterdir() if not f.name.startswith(".")) if root.is_dir() else []
        self.paths = [path for folder in folders for path in picture_files(folder, IMAGE_ENDINGS)]
        if not self.paths:
            raise InputError(f"{root} has no images in class folders (<class>/*.JPEG); put ImageNet's layout there.")
        self.load_size, self.seed = load_size, seed
        self.decoder = Decoder()
        self.cached: dict[Path, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, address: tuple[int, int]) -> Tensor:
        """(3, load_size, load_size) uint8 RGB of the image at (epoch, index)."""
        epoch, index = address
        image = self._load(self.paths[index])
        rng = np.random.default_rng((self.seed, epoch, index))
        top, left = (int(rng.integers(extent - self.load_size + 1)) for extent in image.shape[:2])
        square = image[top : top + self.load_size, left : left + self.load_size]
        return torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)

    def _load(self, path: Path) -> np.ndarray:
        if self.cached is not None and path in self.cached:
            return self.cached[path]
        image = self.decoder(path, reduction(min(self.decoder.size(path)), self.load_size))
        scale = self.load_size / min(image.shape[:2])
        if scale != 1:
            height, width = (max(self.load_size, round(extent * scale)) for extent in image.shape[:2])
            mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, (width, height), interpolation=mode)
        if self.cached is not None:
            self.cached[path] = image
        return image


class FramePairs(Dataset):
    """Two frames of one video, cut out alike (paper section 2).

    Args:
        root: as `unlabelled.training_videos` reads it.
        size: px of both sides of what is returned.
        max_gap: the second frame is 1 to `max_gap` listed frames later.
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
        area: tuple[float, float] = (0.6, 1.0),
        aspect: tuple[float, float] = (1.5, 2.0),
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        self.videos = training_videos(root)
        self.items = [(v, t) for v, frames in enumerate(self.videos) for t in range(len(frames) - 1)]
        if not self.items:
            raise InputError(f"{root} has no video of two frames or more; put folders of frames or video files there.")
        self.size, self.max_gap, self.area, self.aspect, self.seed = size, max_gap, area, aspect, seed
        self.decoder = Decoder(cache)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, address: tuple[int, int]) -> Tensor:
        """(2, 3, size, size) uint8 RGB of the pair at (epoch, index): reference (earlier), query (later)."""
        epoch, index = address
        video, first = self.items[index]
        frames = self.videos[video]
        rng = np.random.default_rng((self.seed, epoch, index))
        last = min(first + self.max_gap, len(frames) - 1)
        second = int(rng.integers(first + 1, last + 1))
        pair = frames[first], frames[second]
        size, other = (self.decoder.size(frame) for frame in pair)
        if size != other:
            raise InputError(f"{pair[1]} differs in size from {pair[0]}; frames of a video must agree.")
        crop = _crop(*size, self.area, self.aspect, rng)
        flip = rng.random() < 0.5
        factor = reduction(min(crop[2:]), self.size)
        views = []
        for frame in pair:
            image = self.decoder(frame, factor)
            # The crop's place in the image as decoded; as it is where nothing was reduced.
            top, left, height, width = (round(extent / factor) for extent in crop)
            part = image[top : top + height, left : left + width]
            mode = cv2.INTER_AREA if min(height, width) > self.size else cv2.INTER_LINEAR
            view = cv2.resize(part, (self.size, self.size), interpolation=mode)
            views.append(view[:, ::-1] if flip else view)
        return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)  # (2, H, W, 3) -> (2, 3, H, W)


def _crop(
    height: int, width: int, area: tuple[float, float], aspect: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height, width of a random resized crop; where none fits, the largest central one of legal aspect."""
    for _ in range(10):
        wanted = height * width * rng.uniform(*area)
        ratio = np.exp(rng.uniform(*np.log(aspect)))
        h, w = round((wanted / ratio) ** 0.5), round((wanted * ratio) ** 0.5)
        if 0 < h <= height and 0 < w <= width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    ratio = float(np.clip(width / height, *aspect))
    h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
    return (height - h) // 2, (width - w) // 2, h, w
