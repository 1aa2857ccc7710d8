"""Unlabelled images for step one; an item depends on its address alone, whatever workers and resuming do."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stt_core.errors import InputError
from stt_core.features import resized
from stt_core.pictures import Kept, frame_size, picture_files, read_frame, reduction


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
        self.paths = [path for folder in folders for path in picture_files(folder)]
        if not self.paths:
            raise InputError(f"{root} has no images in class folders (<class>/*.JPEG); put ImageNet's layout there.")
        self.load_size, self.seed, self.kept = load_size, seed, Kept(cache)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, address: tuple[int, int]) -> Tensor:
        """(3, load_size, load_size) uint8 RGB of the image at (epoch, index)."""
        epoch, index = address
        image = self.kept(_resized, self.paths[index], self.load_size)
        rng = np.random.default_rng((self.seed, epoch, index))
        top, left = (int(rng.integers(extent - self.load_size + 1)) for extent in image.shape[:2])
        square = image[top : top + self.load_size, left : left + self.load_size]
        return torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def _resized(path: Path, short_side: int) -> np.ndarray:
    return resized(read_frame(path, reduction(min(frame_size(path)), short_side)), short_side)
