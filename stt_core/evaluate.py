"""Label propagation measured on DAVIS-2017, VIP and JHMDB, each by its own protocol (paper sections 3 and 4)."""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stt_core import labels, metrics
from stt_core.datasets import (
    Clip,
    Sequence,
    davis_sequences,
    jhmdb_clips,
    read_image,
    read_sequence_mask,
    vip_sequences,
)
from stt_core.features import FeatureSource, features_of
from stt_core.files import InputError, read_json, write_json
from stt_core.fingerprint import code_fingerprint, hash_of
from stt_core.propagation import propagate_frames


@dataclass(frozen=True)
class Inference:
    """Settings of label propagation. The defaults are the paper's on DAVIS-2017 at stride 8."""

    resize: int | tuple[int, int] | None = 480  # short side, or (height, width), in px; None = as it is
    num_preceding: int = 20  # frames
    radius: int = 12  # cells, neighbour range // 2
    topk: int = 10
    temperature: float = 0.07
    with_first: bool = True  # frame 0 stays in the context


# Modules on which a measurement depends.
CODE = ("color", "datasets", "evaluate", "features", "labels", "metrics", "propagation", "resnet", "weights")
VIP_CLASSES = 20  # with background
PAPER = {  # task, stride -> settings of paper section 3
    ("davis", 8): Inference(),
    ("davis", 4): Inference(radius=35),
    ("vip", 8): Inference(resize=(560, 560), radius=16),
    ("vip", 4): Inference(resize=(560, 560), radius=35),
    ("jhmdb", 8): Inference(resize=(320, 320), radius=5),
    ("jhmdb", 4): Inference(resize=(320, 320), radius=12),
}


def evaluate_davis(
    source: FeatureSource, root: str | Path, out: str | Path, inference: Inference, split: str = "val"
) -> dict:
    """Video object segmentation: J and F of the objects given in the first frame.

    Writes `masks/SEQ/00000.png` (DAVIS palette) and `results.json` in `out`; sequences already there are kept.

    Returns:
        The content of `results.json`; `metrics` has the official names, all in 0 to 1.
    """
    return _evaluate(
        "davis", davis_sequences(root, split), _davis_sequence, _davis_totals, source, out, inference, split
    )


def evaluate_vip(
    source: FeatureSource, root: str | Path, out: str | Path, inference: Inference, split: str = "val"
) -> dict:
    """Part propagation: mean IoU over classes, counts pooled over all frames of all videos, first frame included."""
    return _evaluate("vip", vip_sequences(root, split), _vip_sequence, _vip_totals, source, out, inference, split)


def evaluate_jhmdb(
    source: FeatureSource, root: str | Path, out: str | Path, inference: Inference, split: str = "val"
) -> dict:
    """Pose tracking: PCK at 0.1 and 0.2, with frame 0 scored (the method's code, VFS) and without (CRW, UVC)."""
    clips = jhmdb_clips(root, f"{split}_list.txt")
    return _evaluate("jhmdb", clips, _jhmdb_clip, _jhmdb_totals, source, out, inference, split)


def _evaluate(
    task: str, sequences: list, one: Callable, totals: Callable, source: FeatureSource, out, inference, split
) -> dict:
    out = Path(out)
    settings = {"task": task, "split": split, "stride": source.stride, **asdict(inference)}
    code = code_fingerprint(CODE)
    done, seconds = [], 0.0
    for sequence in tqdm(sequences, desc=f"{task} {Path(source.weights).name}", disable=None):
        part = out / "sequences" / f"{sequence.name.replace('/', '--')}.json"
        record = read_json(part) if part.exists() else {}
        # A sequence's record belongs to one source, one setting, one version of its files and of the code.
        key = hash_of([code, settings, source.identity, _files_key(sequence)])
        if record.get("key") != key:
            start = time.perf_counter()
            record = {"key": key, "name": sequence.name, **one(sequence, source, inference, out)}
            record["frames"], record["seconds"] = len(sequence.frames), time.perf_counter() - start
            write_json(part, record)
        done.append(record)
        seconds += record["seconds"]
    results = {
        "task": task,
        "metrics": totals(done),
        "sequences": [{k: v for k, v in record.items() if k not in ("key", "counts", "distances")} for record in done],
        "settings": settings,
        "weights": {"path": source.weights, "identity": source.identity},
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy", "opencv-python-headless")},
        "machine": {"python": platform.python_version(), "device": source.device, "threads": torch.get_num_threads()},
        "frames": sum(record["frames"] for record in done),
        "seconds": seconds,
    }
    write_json(out / "results.json", results)
    return results


def _files_key(sequence: Sequence | Clip) -> list:
    if isinstance(sequence, Clip):
        paths, labels = sequence.frames, sequence.joints.tolist()
    else:
        paths, labels = sequence.frames + sequence.masks, []
    stats = [(path.name, path.stat()) for path in paths]
    return [[(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats], labels]


def _propagated(
    frames: tuple[Path, ...], first_maps: Callable, source: FeatureSource, inference: Inference
) -> Iterator[Tensor]:
    """Label maps (K, h, w) of every frame; `first_maps((h, w))` gives the first frame's on the feature grid."""
    features = features_of(source, map(read_image, frames), inference.resize)
    first = next(features)
    maps = first_maps(first.shape[1:]).to(first)
    yield from propagate_frames(
        chain([first], features),
        maps,
        num_preceding=inference.num_preceding,
        radius=inference.radius,
        topk=inference.topk,
        temperature=inference.temperature,
        with_first=inference.with_first,
    )


def _annotations(sequence: Sequence) -> np.ndarray:
    """Annotated ids (T, H, W) uint8; InputError where a frame is not as large as the first."""
    annotations = [read_sequence_mask(sequence, t) for t in range(len(sequence.frames))]
    for path, ids in zip(sequence.masks, annotations, strict=True):
        if ids.shape != annotations[0].shape:
            raise InputError(f"{path} differs in size from {sequence.masks[0]}; frames of a video must agree.")
    return np.stack(annotations)


def _masks(
    sequence: Sequence, annotations: np.ndarray, source: FeatureSource, inference: Inference, out: Path
) -> np.ndarray:
    """Predicted ids (T, H, W) uint8, which are also written as palette PNGs."""
    given = annotations[0].copy()
    given[given == 255] = 0
    count = int(given.max())
    maps = _propagated(
        sequence.frames, lambda grid: labels.masks_to_grid(labels.one_hot(given, count), grid), source, inference
    )
    predictions = []
    for t, frame_maps in enumerate(maps):
        ids = given if t == 0 else labels.decode_masks(frame_maps, given.shape)
        predictions.append(ids)
        labels.write_mask(out / "masks" / sequence.name / f"{sequence.frames[t].stem}.png", ids)
    return np.stack(predictions)


def _davis_sequence(sequence: Sequence, source: FeatureSource, inference: Inference, out: Path) -> dict:
    annotations = _annotations(sequence)
    if len(annotations) < 3:
        folder = sequence.frames[0].parent
        raise InputError(f"{folder} has {len(annotations)} frames, but first and last are not scored; give three up.")
    if not (annotations[0] % 255).any():
        raise InputError(f"{sequence.masks[0]} has no object to follow; give its first frame a mask.")
    predictions = _masks(sequence, annotations, source, inference, out)
    return {"objects": metrics.sequence_scores(sequence.name, predictions, annotations)}


def _davis_totals(records: list[dict]) -> dict[str, float]:
    return metrics.davis_totals([scores for record in records for scores in record["objects"]])


def _vip_sequence(sequence: Sequence, source: FeatureSource, inference: Inference, out: Path) -> dict:
    annotations = _annotations(sequence)
    for path, ids in zip(sequence.masks, annotations, strict=True):
        highest = ids[ids != 255].max(initial=0)
        if highest >= VIP_CLASSES:
            raise InputError(f"{path} has the id {highest}, but VIP's classes are 0 to {VIP_CLASSES - 1}; mend it.")
    counts = metrics.confusion(_masks(sequence, annotations, source, inference, out), annotations, VIP_CLASSES)
    return {"metrics": {"mIoU": metrics.mean_iou(counts)}, "counts": counts.tolist()}


def _vip_totals(records: list[dict]) -> dict[str, float]:
    return {"mIoU": metrics.mean_iou(sum(np.array(record["counts"]) for record in records))}


def _jhmdb_clip(clip: Clip, source: FeatureSource, inference: Inference, out: Path) -> dict:
    size = read_image(clip.frames[0]).shape[:2]
    first = labels.keypoints_to_maps(clip.joints[0], size)
    maps = _propagated(clip.frames, lambda grid: labels.maps_to_grid(first, grid), source, inference)
    found = [clip.joints[0] if t == 0 else labels.decode_keypoints(m, size) for t, m in enumerate(maps)]
    predictions = np.stack(found)  # (T, J, 2)
    write_json(out / "joints" / f"{clip.name.replace('/', '--')}.json", predictions.round(2).tolist())
    distances = metrics.pck_distances(predictions, clip.joints)  # (T, J), nan where the truth is not scored
    return {"metrics": metrics.pck([distances]), "distances": distances.tolist()}


def _jhmdb_totals(records: list[dict]) -> dict[str, float]:
    return metrics.pck([np.array(record["distances"], float) for record in records])
