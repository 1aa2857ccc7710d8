"""Textures of the world made of code: crops of scikit-image's bundled photographs and procedural noise, recoloured.

Training, validation and test never share pixels: each photograph is cut along its longer side into a band a split.
"""

from functools import lru_cache

import cv2
import numpy as np
from skimage import data

# Those that ship inside the package; none of them is downloaded.
PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket"),
)
BANDS = {"train": (0.0, 0.5), "val": (0.5, 0.72), "test": (0.72, 1.0)}  # shares of the longer side
CONTRAST = 14  # least standard deviation of a crop's grey levels: sky, space and black borders are no texture


@lru_cache
def photograph(name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB; grey photographs have three equal channels."""
    photo = getattr(data, name)()
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, axis=2)
    if max(photo.shape) > 900:  # retina and Hubble are finer than the frames they end up in
        photo = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(photo[..., :3])


def crop(rng: np.random.Generator, split: str, side: int) -> np.ndarray:
    """A square crop (S, S, 3) uint8 RGB, turned and mirrored at random, of `side` px or the band's shorter side."""
    for _ in range(12):
        name = PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))]
        band = photograph(name)
        axis = int(np.argmax(band.shape[:2]))
        rows = slice(*(int(share * band.shape[axis]) for share in BANDS[split]))
        band = band[rows] if axis == 0 else band[:, rows]
        size = min(side, *band.shape[:2])
        top, left = (rng.integers(limit - size + 1) for limit in band.shape[:2])
        patch = band[top : top + size, left : left + size]
        if patch.mean(axis=2).std() > CONTRAST:
            break
    patch = np.rot90(patch, rng.integers(4))
    return np.ascontiguousarray(patch[:, ::-1] if rng.random() < 0.5 else patch)


def clouds(rng: np.random.Generator, size: int, coarse: int = 3, octaves: int = 5, stretch: int = 1) -> np.ndarray:
    """Fractal noise (S, S) float32 in [0, 1]; `stretch` > 1 draws it out along x like fur or grain."""
    field = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = coarse * 2**octave + 1
        grid = rng.random((cells, max(2, cells // stretch + 1))).astype(np.float32)
        field += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / (high - low), 0, 1)


def noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """A grey procedural texture (S, S) float32 in [0, 1]: cloud, fur, marble, stripes, spots or scales."""
    kind = rng.integers(6)
    if kind == 0:
        return clouds(rng, size, coarse=int(rng.integers(4, 12)))
    if kind == 1:
        return clouds(rng, size, coarse=int(rng.integers(8, 20)), octaves=4, stretch=int(rng.integers(3, 7)))
    soft = clouds(rng, size, coarse=int(rng.integers(3, 8)), octaves=3)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    turns = rng.uniform(6, 16)
    if kind == 2:
        field = np.sin(2 * np.pi * (x * turns / 3 + soft * 3))
    elif kind == 3:
        field = np.tanh(3 * np.sin(2 * np.pi * (x * turns + soft * rng.uniform(0.5, 2))))
    elif kind == 4:
        field = np.tanh(12 * (clouds(rng, size, coarse=int(rng.integers(8, 18)), octaves=2) - rng.uniform(0.45, 0.65)))
    else:
        field = np.sin(2 * np.pi * (x * turns + soft)) * np.sin(2 * np.pi * (y * turns + soft))
    grain = clouds(rng, size, coarse=24, octaves=3)
    return (0.5 + 0.5 * field) * 0.75 + 0.25 * grain


def recolour(rng: np.random.Generator, rgb: np.ndarray, chroma: float = 1.0) -> np.ndarray:
    """New hues (tints that change with lightness where it is grey), lightness and contrast for (H, W, 3) uint8."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    hue = rng.uniform(0, 2 * np.pi)
    if np.abs(lab[..., 1:]).mean() < 3:
        hues = hue + rng.normal(0, 0.6, 3)
        strength = chroma * rng.uniform(3, 32, 3)
        for channel, colours in ((1, strength * np.cos(hues)), (2, strength * np.sin(hues))):
            lab[..., channel] = np.interp(light, (15, 50, 85), colours)
    else:
        hue *= rng.random() < 0.6  # some keep the colours of the photograph
        c, s = np.cos(hue), np.sin(hue)
        lab[..., 1:] = lab[..., 1:] @ np.array([[c, s], [-s, c]], np.float32) * (chroma * rng.uniform(0.5, 1.1))
    light[:] = (light - light.mean()) / max(float(light.std()), 4.0) * rng.uniform(12, 21) + rng.uniform(36, 68)
    light[:] = 50 + 46 * np.tanh((light - 50) / 46)  # rolls off instead of clipping
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255 + 0.5, 0, 255).astype(np.uint8)


def texture(
    rng: np.random.Generator, split: str, size: int, procedural: float = 0.3, chroma: float = 1.0
) -> np.ndarray:
    """A recoloured texture (size, size, 3) uint8 RGB, noise with chance `procedural`; `chroma` scales its colours."""
    if rng.random() < procedural:
        grey = (noise(rng, size) * 255).astype(np.uint8)
        return recolour(rng, np.repeat(grey[..., None], 3, axis=2), chroma)
    patch = recolour(rng, crop(rng, split, int(size * rng.uniform(0.55, 1.5))), chroma)
    smaller = patch.shape[0] > size
    return cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
