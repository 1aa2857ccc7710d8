"""Label propagation measured on whole benchmarks: a sequence at a time, resumable, into one `results.json`.

Under `torchrun` the processes share the sequences; every sequence's result is a file, so the whole is the same.
"""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from stt_core import distributed as processes
from stt_core.errors import PROPAGATION, out_of_memory
from stt_core.features import FeatureSource
from stt_core.files import read_json, write_json, write_text
from stt_core.propagation import Inference
from stt_study.benchmarks import protocols
from stt_study.benchmarks.badja import SparseClip, badja_clips
from stt_study.benchmarks.datasets import Clip, Sequence, davis_sequences, jhmdb_clips, vip_sequences
from stt_study.benchmarks.metrics import pooled_offset
from stt_study.benchmarks.protocols import Source
from stt_study.store import code_fingerprint, hash_of

PRIVATE = ("key", "counts", "distances")  # of a sequence's record, not for `results.json`


def evaluate_davis(
    source: Source, root: str | Path, out: str | Path, inference: Inference, split: str = "val", year: str = "2017"
) -> dict:
    """Video object segmentation: J and F of the objects given in the first frame; of all as one object for year 2016.

    Writes `masks/SEQ/00000.png` (DAVIS palette), the official evaluation's two tables and `results.json` in `out`;
    sequences already there are kept.

    Returns:
        The content of `results.json`; `metrics` has the official names, all in 0 to 1.
    """
    sequences = davis_sequences(root, split, year)
    of = {"split": split, "year": year}
    results = _evaluate(
        "davis", sequences, protocols.davis_sequence, protocols.davis_totals, source, out, inference, of
    )
    objects = [scores for record in results["sequences"] for scores in record["objects"]]
    rows = [{"Sequence": scores["name"], "J-Mean": scores["J-Mean"], "F-Mean": scores["F-Mean"]} for scores in objects]
    for name, table in (("global", [results["metrics"]]), ("per-sequence", rows)):
        text = pd.DataFrame(table).to_csv(index=False, float_format="%.3f")
        write_text(Path(out) / f"{name}_results-{split}.csv", text)
    return results


def evaluate_vip(source: Source, root: str | Path, out: str | Path, inference: Inference, split: str = "val") -> dict:
    """Part propagation: mean IoU over classes, counts pooled over all frames of all videos, first frame included.

    Writes masks and `results.json` as `evaluate_davis` does.
    """
    sequences, of = vip_sequences(root, split), {"split": split}
    return _evaluate("vip", sequences, protocols.vip_sequence, protocols.vip_totals, source, out, inference, of)


def evaluate_jhmdb(source: Source, root: str | Path, out: str | Path, inference: Inference, split: str = "val") -> dict:
    """Pose tracking: PCK at 0.1 to 0.5, with frame 0 scored (the method's code, VFS) and without (CRW, UVC).

    Writes `joints/CLIP.json` (T, J, 2) xy px, `overlays/CLIP.png` and `results.json`.
    """
    clips, of = jhmdb_clips(root, f"{split}_list.txt"), {"split": split}
    return _evaluate("jhmdb", clips, protocols.jhmdb_clip, protocols.jhmdb_totals, source, out, inference, of)


def evaluate_badja(
    source: Source, root: str | Path, out: str | Path, inference: Inference, davis: str | Path | None = None
) -> dict:
    """Animals' joints: PCK at 0.1 and 0.2 by JHMDB's rule, and by the authors' where masks are at hand.

    The authors' rule: the first annotated frame is given and not scored; in the others a visible joint counts as found
    closer than 0.2 sqrt(area of the mask); the share of a sequence, joints and frames pooled; the mean over sequences.
    `notes` of the results say over which ones. Both rules score the joints that are visible in the given frame, too.

    Args:
        davis: a DAVIS folder with frames and masks; see `badja.badja_davis` for where they are looked for.
    """
    clips = badja_clips(root, davis)
    without = [clip.name for clip in clips if not clip.masks]
    count = f"{len(clips) - len(without)} of {len(clips)} sequences"
    notes = [f"{protocols.BADJA_RULE} is over {count}: no masks of {', '.join(without)}"] if without else []
    one, totals = protocols.badja_clip, protocols.badja_totals
    return _evaluate("badja", clips, one, totals, source, out, inference, {}, notes)


@out_of_memory(PROPAGATION)
def _evaluate(
    task: str,
    sequences: list,
    one: Callable,
    totals: Callable,
    source: Source,
    out: str | Path,
    inference: Inference,
    of: dict[str, str],
    notes: list[str] | None = None,
) -> dict:
    out = Path(out)
    applied = asdict(inference) if isinstance(source, FeatureSource) else {}
    settings = {"task": task, **of, "stride": source.stride, **applied}
    code = code_fingerprint(__name__)

    def record_of(sequence: Sequence | Clip | SparseClip) -> dict:
        part = out / "sequences" / f"{sequence.name.replace('/', '--')}.json"
        record = read_json(part) if part.exists() else {}
        # A sequence's record belongs to one source, one setting, one version of its files and of the code.
        key = hash_of([code, settings, source.identity, _files_key(sequence)])
        if record.get("key") != key or not all(path.is_file() for path in protocols.outputs(sequence, out)):
            start = time.perf_counter()
            record = {"key": key, "name": sequence.name, **one(sequence, source, inference, out)}
            record["frames"], record["seconds"] = len(sequence.frames), time.perf_counter() - start
            write_json(part, record)
        return record

    rank, ranks = processes.rank(), processes.count()
    hidden = True if rank else None  # None: shown on a terminal
    for sequence in tqdm(sequences[rank::ranks], desc=f"{task} {Path(source.weights).name}", disable=hidden):
        record_of(sequence)
    processes.wait()  # then every process finds all records on the disk
    done = [record_of(sequence) for sequence in sequences]
    frames, seconds = (sum(record[name] for record in done) for name in ("frames", "seconds"))
    results = {
        "task": task,
        "metrics": totals(done),
        "offset": pooled_offset([record["offset"] for record in done]),
        "notes": notes or [],
        "sequences": [{k: v for k, v in record.items() if k not in PRIVATE} for record in done],
        "settings": settings,
        "weights": {"path": source.weights, "identity": source.identity},
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy", "opencv-python-headless")},
        "machine": {"python": platform.python_version(), "device": source.device, "threads": torch.get_num_threads()},
        "frames": frames,
        "seconds": seconds,
        "fps": frames / seconds,  # reading, features, propagation, writing and scoring together
    }
    if rank == 0:
        write_json(out / "results.json", results)
    return results


def _files_key(sequence: Sequence | Clip | SparseClip) -> list:
    if isinstance(sequence, Sequence):
        labels = []
    elif isinstance(sequence, Clip):
        labels = sequence.joints.tolist()
    else:
        labels = [sequence.times, sequence.joints.tolist(), sequence.visible.tolist()]
    paths = sequence.frames if isinstance(sequence, Clip) else sequence.frames + sequence.masks
    stats = [(path.name, path.stat()) for path in paths]
    return [[(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats], labels]
