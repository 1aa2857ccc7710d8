"""The command line, `stt`: data, training, evaluation, each a function of the library with its arguments."""

import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from stt_core.errors import InputError
from stt_core.files import only_writer
from stt_study.data.commands import data
from stt_study.exit_codes import DEBUG, one_sentence
from stt_study.train_command import train


@dataclass(frozen=True)
class Features:
    """How features are made."""

    depth: Literal[18, 50] = 18  # with --weights random: of the ResNet
    width: float = 1.0  # with --weights random: of the ResNet
    input: Literal["rgb", "lab"] = "rgb"  # colours of weights that do not say
    # of the encoder; bfloat16 is faster where the processor has units for it, and its features differ by about a hundredth
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


def evaluate(
    task: Annotated[str, tyro.conf.Positional],
    *,
    data: Path,
    weights: str,
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
        weights: a weights file, "random" (untrained), "lab" (the Lab image as its own feature) or, without features,
            "copy" (the first label stays) or "flow" (optical flow moves it).
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
    with processes.together():
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
    weights: str,
    out: Path,
    mask: Path | None = None,
    points: Path | None = None,
    preset: str | None = None,
    stride: Literal[8, 4] | None = None,
    resize: int | None = None,
    rate: float = 24.0,
    features: Features = Features(),
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


def bench(*, out: Path, repeats: int = 5, fine: bool = True) -> None:
    """Time propagation, encoder and measures beside plain references; minutes, on a machine that does nothing else.

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
            {"data": data, "train": train, "evaluate": evaluate, "propagate": propagate, "bench": bench},
            prog="stt",
            description=f"{DEBUG}, anywhere, shows the traceback where a command fails.",
            args=[word for word in given if word != DEBUG],
            config=[tyro.conf.OmitArgPrefixes],
        )
