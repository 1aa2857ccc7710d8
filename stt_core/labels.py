"""Labels for propagation: masks and keypoints to maps on the feature grid, and back (paper section 3)."""

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from stt_core.errors import InputError
from stt_core.files import written_whole
from stt_core.pictures import opened

# The bits of an index, lowest first, go in turn to the highest bits of R, G and B.
_BITS = [((np.arange(256)[:, None] >> (3 * k + np.arange(3))) & 1) << (7 - k) for k in range(3)]
PALETTE = np.sum(_BITS, axis=0).astype(np.uint8)
"""(256, 3) uint8 RGB: the colours of DAVIS's annotations."""


def read_mask(path: str | Path, *, not_black: bool = False) -> np.ndarray:
    """Ids (H, W) uint8 of a mask, upright; `not_black`: 1 where any kind of picture isn't black (BADJA).

    Ids are a palette's indices, grey values or those of DAVIS's colours; 255 is white on black, however soft its edge.
    What is transparent is black. InputError for one that cannot be read or, where ids are wanted, that is in other
    colours (a palette whose index 0 isn't the ground, too), of more than 8 bits or a JPEG.
    """
    with opened(path, "annotation") as stored:
        kind, image = stored.format, ImageOps.exif_transpose(stored)
        bits = 16 if image.mode.startswith("I;16") else 32 if image.mode in ("I", "F") else 8
        if not_black:
            return (np.array(image.convert("L") if bits == 8 else image) > 0).astype(np.uint8)
        if bits > 8:
            raise InputError(f"{path} has {bits} bits a pixel; save it with 8, which hold the ids of up to 254.")
        if kind == "JPEG":
            raise InputError(f"{path} is a JPEG, which blurs ids into others; save them as a palette or grey PNG.")
        values = np.array(image).astype(np.uint8)  # of one bit a pixel: ids 0 and 1
        if image.mode in ("L", "1"):
            return _hard(values)
        if image.mode == "P":
            image.apply_transparency()
            colours = np.array(image.getpalette("RGBA")).reshape(-1, 4)
            black, used = (colours[:, :3] * colours[:, 3:]).max(axis=1) < 32 * 255, np.unique(values)
            if (colours[used, :3] == used[:, None]).all():  # a grey picture that was converted
                return _hard(values)
            if black[0] or not black[used].any():
                return values
        rgb, alpha = np.split(np.array(image.convert("RGBA"), np.uint16), [3], axis=2)
        rgb = (rgb * alpha // 255).astype(np.uint8)
    if (rgb == rgb[..., :1]).all():
        return _hard(rgb[..., 0]) if image.mode != "P" else np.where(rgb[..., 0] < 128, 0, 255).astype(np.uint8)
    known, found = (colours.astype(int) @ (1 << 16, 1 << 8, 1) for colours in (PALETTE, rgb))
    order = known.argsort()
    ids = order[known[order].searchsorted(found).clip(max=255)].astype(np.uint8)
    if (known[ids] != found).any():
        raise InputError(f"{path} has colours that aren't DAVIS's; save ids (black: 0) as a palette or grey PNG.")
    return ids


def _hard(grey: np.ndarray) -> np.ndarray:
    """Grey values unchanged, or 0 and 255 for a white shape on black with a soft edge."""
    between, near = (grey > 32) & (grey < 224), np.ones((5, 5), np.uint8)  # few data sets have as many ids
    # The greys of an edge lie between a darker and a brighter neighbour; those of objects, among their like.
    edge = between & (cv2.erode(grey, near) < grey) & (grey < cv2.dilate(grey, near))
    soft = grey.max(initial=0) >= 128 and 2 * edge.sum() > between.sum()
    return np.where(grey < 128, 0, 255).astype(np.uint8) if soft else grey


def write_mask(path: str | Path, ids: np.ndarray) -> None:
    """Write ids (H, W) uint8 as a palette PNG in DAVIS's colours, whole or not at all."""
    image = Image.fromarray(ids.astype(np.uint8)).convert("P")
    image.putpalette(PALETTE.ravel().tolist())
    with written_whole(path) as temporary:
        image.save(temporary, format="PNG")


def one_hot(ids: np.ndarray, count: int) -> Tensor:
    """Ids (H, W), 0 = background, as maps (count + 1, H, W) float32; ids above `count` are in none."""
    return torch.stack([torch.from_numpy(ids == k) for k in range(count + 1)]).float()


def to_grid(maps: Tensor, grid: tuple[int, int], mode: str) -> Tensor:
    """Label maps (K, H, W) on the feature grid (K, h, w); `mode` is "nearest" for masks, "bilinear" for keypoints.

    A cell takes the label at its centre, where it is decoded: of a mask at stride 8, pixel 8i + 4 (released code).
    """
    # PyTorch's own "nearest" reads a cell's first pixel, half a cell above and left of the centre.
    return F.interpolate(maps[None], size=tuple(grid), mode="nearest-exact" if mode == "nearest" else mode)[0]


def decode_masks(maps: Tensor, size: tuple[int, int], *, normalise: bool = True) -> np.ndarray:
    """Ids (H, W) uint8 out of propagated maps (K, h, w): upsampled bilinearly, min-max normalised each, argmax.

    Without `normalise`, the maps' values are compared as they are. ValueError for more than 256 maps, whose ids uint8
    cannot hold, or values that are NaN or infinite.
    """
    if len(maps) > 256:
        raise ValueError(f"{len(maps)} maps are more than the 256 ids of a mask.")
    ids, best = maps.new_zeros(size, dtype=torch.uint8), maps.new_full(size, -torch.inf)
    for k in range(len(maps)):  # one at a time: each takes the size of the picture
        full = _upsampled(maps[k : k + 1], size)[0]  # (H, W)
        if normalise:
            low, high = full.aminmax()
            full = (full - low) / (high - low).clamp(min=1e-12)  # a map of zeros (an object that got lost) stays one
        ids.masked_fill_(full > best, k)
        best = torch.maximum(best, full)
    return ids.cpu().numpy()


def keypoints_to_maps(joints: np.ndarray, size: tuple[int, int], sigma: float = 4.0) -> Tensor:
    """Joints (J, 2) xy px as Gaussian maps (J, H, W) with peak 1 at image size; a missing joint (x < 0) is all zero.

    They end, in x and in y, at 3 `sigma` (released code). ValueError for a place that is NaN.
    """
    if np.isnan(joints).any():
        raise ValueError(f"joint {np.isnan(joints).any(axis=1).argmax()} is at NaN; a missing one is at x < 0.")
    places = torch.as_tensor(joints, dtype=torch.float32)
    x, y = (torch.arange(extent) - places[:, [axis]] for axis, extent in enumerate(size[::-1]))  # (J, W), (J, H)
    x, y = (torch.exp(-d.square() / (2 * sigma**2)) * (d.abs() <= 3 * sigma) for d in (x, y))
    present = torch.as_tensor(joints[:, 0] >= 0)
    return y[:, :, None] * (x * present[:, None])[:, None, :]


def decode_keypoints(maps: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Joints (J, 2) xy px out of propagated maps (J, h, w), upsampled bilinearly to `size`.

    A joint is the mean of the places of its map's 5 largest values, weighted by value; (-1, -1) if the map is all zero.
    ValueError for values that are NaN or infinite.
    """
    full = _upsampled(maps, size)  # (J, H, W)
    values, places = full.flatten(1).topk(min(5, size[0] * size[1]), dim=1)  # (J, 5)
    values = values.clamp(min=0).double()
    total = values.sum(dim=1)  # (J,)
    xy = torch.stack([places % size[1], places // size[1]], dim=2).double()  # (J, 5, 2)
    mean = (values[:, :, None] * xy).sum(dim=1) / total.clamp(min=1e-12)[:, None]
    mean[total == 0] = -1
    return mean.float().cpu().numpy()


def _upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (K, h, w) at the size of the picture, (K, H, W)."""
    if not torch.isfinite(maps).all():
        raise ValueError("Label maps hold NaN or infinity; so did the features they were carried by.")
    return F.interpolate(maps[None], size=tuple(size), mode="bilinear", align_corners=False)[0]
