"""`stt train`: one step of a profile, for those who train without notebooks."""

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from stt_core.errors import InputError
from stt_core.files import only_writer

if TYPE_CHECKING:  # seconds to import
    from stt_core.distributed import Scale
    from stt_study.study import Study


def train(
    step: Annotated[Literal["spatial", "temporal"], tyro.conf.Positional],
    *,
    out: Path,
    profile: str = "laptop",
    data: str = "",
    seed: int = 0,
    variant: str = "full",
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
        variant: step two: full, no_global, no_local, neither, quarter, neg_log, rows, soft, released, released_soft; from scratch: step_two, scratch, one_level, share_0.1, share_0.4, share_1.
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
    own = study.profile.scale
    trades = {"compile": own.compile or compile, "tensorboard": own.tensorboard or tensorboard}
    trades |= {"workers": own.workers if workers is None else workers, "device": device or own.device}
    scale = replace(own, **trades)
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
            path = _temporal(study, out, variant, initial, teacher, scale)
    if not processes.rank():
        print(path)


def _temporal(
    study: "Study", out: Path, variant: str, initial: Path | None, teacher: Path | None, scale: "Scale"
) -> Path:
    from stt_core.training.train_temporal import train_temporal
    from stt_study.balance import carried_weights
    from stt_study.variants import VARIANTS, variant_settings

    if variant not in VARIANTS or VARIANTS[variant].steps in ("one", "summed") or variant == "forget":
        raise InputError(f"--variant {variant} is not one that step two trains; see stt train --help.")
    if initial is None and (VARIANTS[variant].steps == "both" or study.profile.carry_weights):
        raise InputError("give step one's weights with --initial: to start from, or to carry the loss weights over.")
    teacher = teacher or initial
    carried = None
    if study.profile.carry_weights:
        base = replace(study.profile.temporal, seed=study.seed)
        carried = carried_weights(base, study.pairs, initial, teacher)["weights"]
    settings = variant_settings(study.profile, variant, study.seed, carried)
    pairs, origin = study.pairs(settings.size), {"videos": study.fingerprint("videos")}
    initial = None if VARIANTS[variant].steps == "two" else initial
    return train_temporal(settings, pairs, out, initial=initial, teacher=teacher, scale=scale, origin=origin)
