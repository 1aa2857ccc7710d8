"""`stt train`: one step of a profile, for those who train without notebooks."""

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from stt_core.errors import InputError
from stt_study.store import only_writer
from stt_study.variants import VARIANTS, variant_settings

if TYPE_CHECKING:  # seconds to import
    from stt_study.study import Study

# Those that need no more than step one's weights; "forget" would need a measured weight, too.
STEP_TWO = tuple(name for name, variant in VARIANTS.items() if variant.steps in ("two", "both") and name != "forget")


def train(
    step: Annotated[Literal["spatial", "temporal"], tyro.conf.Positional],
    *,
    out: Path,
    profile: str = "laptop",
    data: str = "",
    seed: int = 0,
    variant: Literal[STEP_TWO] = "full",
    initial: Path | None = None,
    teacher: Path | None = None,
    input: Literal["lab", "rgb"] | None = None,
    workers: int | None = None,
    compile: bool = False,
    tensorboard: bool = False,
    device: Literal["auto", "cuda", "cpu"] | None = None,
) -> None:
    """Train one step, under torchrun with all its processes; a stopped run goes on where it was when the same command is given again.

    Args:
        step: which of the two.
        out: folder for weights.pth, metrics.csv and, while it runs, checkpoint.pt.
        profile: name or YAML file of a profile, which has all settings.
        data: folder of the data; the profile's if not given.
        variant: step two: the full method, or one of the study's variants of it.
        initial: step two: weights of step one to start from.
        teacher: step two: weights of the frozen encoder; those of --initial if not given.
        input: step one: colours; the profile's (Lab, the student's start) if not given, RGB for the paper's teacher.
        workers: processes that decode, for each that trains; 0 = none, and decoded frames stay in memory. The profile's if
            not given.
        compile: let torch.compile make the encoder faster, which takes a minute at the start.
        tensorboard: write events for TensorBoard, too.
        device: cuda, cpu, or auto for what there is; the profile's if not given.
    """
    from stt_core import distributed as processes
    from stt_core.training.train_spatial import train_spatial
    from stt_study.study import Study

    study = Study(profile, seed=seed, data=str(Path(data).resolve()) if data else "")
    given = {"workers": workers, "compile": compile or None, "tensorboard": tensorboard or None, "device": device}
    scale = replace(study.profile.scale, **{name: value for name, value in given.items() if value is not None})
    study.profile = replace(study.profile, scale=scale)
    # Of the processes of torchrun, the first one writes.
    with nullcontext() if int(os.environ.get("RANK", 0)) else only_writer(out):
        if (out / "weights.pth").exists():
            raise InputError(
                f"{out / 'weights.pth'} is there already; delete it to train anew, or choose another --out."
            )
        if step == "spatial":
            settings = replace(study.profile.spatial, seed=seed, input=input or study.profile.spatial.input)
            origin = {"images": study.fingerprint("images")}
            path = train_spatial(settings, study.images(settings.load_size), out, scale=scale, origin=origin)
        else:
            path = _temporal(study, out, variant, initial, teacher)
    if not processes.rank():
        print(path)


def _temporal(study: "Study", out: Path, variant: str, initial: Path | None, teacher: Path | None) -> Path:
    from stt_core.training.train_temporal import train_temporal
    from stt_study.balance import carried_weights

    both, profile = VARIANTS[variant].steps == "both", study.profile
    if initial is None and (both or profile.carry_weights):
        raise InputError("give step one's weights with --initial: to start from, or to carry the loss weights over.")
    teacher, carried = teacher or initial, None
    if profile.carry_weights:
        base = replace(profile.temporal, seed=study.seed)
        carried = carried_weights(base, study.pairs, initial, teacher)["weights"]
    settings = variant_settings(profile, variant, study.seed, carried)
    starts = {"initial": initial if both else None, "teacher": teacher}
    origin = {"videos": study.fingerprint("videos")}
    return train_temporal(settings, study.pairs(settings.size), out, **starts, scale=profile.scale, origin=origin)
