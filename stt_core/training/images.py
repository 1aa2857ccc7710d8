"""Unlabelled images for step one, addressed so that workers and resuming change nothing."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stt_core.errors import InputError
from stt_core.pictures import picture_files
from stt_core.training.decoding import Decoder, reduction
from stt_core.training.pairs import IMAGE_ENDINGS


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
