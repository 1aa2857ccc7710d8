"""The command line, `stt`: data, training, evaluation, each a function of the library with its arguments."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from stt_core.files import InputError


def data(name: Annotated[Literal["synthetic"], tyro.conf.Positional], *, root: Path = Path("data/synthetic")) -> None:
    """Make the world that ships as code, in the official layouts.

    Args:
        name: the data set.
        root: the folder to write; an earlier, complete one is kept.
    """
    from stt_core.synthetic import write_world

    with tqdm(desc="videos and classes of images", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update()

        write_world(root, progress=progress)
    print(root)


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
    workers: int = 0,
) -> None:
    """Train one step; a stopped run goes on where it was when the same command is given again.

    Args:
        step: which of the two.
        out: folder for weights.pth, metrics.csv and, while it runs, checkpoint.pt.
        profile: name or YAML file of a profile, which has all settings.
        data: folder of the data; the profile's if not given.
        variant: step two: full, no_global, no_local, neither, released; from scratch: step_two, scratch.
        initial: step two: weights of step one to start from.
        teacher: step two: weights of the frozen encoder; those of --initial if not given.
        input: step one: colours; the profile's (Lab, the student's start) if not given, RGB for the paper's teacher.
        workers: processes that decode; 0 = none, and decoded frames stay in memory.
    """
    from stt_core.balance import carried_weights
    from stt_core.study import Study
    from stt_core.train import train_spatial, train_temporal
    from stt_core.training_data import Images
    from stt_core.variants import VARIANTS, variant_settings

    if (out / "weights.pth").exists():
        raise InputError(f"{out / 'weights.pth'} is there already; delete it to train anew, or choose another --out.")
    study = Study(profile, seed=seed, data=str(Path(data).resolve()) if data else "")
    cache = workers == 0
    if step == "spatial":
        settings = replace(study.profile.spatial, seed=seed, input=input or study.profile.spatial.input)
        images = Images(study.folder("images"), settings.load_size, seed=seed, cache=cache)
        print(train_spatial(settings, images, out, workers=workers))
        return
    if variant not in VARIANTS or VARIANTS[variant].steps == "one":
        raise InputError(f"--variant {variant} is not one that step two trains; see stt train --help.")
    if initial is None and (VARIANTS[variant].steps == "both" or study.profile.carry_weights):
        raise InputError("give step one's weights with --initial: to start from, or to carry the loss weights over.")
    teacher = teacher or initial
    base = replace(study.profile.temporal, seed=seed)
    carried = None
    if study.profile.carry_weights:
        carried = carried_weights(base, study.pairs, initial, teacher)["weights"]
    settings = variant_settings(study.profile, variant, seed, carried)
    pairs = study.pairs(settings.size, cache=cache)
    initial = None if VARIANTS[variant].steps == "two" else initial
    print(train_temporal(settings, pairs, out, initial=initial, teacher=teacher, workers=workers))


def evaluate(
    task: Annotated[Literal["davis", "vip", "jhmdb"], tyro.conf.Positional],
    *,
    data: Path,
    weights: str,
    out: Path,
    stride: Literal[8, 4] = 8,
    split: str = "val",
    resize: int | None = None,
    num_preceding: int = 20,
    radius: int | None = None,
    topk: int = 10,
    temperature: float = 0.07,
    depth: Literal[18, 50] = 18,
    width: float = 1.0,
    input: Literal["rgb", "lab"] = "rgb",
) -> None:
    """Propagate labels and measure; sequences already in --out are kept.

    Args:
        task: DAVIS-2017 (J and F), VIP (mIoU) or JHMDB (PCK).
        data: folder of the data set in its official layout.
        weights: a weights file, "random" (untrained) or "lab" (the Lab image as its own feature).
        out: folder for results.json, and masks/ or joints/.
        stride: pixels per cell of the features.
        split: list of sequences, "val" or another that the folder has.
        resize: short side in px; the paper's size for the task if not given.
        num_preceding: frames of context beside the first.
        radius: window in cells; the paper's for task and stride if not given.
        topk: cells of the context that vote.
        temperature: of the softmax over their affinities.
        depth: with --weights random: of the ResNet.
        width: with --weights random: of the ResNet.
        input: colours of weights that do not say.
    """
    from stt_core import evaluate as module
    from stt_core.features import feature_source

    least = {"resize": (resize, 1), "num-preceding": (num_preceding, 0), "radius": (radius, 0), "topk": (topk, 1)}
    least |= {"temperature": (temperature, 1e-6), "width": (width, 1 / 64)}
    for name, (value, low) in least.items():
        if value is not None and not value >= low:
            raise InputError(f"--{name} is {value}; give {low:g} or more.")
    source = feature_source(weights, stride=stride, depth=depth, width=width, input=input)
    inference = module.PAPER[task, stride]
    given = {"resize": resize, "radius": radius}
    inference = replace(
        inference,
        num_preceding=num_preceding,
        topk=topk,
        temperature=temperature,
        **{name: value for name, value in given.items() if value is not None},
    )
    results = getattr(module, f"evaluate_{task}")(source, data, out, inference, split)
    for name, value in results["metrics"].items():
        print(f"{name:>12} {value:.4f}")
    print(out / "results.json")


def main() -> None:
    """Entry point. A bad input ends with its one sentence on standard error and exit code 2."""
    try:
        tyro.extras.subcommand_cli_from_dict({"data": data, "train": train, "evaluate": evaluate}, prog="stt")
    except (InputError, OSError) as error:  # OSError: --out is a file, the disk is full
        print(f"stt: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stt: stopped; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)
