"""Where dense features come from: trained weights, random weights, or the Lab image itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stt_core.checkpoints import file_hash, open_weights
from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.distributed import chosen_device
from stt_core.encoder import INFERENCE, folded, random_encoder


@dataclass(frozen=True)
class FeatureSource:
    """A function from an image to a feature map, and what results say about it."""

    weights: str  #: as given, such as the path of a weights file, "full", "lab" or "timm:NAME"
    identity: str  #: tells sources apart in results: what was given, or a hash of the file
    stride: int  #: pixels per cell
    extract: Callable[[Tensor], Tensor]  #: RGB (1, 3, H, W) in [0, 1] -> (1, C, ceil(H / stride), ceil(W / stride))
    device: str = "cpu"
    note: str = ""  #: one line for the user on what was read from a file and what was left

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> Tensor:
        """Features (C, h, w) of one image (H, W, 3) uint8 RGB; any scale, propagation normalises them."""
        rgb = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        rgb = rgb.permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        return self.extract(rgb)[0]


def feature_source(
    weights: str = "full",
    *,
    stride: int = 8,
    depth: int = 18,
    width: float = 1.0,
    seed: int = 0,
    input: str = "rgb",
    precision: str = "float32",
    device: str = "auto",
) -> FeatureSource:
    """Open a feature source.

    Args:
        weights: "lab" (the Lab image as its own feature, every cell the `stride` x `stride` pixels it covers),
            "random" (an untrained encoder of `depth`, `width`, `seed`), or a path or name as of
            `checkpoints.open_weights`, such as "full" (see `checkpoints.pretrained`).
        stride: 8 or 4; res4 of the encoder with the strides of paper section 3.
        input: colours of a weights file that does not say; Lab for "random".
        precision: of the encoder's convolutions, "float32" or "bfloat16": faster where the processor has units for it,
            at features that differ by about a hundredth.
        device: "cuda", "cpu", or "auto" for what there is.

    Example:
        >>> source = feature_source("random", width=0.25)
        >>> source(np.zeros((64, 128, 3), np.uint8)).shape
        torch.Size([64, 8, 16])

    Raises:
        InputError: the weights file is missing or does not fit; CUDA is asked for where there is none.
        ValueError: another stride or precision.
    """
    if stride not in INFERENCE or precision not in ("float32", "bfloat16"):
        raise ValueError(f"stride {stride} is not 8 or 4, or precision {precision} not float32 or bfloat16.")
    device = chosen_device(device)
    if weights == "lab":
        return FeatureSource(weights, weights, stride, partial(_lab_patches, stride=stride))
    strides, pool = INFERENCE[stride]
    note = ""
    if weights == "random":
        encoder, colours = random_encoder(depth, width, seed, strides=strides, pool=pool).eval(), "lab"
        identity = f"random-r{depth}-w{width:g}-seed{seed}"
    else:
        found = open_weights(weights, input=input, whole=False)
        encoder, colours, note = found.encoder(strides, pool), found.input, found.note
        identity = f"{file_hash(found.path)}-{colours}"
    encoder = folded(encoder).to(device).to(memory_format=torch.channels_last)
    prepare = rgb_to_lab if colours == "lab" else normalize_rgb

    def extract(rgb: Tensor) -> Tensor:
        images = prepare(rgb).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            return encoder(images)["res4"].float()

    identity += "-bfloat16" if precision == "bfloat16" else ""
    return FeatureSource(weights, identity, stride, extract, device, note)


def _lab_patches(rgb: Tensor, stride: int) -> Tensor:
    height, width = rgb.shape[-2:]
    lab = F.pad(rgb_to_lab(rgb), (0, -width % stride, 0, -height % stride), mode="replicate")
    return F.pixel_unshuffle(lab, stride)  # (1, 3, h s, w s) -> (1, 3 s s, h, w)


def resized_size(size: tuple[int, ...], short_side: int | tuple[int, int] | None) -> tuple[int, int]:
    """The (height, width) that `resized` gives an image of `size` (height, width)."""
    if isinstance(short_side, int):
        height, width = (round(side * (short_side / min(size))) for side in size)
        return height, width
    return short_side or (size[0], size[1])


def resized(image: np.ndarray, short_side: int | tuple[int, int] | None) -> np.ndarray:
    """An image (H, W, 3) with its short side, or its (height, width), set in pixels; None leaves it as it is."""
    size = resized_size(image.shape[:2], short_side)
    if size == image.shape[:2]:
        return image
    shrinks = size[0] < len(image)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def features_of(source: FeatureSource, images: Iterable[np.ndarray], short_side) -> Iterator[Tensor]:
    """Feature maps (C, h, w) of a stream of frames (H, W, 3) uint8 RGB, resized as `resized` does, one at a time."""
    return (source(resized(image, short_side)) for image in images)
