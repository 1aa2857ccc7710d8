"""What labels are carried by: features of weights or of timm models; or none: standing still, optical flow."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stt_core.distributed import chosen_device
from stt_core.features import FeatureSource, feature_source
from stt_study.benchmarks.timm_source import timm_source


@dataclass(frozen=True)
class Baseline:
    """A way to carry labels from frame to frame that needs no features; fields as a `FeatureSource` has them."""

    weights: str
    identity: str
    # Images (H, W, 3) uint8 RGB, the first's maps (K, H, W), "nearest" (masks) or "bilinear" (joints) -> all maps.
    carry: Callable[[Iterable[np.ndarray], Tensor, str], Iterator[Tensor]]
    stride: int = 1
    device: str = "cpu"
    note: str = ""


Source = FeatureSource | Baseline


def label_source(weights: str, **how) -> Source:
    """The baseline "copy" or "flow", or `dense_source(weights, **how)`."""
    carriers = {"copy": copied, "flow": flowed}
    if weights in carriers:
        return Baseline(weights, weights, carriers[weights])
    return dense_source(weights, **how)


def dense_source(weights: str, **how) -> FeatureSource:
    """`features.feature_source(weights, **how)`, or of "timm:NAME" and "timm:NAME@FILE" `timm_source.timm_source`."""
    if weights.startswith("timm:"):
        device = chosen_device(how.get("device", "auto"))
        return timm_source(weights, stride=how.get("stride", 8), device=device)
    return feature_source(weights, **how)


def copied(images: Iterable[np.ndarray], first: Tensor, mode: str) -> Iterator[Tensor]:
    """The first maps, for every image."""
    for _ in images:
        yield first


def flowed(images: Iterable[np.ndarray], first: Tensor, mode: str) -> Iterator[Tensor]:
    """The first maps moved by optical flow (OpenCV's DIS, medium preset), from each frame back to the one before it."""
    # Flows are composed into the place in frame 0 that a pixel comes from: maps are sampled once, and don't blur.
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before = places = None
    for image in images:
        now = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if places is None:
            places = _pixels(now.shape)
        else:
            places = composed(places, torch.from_numpy(flow.calc(now, before, None)).permute(2, 0, 1))
        before = now
        yield sampled(first, places, mode)


def composed(places: Tensor, back: Tensor) -> Tensor:
    """Places (2, H, W) xy px in frame 0 of frame t's pixels, from those of frame t - 1 and the flow `back` to it."""
    return sampled(places, back + _pixels(places.shape[1:]), "bilinear")


def _pixels(size: tuple[int, int]) -> Tensor:
    """(2, H, W): x and y of every pixel."""
    rows, columns = torch.meshgrid(*(torch.arange(n).float() for n in size), indexing="ij")
    return torch.stack([columns, rows])


def sampled(maps: Tensor, places: Tensor, mode: str) -> Tensor:
    """Maps (K, H, W) read at places (2, H, W) xy px, "nearest" or "bilinear"; outside of them, their border."""
    last = torch.tensor([[[maps.shape[2] - 1]], [[maps.shape[1] - 1]]]).clamp(min=1)
    grid = (2 * places / last - 1).permute(1, 2, 0)  # (2, H, W) -> (H, W, 2) in [-1, 1]
    return F.grid_sample(maps[None], grid[None], mode=mode, padding_mode="border", align_corners=True)[0]
