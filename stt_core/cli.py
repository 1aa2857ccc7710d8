"""The command line, `stt`: data, training, evaluation, each a function of the library with its arguments."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from stt_core.data_commands import data
from stt_core.files import InputError
from stt_core.plan_command import plan


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
    recompute: bool = False,
    compile: bool = False,
    tensorboard: bool = False,
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
        recompute: compute the encoder's activations again in the backward pass: a third more time for less memory.
        compile: let torch.compile make the encoder faster, which takes a minute at the start.
        tensorboard: write events for TensorBoard, too.
    """
    from stt_core import processes
    from stt_core.balance import carried_weights
    from stt_core.study import Study
    from stt_core.train import train_spatial, train_temporal
    from stt_core.variants import VARIANTS, variant_settings

    if (out / "weights.pth").exists():
        raise InputError(f"{out / 'weights.pth'} is there already; delete it to train anew, or choose another --out.")
    study = Study(profile, seed=seed, data=str(Path(data).resolve()) if data else "")
    own = study.profile.scale
    trades = {"recompute": own.recompute or recompute, "compile": own.compile or compile, "tensorboard": tensorboard}
    scale = replace(own, workers=own.workers if workers is None else workers, **trades)
    study.profile = replace(study.profile, scale=scale)
    if step == "spatial":
        settings = replace(study.profile.spatial, seed=seed, input=input or study.profile.spatial.input)
        origin = {"images": study.fingerprint("images")}
        path = train_spatial(settings, study.images(settings.load_size), out, scale=scale, origin=origin)
        if not processes.rank():
            print(path)
        return
    if variant not in VARIANTS or VARIANTS[variant].steps in ("one", "summed") or variant == "forget":
        raise InputError(f"--variant {variant} is not one that step two trains; see stt train --help.")
    if initial is None and (VARIANTS[variant].steps == "both" or study.profile.carry_weights):
        raise InputError("give step one's weights with --initial: to start from, or to carry the loss weights over.")
    teacher = teacher or initial
    base = replace(study.profile.temporal, seed=seed)
    carried = None
    if study.profile.carry_weights:
        carried = carried_weights(base, study.pairs, initial, teacher)["weights"]
    settings = variant_settings(study.profile, variant, seed, carried)
    pairs, origin = study.pairs(settings.size), {"videos": study.fingerprint("videos")}
    initial = None if VARIANTS[variant].steps == "two" else initial
    path = train_temporal(settings, pairs, out, initial=initial, teacher=teacher, scale=scale, origin=origin)
    if not processes.rank():
        print(path)


def evaluate(
    task: Annotated[Literal["davis", "vip", "jhmdb", "badja"], tyro.conf.Positional],
    *,
    data: Path,
    weights: str,
    out: Path,
    preset: str | None = None,
    stride: Literal[8, 4] | None = None,
    split: str = "val",
    year: Literal["2017", "2016"] = "2017",
    davis: Path | None = None,
    resize: int | None = None,
    num_preceding: int | None = None,
    radius: int | None = None,
    topk: int | None = None,
    temperature: float | None = None,
    window: Literal["square", "circle"] | None = None,
    first_windowed: bool | None = None,
    depth: Literal[18, 50] = 18,
    width: float = 1.0,
    input: Literal["rgb", "lab"] = "rgb",
    precision: Literal["float32", "bfloat16"] = "float32",
) -> None:
    """Propagate labels and measure, under torchrun with all its processes; sequences already in --out are kept.

    Args:
        task: DAVIS (J and F), VIP (mIoU), JHMDB or BADJA (PCK).
        data: folder of the data set in its official layout.
        weights: a weights file, "random" (untrained), "lab" (the Lab image as its own feature) or, without features,
            "copy" (the first label stays) or "flow" (optical flow moves it).
        out: folder for results.json, and masks/ or joints/ and overlays/.
        preset: settings of propagation by name; the paper's for task and stride if not given, e.g. davis_s8. Others:
            davis_crw, davis_vfs, davis_dino. The options below change single ones.
        stride: pixels per cell of the features; the preset's, or 8, if not given.
        split: list of sequences, "val" or another that the folder has; BADJA has none.
        year: DAVIS: 2016 for all objects as one.
        davis: BADJA: a DAVIS folder with its frames and masks, beside DAVIS in --data and next to it.
        resize: short side in px.
        num_preceding: frames of context beside the first.
        radius: window in cells.
        topk: cells of the context that vote.
        temperature: of the softmax over their affinities.
        window: square (|dy|, |dx| <= radius) or circle (closer than radius).
        first_windowed: whether the window holds for the first frame, too.
        depth: with --weights random: of the ResNet.
        width: with --weights random: of the ResNet.
        input: colours of weights that do not say.
        precision: of the encoder; bfloat16 is faster where the processor has units for it, and its features differ by
            about a hundredth.
    """
    from stt_core import evaluate as module
    from stt_core import processes
    from stt_core.baselines import label_source
    from stt_core.presets import chosen

    changes = {"resize": resize, "num_preceding": num_preceding, "radius": radius, "topk": topk}
    changes |= {"temperature": temperature, "window": window, "first_windowed": first_windowed}
    changes = {name: value for name, value in changes.items() if value is not None}
    least = {"resize": 1, "num_preceding": 0, "radius": 0, "topk": 1, "temperature": 1e-6, "width": 1 / 64}
    for name, low in least.items():
        value = width if name == "width" else changes.get(name, low)
        if not value >= low:
            raise InputError(f"--{name.replace('_', '-')} is {value}; give {low:g} or more.")
    if (davis and task != "badja") or (year != "2017" and task != "davis"):
        raise InputError(f"--year belongs to davis and --davis to badja; leave it out for {task}.")
    inference, stride = chosen(task, preset, stride)
    inference = replace(inference, **changes)
    if inference.window == "circle" and not inference.radius:
        raise InputError("--radius is 0, which leaves nothing of a circle; give 1 or more, or --window square.")
    of = {"davis": {"split": split, "year": year}, "badja": {"davis": davis}}.get(task, {"split": split})
    with processes.together():
        source = label_source(weights, stride=stride, depth=depth, width=width, input=input, precision=precision)
        results = getattr(module, f"evaluate_{task}")(source, data, out, inference, **of)
        if processes.rank():
            return  # the first process says it
    longest = max(map(len, results["metrics"]))
    for name, value in results["metrics"].items():
        print(f"{name:>{longest}} {value:.4f}")
    for note in filter(None, (source.note, *results["notes"])):
        print(note)
    print(f"{results['frames']} frames, {results['fps']:.2f} a second")
    print(out / "results.json")


def propagate(
    video: Annotated[Path, tyro.conf.Positional],
    *,
    weights: str,
    out: Path,
    mask: Path | None = None,
    points: Path | None = None,
    preset: str | None = None,
    stride: Literal[8, 4] | None = None,
    resize: int | None = None,
    rate: float = 24.0,
    depth: Literal[18, 50] = 18,
    width: float = 1.0,
    input: Literal["rgb", "lab"] = "rgb",
    precision: Literal["float32", "bfloat16"] = "float32",
) -> None:
    """Follow objects and points through a video of your own; a stopped run goes on when the same command is given again.

    Writes masks/00000.png (palette PNGs of the video's size), masks.csv, points.csv and overlay.mp4. Confidence is 0 to 1: of
    an object, the mean share of the vote in its cells; of a point, what is left of its peak in the first frame.

    Args:
        video: a video file, or a folder of .jpg or .png frames.
        weights: a weights file, "random" (untrained) or "lab" (the Lab image as its own feature).
        out: a new folder for the results.
        mask: PNG of the first frame's objects: 0 is background, then 1, 2, 3 …; or one object in white (255) on black.
        points: CSV of points in the first frame, with the header name,x,y; px, the first pixel's centre is 0,0.
        preset: settings of propagation by name; davis_s8, or davis_s4 for stride 4, if not given.
        stride: pixels per cell of the features; the preset's, or 8, if not given.
        resize: short side in px that features are made at; results have the video's own size.
        rate: frames a second of a folder of frames.
        depth: with --weights random: of the ResNet.
        width: with --weights random: of the ResNet.
        input: colours of weights that do not say.
        precision: of the encoder; bfloat16 is faster where the processor has units for it, and its features differ by
            about a hundredth.
    """
    from stt_core.features import feature_source
    from stt_core.own_video import propagate_video
    from stt_core.presets import chosen

    inference, stride = chosen("davis", preset, stride)
    least = {"resize": (resize, 1), "rate": (rate, 1 / 1000), "width": (width, 1 / 64)}
    for name, (value, low) in least.items():
        if value is not None and not value >= low:
            raise InputError(f"--{name} is {value}; give {low:g} or more.")
    source = feature_source(weights, stride=stride, depth=depth, width=width, input=input, precision=precision)
    inference = replace(inference, resize=resize or inference.resize)
    results = propagate_video(source, video, out, inference, mask=mask, points=points, rate=rate)
    if source.note:
        print(source.note)
    print(f"{results['frames']} frames")
    print(out / "overlay.mp4")


def bench(*, out: Path, repeats: int = 5, fine: bool = True) -> None:
    """Time propagation, encoder and measures beside plain references; minutes, on a machine that does nothing else.

    Args:
        out: JSON file for all that was measured.
        repeats: of every time, which is their median.
        fine: measure stride 4, too, which takes 2 GB of memory.
    """
    from stt_core.bench import BenchSettings, run_bench
    from stt_core.files import write_json
    from stt_core.tables import machine_text, speed_table

    if repeats < 1:
        raise InputError(f"--repeats is {repeats}; give 1 or more.")
    settings = BenchSettings(repeats=repeats)
    results = run_bench(
        settings if fine else replace(settings, radius_fine=0), lambda text: print(text, file=sys.stderr)
    )
    write_json(out, results)
    print(machine_text(results["machine"]))
    print(speed_table(results).to_string())
    print(out)


def main() -> None:
    """Entry point. A bad input ends with its one sentence on standard error and exit code 2."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"data": data, "plan": plan, "train": train, "evaluate": evaluate, "propagate": propagate, "bench": bench},
            prog="stt",
        )
    except (InputError, OSError) as error:  # OSError: --out is a file, the disk is full
        print(f"stt: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stt: stopped; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)
