"""Colour spaces of the inputs: normalised CIE Lab for the student, normalised RGB for the teacher (paper section 2)."""

import torch
from kornia.color import rgb_to_lab as kornia_rgb_to_lab
from torch import Tensor

# (value - offset) / scale, for L, a, b and for R, G, B
LAB_OFFSET, LAB_SCALE = (50.0, 0.0, 0.0), (50.0, 127.0, 127.0)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB (..., 3, H, W) float in [0, 1] to CIE Lab (D65), about -1 to 1: (L - 50) / 50, a / 127, b / 127 (section 2).

    ValueError for other than three channels, or integers (0-255 would be taken for 0-1).
    """
    _check_image(rgb)
    return _standardise(kornia_rgb_to_lab(rgb), LAB_OFFSET, LAB_SCALE)


def normalize_rgb(rgb: Tensor) -> Tensor:
    """RGB (..., 3, H, W) float in [0, 1] minus ImageNet's mean, over its standard deviation: about -2.1 to 2.6."""
    _check_image(rgb)
    return _standardise(rgb, IMAGENET_MEAN, IMAGENET_STD)


def drop_channel(lab: Tensor, channel: int) -> Tensor:
    """Normalised Lab (..., 3, H, W) with channel 1 (a) or 2 (b) set to 0, the others times 3/2 as in dropout."""
    if channel not in (1, 2):
        raise ValueError(f"channel is {channel}; only 1 (a) and 2 (b) are dropped.")
    dropped = lab * 1.5
    dropped[..., channel, :, :] = 0
    return dropped


def _check_image(rgb: Tensor) -> None:
    if rgb.ndim < 3 or rgb.shape[-3] != 3 or not rgb.is_floating_point():
        raise ValueError(f"not a float image (..., 3, H, W) in [0, 1]: {rgb.dtype} of shape {tuple(rgb.shape)}.")


def _standardise(image: Tensor, offset: tuple[float, ...], scale: tuple[float, ...]) -> Tensor:
    shift, factor = (torch.tensor(v, dtype=image.dtype, device=image.device).view(3, 1, 1) for v in (offset, scale))
    return (image - shift) / factor
