"""The ways to train that the study compares: the full method, and what is left when a part is switched off."""

from dataclasses import dataclass, replace
from typing import Any

from stt_core.balance import PAPER_WEIGHTS
from stt_core.profile import Profile
from stt_core.temporal import TemporalSettings


@dataclass(frozen=True)
class Variant:
    """One way to train: what is switched off or exchanged, all else as in the full method."""

    name: str
    title: str
    steps: str  # "one", "two" (from scratch) or "both"
    changes: tuple[tuple[str, Any], ...] = ()  # fields of TemporalSettings


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("full", "full method", "both"),
        Variant("no_global", "no global distillation", "both", (("weight_global", 0.0),)),
        Variant("no_local", "no local distillation", "both", (("weight_local", 0.0),)),
        Variant("neither", "no distillation", "both", (("weight_global", 0.0), ("weight_local", 0.0))),
        Variant("released", "released code's variants", "both", (("released_code", True),)),
        Variant("step_one", "step one only", "one"),
        Variant("step_two", "step two only", "two", (("weight_global", 0.0),)),
        Variant("scratch", "step two only, no distillation", "two", (("weight_global", 0.0), ("weight_local", 0.0))),
    )
}

BASELINES = {
    "copy": "first label copied",
    "flow": "optical flow (DIS)",
    "lab": "Lab image",
    "random": "random weights",
    "supervised": "supervised (torchvision)",
}
NO_ENCODER = ("copy", "flow", "lab")  # of the baselines


def variant_settings(
    profile: Profile, variant: str, seed: int, carried: dict[str, float] | None, **changes: Any
) -> TemporalSettings:
    """A profile's step-two settings for a variant.

    Args:
        carried: weights of "local" and "global" for the profile's geometry (see `balance`), None = as in the profile.
        changes: fields of `TemporalSettings`, applied last.
    """
    settings = replace(profile.temporal, seed=seed)
    if carried:  # in proportion, so that a weight of 0 stays one
        weight_local = carried["local"] * (settings.weight_local / PAPER_WEIGHTS["local"])
        weight_global = carried["global"] * (settings.weight_global / PAPER_WEIGHTS["global"])
        settings = replace(settings, weight_local=weight_local, weight_global=weight_global)
    if VARIANTS[variant].steps == "two":
        settings = replace(settings, lr=profile.scratch_lr)
    return replace(settings, **dict(VARIANTS[variant].changes) | changes)


def title(name: str) -> str:
    """How tables and figures call a baseline or a variant."""
    return BASELINES.get(name) or VARIANTS[name].title
