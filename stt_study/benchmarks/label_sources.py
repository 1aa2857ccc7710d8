"""What labels are carried by: features of weights, of timm models, HOG; or none: standing still, optical flow."""

import hashlib
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from skimage.feature import hog
from torch import Tensor, nn
from torchvision.transforms.v2.functional import normalize

from stt_core.checkpoints import read_checkpoint
from stt_core.distributed import chosen_device
from stt_core.errors import InputError
from stt_core.features import FeatureSource, feature_source

PROBE = (96, 160)  # px: of no model's own shape


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
    if weights == "copy":
        return Baseline(weights, weights, lambda images, first, mode: (first for _ in images))
    return Baseline(weights, weights, flowed) if weights == "flow" else dense_source(weights, **how)


def dense_source(weights: str, *, stride: int = 8, device: str = "auto", **how) -> FeatureSource:
    """`features.feature_source(weights, **how)`, of "hog" and "timm:NAME", "timm:NAME@FILE" ours."""
    if weights == "hog":
        extract = partial(oriented_gradients, stride=stride)
        return FeatureSource(weights, f"hog-{version('scikit-image')}", stride, extract)
    if weights.startswith("timm:"):
        return timm_source(weights, stride, chosen_device(device))
    return feature_source(weights, stride=stride, device=device, **how)


def oriented_gradients(rgb: Tensor, stride: int) -> Tensor:
    """HOG (Dalal and Triggs 2005): RGB (1, 3, H, W) -> (1, 81, h, w), a cell's and its 8 neighbours' 9 orientations."""
    height, width = rgb.shape[-2:]
    # The border goes on to whole cells and one more, so that every cell is the middle of a block.
    around = (stride, stride + -width % stride, stride, stride + -height % stride)
    image = F.pad(rgb, around, mode="replicate")[0].permute(1, 2, 0).numpy()
    blocks = hog(image, pixels_per_cell=(stride, stride), cells_per_block=(3, 3), feature_vector=False, channel_axis=2)
    return torch.from_numpy(blocks).flatten(2).permute(2, 0, 1)[None].float()  # (h, w, 3, 3, 9) -> (1, 81, h, w)


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
    return torch.from_numpy(np.indices(size, np.float32)[::-1].copy())


def sampled(maps: Tensor, places: Tensor, mode: str) -> Tensor:
    """Maps (K, H, W) read at places (2, H, W) xy px, "nearest" or "bilinear"; outside of them, their border."""
    last = torch.tensor([[[maps.shape[2] - 1]], [[maps.shape[1] - 1]]]).clamp(min=1)
    grid = (2 * places / last - 1).permute(1, 2, 0)  # (2, H, W) -> (H, W, 2) in [-1, 1]
    return F.grid_sample(maps[None], grid[None], mode=mode, padding_mode="border", align_corners=True)[0]


class Dense(nn.Module):
    """One map of a timm model, of the largest stride up to the wanted one, or else the smallest: its deepest."""

    def __init__(self, model: nn.Module, stride: int) -> None:
        super().__init__()
        self.model = model
        strides = [info["reduction"] for info in model.feature_info]
        self.stride = max((s for s in strides if s <= stride), default=min(strides))
        self.index = len(strides) - 1 - strides[::-1].index(self.stride)
        self.norm = len(set(strides)) == 1
        self.colours = {name: model.pretrained_cfg[name] for name in ("mean", "std")}

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1] -> (B, C, ceil(H / stride), ceil(W / stride))."""
        height, width = rgb.shape[-2:]
        # Images of any size are extended to whole cells by their border.
        rgb = F.pad(rgb, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        how = {"norm": self.norm, "stop_early": True, "intermediates_only": True, "output_fmt": "NCHW"}
        return self.model.forward_intermediates(normalize(rgb, **self.colours), indices=[self.index], **how)[0]


def timm_source(weights: str, stride: int, device: str) -> FeatureSource:
    """Open "timm:NAME" or "timm:NAME@FILE"; `stride` is wanted, the model's counts; FILE has names that timm knows."""
    try:
        import timm
    except ImportError:
        raise InputError(f"{weights} needs timm; install it with: pip install 'stt-core[timm]'.") from None

    name, _, file = weights.removeprefix("timm:").partition("@")
    if file and not Path(file).is_file():
        raise InputError(f"{file}: no such weights file; give another one in timm:{name}@FILE.")
    if file:
        read_checkpoint(file)  # earlier releases of timm would run what a file holds
    if ":" not in name and not timm.is_model(name):
        raise InputError(f'timm has no model {name}; timm.list_models("*vit*") lists what it has.')
    # Without a source, timm looks at the file first, even where the name says a place of its own.
    how = {"pretrained": True, "pretrained_cfg_overlay": {"file": file, "source": ""} if file else None}
    try:
        try:
            model = timm.create_model(name, dynamic_img_size=True, **how).eval()
        except TypeError:  # only ViTs need to be told that sizes vary; others don't know the word
            model = timm.create_model(name, **how).eval()
    except Exception as error:  # of the network, of its cache, of reading, of fitting
        problem, fix = f"weights of timm's {name} can't be had", f"connect once, or give a file: timm:{name}@FILE"
        if file:
            problem, fix = f"{file} does not fit timm's {name}", "give weights of just this model"
        raise InputError(f"{problem} ({_short(error)}); {fix}.") from None
    digest = hashlib.sha256()
    for tensor, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise InputError(f"{file or name} has NaN or infinite values in {tensor}; give other weights.")
        digest.update(tensor.encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    try:
        dense = Dense(model, stride).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            grid = tuple(dense(torch.zeros(1, 3, *PROBE, device=device)).shape[2:])
        if grid != tuple(-(-side // dense.stride) for side in PROBE):
            raise ValueError(f"a grid of {grid}")
    except Exception as error:  # each model complains in its own way
        problem = f"{weights} gives no dense features of {PROBE[0]}x{PROBE[1]} px ({_short(error)})"
        fix = "choose a model that takes images of any size, such as a ViT of DINO or DINOv2, a ResNet or a ConvNeXt"
        raise InputError(f"{problem}; {fix}.") from None
    identity = f"timm-{timm.__version__}-{name}-{digest.hexdigest()[:16]}"
    layer = model.feature_info[dense.index]["module"]
    note = f"{weights}: map {layer} at stride {dense.stride}" + ("" if dense.stride == stride else f", not {stride}")
    return FeatureSource(weights, identity, dense.stride, dense, device, note)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {textwrap.shorten(str(error), 160, placeholder='…')}".rstrip(".")
