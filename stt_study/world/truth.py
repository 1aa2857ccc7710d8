"""What the renderer knows of a frame beyond its picture: kept beside it, so that pixels can be followed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from stt_core.errors import InputError


@dataclass(frozen=True)
class Truth:
    """Of one frame: what is seen at each pixel, and where each label's coordinates lie."""

    labels: np.ndarray  # (H, W) int16, of `Rendering`; 0 is the background
    matrices: np.ndarray  # (L, 2, 3), a label's of `Rendering`
    shot: int  # a cut begins another, where nothing has a partner in the one before

    @classmethod
    def read(cls, frame: Path) -> Self:
        """The truth of a frame's file, or InputError."""
        path = _place(frame)
        if not path.is_file():
            raise InputError(f"{path} is missing; an oracle needs a world that is made with world.truth true.")
        with np.load(path) as arrays:
            return cls(arrays["labels"], arrays["matrices"], int(arrays["shot"]))

    def write(self, frame: Path) -> None:
        """Beside a frame's file: `Truth/…/00000.npz` for `JPEGImages/…/00000.jpg`."""
        path = _place(frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, labels=self.labels, matrices=self.matrices, shot=self.shot)


def _place(frame: Path) -> Path:
    parts = ["Truth" if part == "JPEGImages" else part for part in frame.parts]
    return Path(*parts).with_suffix(".npz")
