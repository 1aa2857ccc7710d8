"""Settings of a measurement by label propagation, and those around them: one at a time changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stt_core.encoder import INFERENCE
from stt_core.propagation import Inference

NUMBERS = {
    "preceding frames": ("num_preceding", (0, 1, 5, 10, 20, 40)),
    "top-k": ("topk", (1, 5, 10, 20, 40)),
    "temperature": ("temperature", (0.01, 0.03, 0.07, 0.1, 0.2, 1.0)),
}
RADII = (0.25, 0.5, 1, 2)  # times the profile's
WORDS = {
    "window": ("window", {"square": "square", "circle": "circle"}),
    "frame 0 is seen": ("first_windowed", {"windowed": True, "whole": False}),
    "frame 0 counts": ("first_twice", {"twice": True, "once": False}),
}
LAYERS = ("res3", "res4", "res5")
AT_STRIDE_4 = 5  # preceding frames where strides are compared: an affinity at stride 4 costs 16 times one at stride 8
SEARCHLESS = ("top-k", "temperature", "frame 0 counts", "maps normalised")
"""Axes whose settings all share the search of the profile's own."""


@dataclass(frozen=True)
class Setting:
    """Settings of propagation, and of what comes before and after it."""

    inference: Inference
    stride: int = 8  # pixels per cell
    layer: str = "res4"  # of the encoder
    normalise: bool = True  # min-max normalise every label map before argmax


def settings_around(own: Setting, layers: Sequence[str] = LAYERS) -> dict[str, dict[float | str, Setting]]:
    """Axis -> value -> `own` with that value, the own value among them. Axes with a single value are left out.

    Args:
        layers: of the encoder, where features have any.
    """
    base = own.inference
    radii = [max(1, round(base.radius * factor)) for factor in RADII]
    numbers = NUMBERS | {"radius": ("radius", radii)}
    axes: dict[str, dict] = {}
    for axis, (field, values) in numbers.items():
        every = sorted({*values, getattr(base, field)})
        axes[axis] = {value: replace(own, inference=replace(base, **{field: value})) for value in every}
    for axis, (field, values) in WORDS.items():
        axes[axis] = {w: replace(own, inference=replace(base, **{field: value})) for w, value in values.items()}
    if not base.with_first:
        axes["preceding frames"].pop(0, None)
        del axes["frame 0 is seen"], axes["frame 0 counts"]
    axes["maps normalised"] = {"yes": replace(own, normalise=True), "no": replace(own, normalise=False)}
    axes["layer"] = {layer: replace(own, layer=layer) for layer in layers}
    fewer = replace(base, num_preceding=min(base.num_preceding, AT_STRIDE_4))
    axes[f"stride, {fewer.num_preceding} preceding"] = {
        stride: replace(own, stride=stride, inference=replace(fewer, radius=base.radius * own.stride // stride))
        for stride in sorted({*INFERENCE, own.stride}, reverse=True)
    }
    return {axis: values for axis, values in axes.items() if len(values) > 1}
