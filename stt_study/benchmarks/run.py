"""Label propagation measured on whole benchmarks, a file a video, so that runs stop, go on and share the videos."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path

import torch
from tqdm import tqdm

from stt_core import distributed as processes
from stt_core.errors import out_of_memory
from stt_core.features import FeatureSource
from stt_core.files import read_json, write_json
from stt_core.propagation import Inference
from stt_core.provenance import versions
from stt_study.benchmarks.label_sources import Source
from stt_study.benchmarks.labelled_videos import Clip, Sequence
from stt_study.benchmarks.metrics import pooled_offset
from stt_study.store import code_fingerprint, hash_of

Video = Sequence | Clip
PRIVATE = ("key", "counts", "distances")  # of a video's record, not for `results.json`


@dataclass(frozen=True)
class Benchmark:
    """All that is particular to a benchmark; `registry.BENCHMARKS` has one of each."""

    name: str  # what profiles, results and the command line call it
    official: str  # name of its data set
    count: int  # videos in its test list
    headline: str  # the metric that tables and claims compare, the paper's where it has one
    presets: dict[str, Inference]  # "s8" and "s4" are the paper's for features of this stride, others other methods'
    read: Callable[..., list]  # (folder, options with defaults) -> its videos
    score: Callable[..., dict]  # (video, source, inference, folder for its outputs) -> the video's record
    totals: Callable[[list[dict]], dict[str, float]]  # records -> metrics of them all
    notes: Callable[[list[dict]], list[str]] = lambda records: []  # records -> sentences that belong to these metrics
    tables: Callable[[dict, Path], None] = lambda results, out: None  # writes what the official evaluation writes
    beside: Callable[[Path], list[Path]] = lambda root: []  # folder -> other folders that it may read from

    @property
    def options(self) -> dict[str, str | None]:
        """Options of `read` and their defaults."""
        options = {name: option.default for name, option in signature(self.read).parameters.items()}
        return {name: default for name, default in options.items() if name not in ("root", "names")}


def record_file(out: Path, name: str) -> Path:
    """Where a folder of results keeps a video's record, `PRIVATE` fields included."""
    return out / "sequences" / f"{name.replace('/', '--')}.json"


@out_of_memory("lower --resize or --num-preceding, or take --stride 8")
def evaluate(
    benchmark: Benchmark,
    source: Source,
    root: str | Path,
    out: str | Path,
    inference: Inference,
    **options: str | Path | None,
) -> dict:
    """Measure a source (see `label_sources.label_source`) on a benchmark; videos that `out` has results of are kept.

    `root` is the data set's folder in its official layout; `options` are of `benchmark.read`, such as split="val".
    Returns the content of `results.json`, whose "metrics" have the official names, all in 0 to 1. In `out` lie also the
    official evaluation's tables and `masks/SEQ/00000.png` (DAVIS palette) or `joints/CLIP.json` (xy px).
    """
    out = Path(out)
    videos = benchmark.read(root, **options)
    # An option without default is a place to look at, whose files are in the records' keys.
    of = {name: options.get(name, default) for name, default in benchmark.options.items() if default}
    applied = asdict(inference) if isinstance(source, FeatureSource) else {}
    settings = {"task": benchmark.name, **of, "stride": source.stride, **applied}
    code = code_fingerprint(benchmark.read.__module__)

    def record_of(video: Video) -> dict:
        part = record_file(out, video.name)
        record = read_json(part) if part.exists() else {}
        # A video's record belongs to one source, one setting, one version of its files and of the code.
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in video.frames + video.masks]
        labels = [] if isinstance(video, Sequence) else [video.times, video.joints.tolist(), video.visible.tolist()]
        key = hash_of([code, settings, source.identity, [files, labels]])
        if record.get("key") != key or not all(path.is_file() for path in video.outputs(out)):
            start = time.perf_counter()
            record = {"key": key, "name": video.name, **benchmark.score(video, source, inference, out)}
            record["frames"], record["seconds"] = len(video.frames), time.perf_counter() - start
            write_json(part, record)
        return record

    rank, ranks = processes.rank(), processes.count()
    hidden = True if rank else None  # None: shown on a terminal
    for video in tqdm(videos[rank::ranks], desc=f"{benchmark.name} {Path(source.weights).name}", disable=hidden):
        record_of(video)
    processes.wait()  # then every process finds all records on the disk
    done = [record_of(video) for video in videos]
    frames, seconds = (sum(record[name] for record in done) for name in ("frames", "seconds"))
    results = {
        "task": benchmark.name,
        "metrics": benchmark.totals(done),
        "offset": pooled_offset([record["offset"] for record in done]),
        "notes": benchmark.notes(done),
        "sequences": [{k: v for k, v in record.items() if k not in PRIVATE} for record in done],
        "settings": settings,
        "weights": {"path": source.weights, "identity": source.identity},
        "versions": versions(),
        "machine": {"device": source.device, "threads": torch.get_num_threads()},
        "frames": frames,
        "seconds": seconds,
        "fps": frames / seconds,  # reading, features, propagation, writing and scoring together
    }
    if rank == 0:
        write_json(out / "results.json", results)
        benchmark.tables(results, out)
    return results
