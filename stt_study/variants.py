"""The variants that the study compares: the full method, and what is left when a part is switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names alone are asked for by what plans a run, and PyTorch takes seconds to load
    from stt_core.spatial import SpatialSettings
    from stt_core.temporal import TemporalSettings
    from stt_study.profile import Profile


@dataclass(frozen=True)
class Variant:
    """One variant: what is switched off or exchanged, all else as in the full method."""

    name: str
    title: str
    steps: str  # "one", "two" (from scratch), "both", or "summed" (both at once, from scratch)
    changes: tuple[tuple[str, Any], ...] = ()  # fields of TemporalSettings
    local: tuple[tuple[str, Any], ...] = ()  # fields of LocalDistillation
    teacher: str = ""  # "untrained", "longer" or "oracle", see `Trainings.teacher_of`; "" = the profile's
    pull: float = 1.0  # times the weight of the global distillation
    headline: bool = False  # trained by `make reproduce`; `make ablations` trains all but `TEACHERS`


NO_GLOBAL, NO_LOCAL = ("weight_global", 0.0), ("weight_local", 0.0)
COSINE = ("teacher_cosine", True)  # a switch that the released code leaves off
RELEASED = (("target_rows", "quarter"), ("score", "neg_log"))

# Of page 18, trained by profile "teacher": from no teacher to one that is never wrong.
TAUGHT = (
    Variant("teacher_untrained", "untrained teacher", "both", teacher="untrained"),
    Variant("teacher_step_one", "step one's teacher", "both"),
    Variant("teacher_step_one_cosine", "step one's teacher, cosines", "both", (COSINE,)),
    Variant("teacher_longer", "teacher of step one four times as long", "both", teacher="longer"),
    Variant("teacher_oracle", "oracle as teacher", "both", teacher="oracle"),
)
QUARTER = tuple(replace(v, name=f"{v.name}_quarter", title=f"{v.title}, a quarter", pull=0.25) for v in TAUGHT)
TEACHERS = {v.name: v for v in (Variant("teacher_none", "no teacher", "both", (NO_GLOBAL,)), *TAUGHT, *QUARTER)}

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("full", "full method", "both", headline=True),
        Variant("no_global", "no global distillation", "both", (NO_GLOBAL,), headline=True),
        Variant("no_local", "no local distillation", "both", (NO_LOCAL,), headline=True),
        Variant("neither", "no distillation", "both", (NO_GLOBAL, NO_LOCAL)),
        Variant("forget", "learning without forgetting", "both", (NO_GLOBAL, ("weight_forget", 1.0))),
        Variant("teacher_cosine", "teacher of cosines", "both", (COSINE,)),
        Variant("step_one", "step one only", "one", headline=True),
        Variant("step_two", "step two only", "two", (NO_GLOBAL,), headline=True),
        Variant("one_stage", "both steps at once", "summed", (NO_GLOBAL,)),
        # From scratch, as in the paper's ablation. The share of step_two is 0.7.
        Variant("one_level", "reconstruction at one level", "two", (NO_GLOBAL, NO_LOCAL, ("weight_fine", 0.0))),
        Variant("scratch", "reconstruction at two levels", "two", (NO_GLOBAL, NO_LOCAL)),
        Variant("share_0.1", "step two only, share 0.1", "two", (NO_GLOBAL,), (("share", 0.1),)),
        Variant("share_0.4", "step two only, share 0.4", "two", (NO_GLOBAL,), (("share", 0.4),)),
        Variant("share_1", "step two only, all queries", "two", (NO_GLOBAL,), (("share", 1.0),)),
        # Where the released code leaves the text, one difference at a time and together (see losses).
        Variant("quarter", "target rows sum to 1/4", "both", (), RELEASED[:1]),
        Variant("neg_log", "score without p", "both", (), RELEASED[1:]),
        Variant("rows", "sorted by rows", "both", (), (("selection", "rows"),)),
        Variant("soft", "soft weights", "both", (), (("soft", True),)),
        Variant("released", "as released, T = 0.7", "both", (), (*RELEASED, ("selection", "rows"))),
        Variant("released_soft", "as released, T = -1", "both", (), (*RELEASED, ("soft", True))),
        *TEACHERS.values(),
    )
}
HEADLINE = tuple(name for name, variant in VARIANTS.items() if variant.headline)
ALL = tuple(name for name in VARIANTS if name not in TEACHERS)
ROWS = {"headline": HEADLINE, "all": ALL, "teacher": tuple(TEACHERS)}  # what a profile trains

BASELINES = {
    "copy": "first label copied",
    "flow": "optical flow (DIS)",
    "lab": "Lab image",
    "hog": "oriented gradients (HOG)",
    "random": "random weights",
    "supervised": "supervised (torchvision)",
}
NO_ENCODER = ("copy", "flow", "lab", "hog")  # of the baselines


def variant_settings(
    profile: Profile, variant: str, seed: int, carried: dict[str, float] | None, **changes: Any
) -> TemporalSettings:
    """A profile's step-two settings for a variant; `carried`: of "local" and "global", see `balance`, or its own."""
    from stt_study.balance import PAPER_WEIGHTS

    own = VARIANTS[variant]
    local = replace(profile.temporal.local, **dict(own.local))
    settings = replace(profile.temporal, seed=seed, local=local)
    if carried:  # in proportion, so that a weight of 0 stays one
        weight_local = carried["local"] * (settings.weight_local / PAPER_WEIGHTS["local"])
        weight_global = carried["global"] * (settings.weight_global / PAPER_WEIGHTS["global"])
        settings = replace(settings, weight_local=weight_local, weight_global=weight_global)
    if own.steps in ("two", "summed"):
        settings = replace(settings, lr=profile.scratch_lr)
    settings = replace(settings, weight_global=own.pull * settings.weight_global)
    return replace(settings, **dict(own.changes) | changes)


def every_training(profile: Profile) -> dict[str, SpatialSettings | TemporalSettings]:
    """Settings of a profile's trainings of one step, by title: step one for each input, then the variants."""
    trainings: dict[str, SpatialSettings | TemporalSettings] = {}
    if not profile.published.student:
        trainings["step one, Lab"] = profile.spatial
    if not profile.published.teacher and profile.teacher != "lab":
        trainings["step one, RGB, the teacher"] = replace(profile.spatial, input="rgb")
    for name in ROWS[profile.rows]:
        if VARIANTS[name].steps in ("two", "both"):
            trainings[title(name)] = variant_settings(profile, name, 0, None)
    return trainings


def title(name: str) -> str:
    """How tables and figures call a baseline or a variant."""
    return BASELINES.get(name) or VARIANTS[name].title
