"""The command line, `stt`: data, training, evaluation, each a function of the library with its arguments."""

import math
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from stt_core.errors import InputError
from stt_study.exit_codes import DEBUG, one_sentence
from stt_study.store import only_writer
from stt_study.variants import ALL, VARIANTS, variant_settings

if TYPE_CHECKING:  # seconds to import
    from stt_study.study import Study

SHOWN = 50  # problems of a data set that are printed
# Those that need no more than step one's weights; "forget" would need a measured weight, too.
STEP_TWO = tuple(name for name in ALL if VARIANTS[name].steps in ("two", "both") and name != "forget")


@dataclass(frozen=True)
class Features:
    """How features are made."""

    depth: Literal[18, 50] = 18  # with --weights random: of the ResNet
    width: float = 1.0  # with --weights random: of the ResNet
    input: Literal["rgb", "lab"] = "rgb"  # colours of weights that do not say
    # of the encoder; bfloat16 is faster where the processor has units for it, and features differ by about a hundredth
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cuda", "cpu"] = "auto"  # cuda, cpu, or auto for what there is


@dataclass(frozen=True)
class Changes:
    """Single settings of propagation, in place of the preset's."""

    resize: int | None = None  # short side in px
    num_preceding: int | None = None  # frames of context beside the first
    radius: int | None = None  # window in cells
    topk: int | None = None  # cells of the context that vote
    temperature: float | None = None  # of the softmax over their affinities
    window: Literal["square", "circle"] | None = None  # square (|dy|, |dx| <= radius) or circle (closer than radius)
    first_windowed: bool | None = None  # whether the window holds for the first frame, too


def data(
    action: Annotated[Literal["synthetic", "get", "check"], tyro.conf.Positional],
    name: Annotated[str, tyro.conf.Positional] = "",
    folder: Annotated[Path | None, tyro.conf.Positional] = None,
    *,
    root: Path | None = None,
    mirror: str = "",
    every: bool = False,
) -> None:
    """Make, get or check data: stt data synthetic; stt data get SET; stt data check SET FOLDER.

    Args:
        action: make the world that ships as code, get a real data set, or check one that is there.
        name: get: davis, imagenette, jhmdb (downloaded), vip, youtube-vos, imagenet (what to fetch by hand, then
            unpacked). check: these, badja, or videos (any folder of frame folders and video files).
        folder: check: the data set's folder.
        root: the folder to write, data/synthetic or data if not given; what is complete there is kept.
        mirror: get: address of a folder that has the archives, in place of their official one.
        every: check: decode every picture, not a sample of 200.
    """
    given = {"a set": name, "a folder": folder, "--root": root, "--mirror": mirror, "--every": every}
    takes = {"synthetic": "--root", "get": "a set, --root, --mirror", "check": "a set, a folder, --every"}[action]
    for what, value in given.items():
        if value and what not in takes.split(", "):
            raise InputError(f"stt data {action} takes {takes}, but not {what} ({value}).")
    # Imported where they are needed: they take seconds, and stt --help has no use for them.
    if action == "synthetic":
        from stt_study.world.synthetic import write_world

        print(write_world(root or Path("data/synthetic")))
        return
    if action == "get":
        from stt_study.data.download import get

        checked = get(name, root or Path("data"), mirror=mirror)
    elif folder is None:
        raise InputError("stt data check takes a set and its folder, as in: stt data check davis data/DAVIS.")
    else:
        from stt_study.data.check import check

        checked = check(name, folder, every=every)
    print(f"{checked.folder}: " + ", ".join(f"{what} {number:,}" for what, number in checked.counts.items()))
    print(*checked.notes, sep="\n", end="\n" if checked.notes else "")
    problems = len(checked.problems)
    if problems:
        print(*checked.problems[:SHOWN], sep="\n", file=sys.stderr)
        more = f"; {problems - SHOWN:,} more are not shown" if problems > SHOWN else ""
        raise InputError(f"{checked.folder} has problems ({problems:,}{more}); fix them, or get it anew.")
    print("no problems")


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
    """Train one step, under torchrun with all its processes; the same command, given again, goes on with a stopped run.

    Args:
        step: which of the two.
        out: folder for weights.pth, metrics.csv and, while it runs, checkpoint.pt.
        profile: name or YAML file of a profile, which has all settings.
        data: folder of the data; the profile's if not given.
        variant: step two: the full method, or one of the study's variants of it.
        initial: step two: weights of step one to start from.
        teacher: step two: weights of the frozen encoder; those of --initial if not given.
        input: step one: colours; the profile's (Lab, the student's start) if not given, RGB for the paper's teacher.
        workers: processes that decode for each that trains; 0: none, frames stay in memory. The profile's if not given.
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
        path = out / "weights.pth"
        if path.exists():
            raise InputError(f"{path} is there already; delete it to train anew, or choose another --out.")
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


def evaluate(
    task: Annotated[str, tyro.conf.Positional],
    *,
    data: Path,
    weights: str = "full",
    out: Path,
    preset: str | None = None,
    stride: Literal[8, 4] | None = None,
    split: str | None = None,
    year: Literal["2017", "2016"] | None = None,
    davis: Path | None = None,
    changes: Changes = Changes(),
    features: Features = Features(),
) -> None:
    """Propagate labels and measure, under torchrun with all its processes; sequences already in --out are kept.

    Args:
        task: davis (J and F), vip (mIoU), jhmdb or badja (PCK).
        data: folder of the data set in its official layout.
        weights: a weights file; "full", "step_two" or "step_one", which come with the package; "timm:NAME" or
            "timm:NAME@FILE"; "random" (untrained), "lab" (the Lab image as its own feature), "hog" (oriented gradients)
            or, without features, "copy" (the first label stays) or "flow" (optical flow moves it).
        out: folder for results.json, and masks/ or joints/.
        preset: settings of propagation by name; the paper's for task and stride if not given, e.g. davis_s8. Others:
            davis_crw, davis_vfs, davis_dino.
        stride: pixels per cell of the features; the preset's, or 8, if not given.
        split: list of sequences, "val" if not given, or another that the folder has; BADJA has none.
        year: DAVIS: 2017 if not given, or 2016 for all objects as one.
        davis: BADJA: a DAVIS folder with its frames and masks, beside DAVIS in --data and next to it.
    """
    from stt_core import distributed as processes
    from stt_study.benchmarks import run
    from stt_study.benchmarks.label_sources import label_source
    from stt_study.benchmarks.registry import BENCHMARKS, chosen
    from stt_study.processes import together

    _check_least(width=(features.width, 1 / 64))
    if task not in BENCHMARKS:
        raise InputError(f"there is no benchmark {task}; the benchmarks are {', '.join(BENCHMARKS)}.")
    benchmark, options = BENCHMARKS[task], {"split": split, "year": year, "davis": davis}
    options = {name: value for name, value in options.items() if value}
    for name in set(options) - set(benchmark.options):
        owners = " and ".join(other for other, entry in BENCHMARKS.items() if name in entry.options)
        raise InputError(f"--{name} belongs to {owners}; leave it out for {task}.")
    inference, stride = chosen(task, preset, stride)
    inference = replace(inference, **{name: value for name, value in asdict(changes).items() if value is not None})
    inference.check()
    with together():
        source = label_source(weights, stride=stride, **asdict(features))
        results = run.evaluate(benchmark, source, data, out, inference, **options)
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
    weights: str = "full",
    out: Path,
    mask: Path | None = None,
    points: Path | None = None,
    preset: str | None = None,
    stride: Literal[8, 4] | None = None,
    resize: int | None = None,
    rate: float = 24.0,
    features: Features = Features(),
) -> None:
    """Follow objects and points through a video of your own; a stopped run goes on when the same command is repeated.

    Writes masks/00000.png (palette PNGs of the video's size), masks.csv, points.csv and overlay.mp4. Confidence
    is 0 to 1: of an object, the mean share of the vote in its cells; of a point, what is left of its first peak.

    Args:
        video: a video file, or a folder of .jpg or .png frames.
        weights: a weights file; "full", "step_two" or "step_one", which come with the package; "timm:NAME" or
            "timm:NAME@FILE"; "random" (untrained), "lab" (the Lab image as its own feature) or "hog".
        out: a new folder for the results.
        mask: PNG of the first frame's objects: ids (0 is background, 255 counts as it) as a palette, greys or DAVIS's
            colours; or one object in white (255) on black.
        points: CSV of points in the first frame, with the header name,x,y; px, the first pixel's centre is 0,0.
        preset: settings of propagation by name; davis_s8, or davis_s4 for stride 4, if not given.
        stride: pixels per cell of the features; the preset's, or 8, if not given.
        resize: short side in px that features are made at; results have the video's own size.
        rate: frames a second of a folder of frames.
    """
    from stt_study.benchmarks.label_sources import dense_source
    from stt_study.benchmarks.registry import chosen
    from stt_study.video.follow import propagate_video

    inference, stride = chosen("davis", preset, stride)
    _check_least(rate=(rate, 1 / 1000), width=(features.width, 1 / 64))
    inference = inference if resize is None else replace(inference, resize=resize)
    source = dense_source(weights, stride=stride, **asdict(features))
    with only_writer(out):
        results = propagate_video(source, video, out, inference, mask=mask, points=points, rate=rate)
    if source.note:
        print(source.note)
    print(f"{results['frames']} frames")
    print(out / "overlay.mp4")


def demo(out: Annotated[Path, tyro.conf.Positional] = Path("runs/demo")) -> None:
    """Make a clip of the shipped world, and follow three objects and three points through it; under a minute.

    Args:
        out: a folder for the clip and the results.
    """
    from stt_study.video.given import write_inner_points
    from stt_study.world.layouts import World, davis_video

    world, points = World(), out / "points.csv"
    frames, mask = out / "davis/JPEGImages/480p/test-14", out / "davis/Annotations/480p/test-14/00000.png"
    if not mask.with_name(f"{world.frames - 1:05d}.png").exists():  # the last file of the clip
        davis_video(out, world, "test", 14)
    write_inner_points(points, mask)
    resize, result = world.labelled_size, out / "result"
    print(f"stt propagate {frames} --mask {mask} --points {points} --resize {resize} --out {result}")
    propagate(frames, mask=mask, points=points, resize=resize, out=result)


def bench(*, out: Path, repeats: int = 5, fine: bool = True) -> None:
    """Time propagation and the encoder beside plain references; minutes, on a machine that does nothing else.

    Args:
        out: JSON file for all that was measured.
        repeats: of every time, which is their median.
        fine: measure stride 4, too, which takes 2 GB of memory.
    """
    from stt_core.files import write_json
    from stt_study.speed.bench import BenchSettings, machine_text, run_bench, speed_table

    settings = BenchSettings(repeats=repeats)
    settings = settings if fine else replace(settings, radius_fine=0)
    results = run_bench(settings, lambda text: print(text, file=sys.stderr))
    write_json(out, results)
    print(machine_text(results["machine"]))
    print(speed_table(results).to_string())
    print(out)


def _check_least(**options: tuple[float, float]) -> None:
    """Options (value, least value) that belong to no settings object."""
    for name, (value, low) in options.items():
        if not low <= value < math.inf:
            raise InputError(f"--{name} is {value}; give {low:g} or more.")


def main() -> None:
    """Entry point. A bad input ends with its one sentence on standard error and exit code 2, see `exit_codes`."""
    given = sys.argv[1:]
    with one_sentence("stt", debug=DEBUG in given):
        tyro.extras.subcommand_cli_from_dict(
            {f.__name__: f for f in (demo, propagate, evaluate, train, data, bench)},
            prog="stt",
            description=f"{DEBUG}, anywhere, shows the traceback where a command fails.",
            args=[word for word in given if word != DEBUG],
            config=[tyro.conf.OmitArgPrefixes],
        )
