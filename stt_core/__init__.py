"""Spatial-then-Temporal self-supervised learning for video correspondence, as a thin library.

A name is loaded when it is first used, so that importing the package takes no time. The equations are functions of
`stt_core.correlation` and `stt_core.losses`.

Example:
    >>> from stt_core import decode_masks, feature_source, one_hot, propagate, to_grid
    >>> frames, mask = np.zeros((3, 64, 128, 3), np.uint8), np.eye(64, 128)  # RGB; ids of the first frame, 0 and 1
    >>> source = feature_source("random", width=0.25)  # or "full", the weights that come with the package
    >>> features = torch.stack([source(frame) for frame in frames])  # (T, C, h, w)
    >>> maps = propagate(features, to_grid(one_hot(mask, 1), features.shape[2:], "nearest"))  # (T, 2, h, w)
    >>> decode_masks(maps[-1], mask.shape).shape
    (64, 128)
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_HOMES = {  # modules within the package never import from here
    "checkpoints": "open_weights pretrained save_weights Weights",
    "distributed": "Scale",
    "encoder": "Encoder",
    "errors": "InputError",
    "features": "FeatureSource feature_source",
    "labels": "decode_keypoints decode_masks keypoints_to_maps one_hot read_mask to_grid write_mask",
    "losses": "LocalDistillation global_distillation_loss local_distillation_loss reconstruction_loss",
    "propagation": "Context Inference propagate propagate_frames",
    "spatial": "MoCo SpatialSettings",
    "temporal": "SpatialThenTemporal TemporalSettings",
    "training.images": "Images",
    "training.pairs": "FramePairs",
    "training.train_spatial": "train_spatial",
    "training.train_temporal": "train_temporal",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
