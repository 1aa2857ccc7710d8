"""Features of other layers of the encoder than the one that is propagated, on the same grid."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from stt_core.checkpoints import open_weights
from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.encoder import INFERENCE, STAGES, folded, random_encoder
from stt_core.features import feature_source


def encoder_of(
    weights: str, stride: int, layers: Sequence[str], *, depth: int = 18, width: float = 1.0, seed: int = 0
) -> Callable[[np.ndarray], dict[str, Tensor]]:
    """What turns an image (H, W, 3) uint8 RGB into features (C, ceil(H / stride), ceil(W / stride)) of each layer.

    A layer that is finer than `stride` at the encoder's inference strides gives every second (fourth) of its cells, which
    are those that the next layer's stride takes. With "lab" and such, the only layer is "res4".

    Raises:
        InputError: as `features.feature_source`.
        ValueError: a layer that is coarser than `stride`, or not in such features.
    """
    source = feature_source(weights, stride=stride, depth=depth, width=width, seed=seed)
    if tuple(layers) == ("res4",):
        return lambda image: {"res4": source(image)}
    if weights == "lab" or weights.startswith("timm:"):
        raise ValueError(f"{weights} has no layers {layers}")
    strides, pool = INFERENCE[stride]
    own = dict(zip(STAGES, np.cumprod(strides) * (2 if pool == "none" else 4), strict=True))
    if any(stride % own[layer] for layer in layers):
        raise ValueError(f"of the layers {layers} some are coarser than stride {stride}")
    if weights == "random":
        encoder, colours = random_encoder(depth, width, seed, strides=strides, pool=pool), "lab"
    else:
        found = open_weights(weights)
        encoder, colours = found.encoder(strides, pool), found.input
    encoder = folded(encoder).to(source.device, memory_format=torch.channels_last)
    prepare = rgb_to_lab if colours == "lab" else normalize_rgb

    @torch.inference_mode()
    def encode(image: np.ndarray) -> dict[str, Tensor]:
        rgb = torch.from_numpy(np.ascontiguousarray(image)).to(source.device)
        rgb = rgb.permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        maps = encoder(prepare(rgb).contiguous(memory_format=torch.channels_last), layers)
        steps = {layer: stride // own[layer] for layer in layers}
        return {layer: maps[layer][0, :, :: steps[layer], :: steps[layer]] for layer in layers}

    return encode
