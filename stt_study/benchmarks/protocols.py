"""One sequence by its benchmark's protocol (paper section 4): propagate its first labels, decode, write, score."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from torch import Tensor

from stt_core import labels
from stt_core.errors import InputError
from stt_core.features import FeatureSource, features_of
from stt_core.files import write_json
from stt_core.pictures import read_image
from stt_core.propagation import Inference, propagate_frames
from stt_study.benchmarks import metrics
from stt_study.benchmarks.badja import SparseClip, areas
from stt_study.benchmarks.datasets import Clip, Sequence, read_frames, read_sequence_mask
from stt_study.benchmarks.label_sources import Baseline
from stt_study.benchmarks.overlays import write_sheet

VIP_CLASSES = 20  # with background
BADJA_THRESHOLDS = (0.1, 0.2)  # of JHMDB's PCK
BADJA_RULE = "PCK@0.2 sqrt(area)"  # as its authors measure

Source = FeatureSource | Baseline


def outputs(sequence: Sequence | Clip | SparseClip, out: Path) -> list[Path]:
    """The files that a sequence's evaluation writes, besides its scores."""
    if isinstance(sequence, Sequence):
        return [out / "masks" / sequence.name / f"{frame.stem}.png" for frame in sequence.frames]
    name = sequence.name.replace("/", "--")
    return [out / "joints" / f"{name}.json", out / "overlays" / f"{name}.png"]


def carried(
    frames: tuple[Path, ...], first: Tensor, mode: str, source: Source, inference: Inference
) -> Iterator[Tensor]:
    """Label maps (K, h, w) of every frame, out of the first one's (K, H, W); `mode` as in `labels.to_grid`."""
    images = read_frames(frames)
    if isinstance(source, Baseline):
        yield from source.carry(images, first, mode)
        return
    features = features_of(source, images, inference.resize)
    first_features = next(features)
    maps = labels.to_grid(first, first_features.shape[1:], mode).to(first_features)
    yield from propagate_frames(chain([first_features], features), maps, **inference.propagation())


def davis_sequence(sequence: Sequence, source: Source, inference: Inference, out: Path) -> dict:
    """J and F of every object."""
    length = len(sequence.frames)
    if length < 3:
        folder = sequence.frames[0].parent
        raise InputError(f"{folder} has {length} frames, but first and last are not scored; give three up.")
    given = _given(sequence)
    if not given.any():
        raise InputError(f"{sequence.masks[0]} has no object to follow; give its first frame a mask.")
    predictions = _masks(sequence, given, source, inference, out)
    objects = metrics.sequence_scores(sequence.name, predictions, _annotations(sequence), length)
    return {"objects": objects, "offset": metrics.pooled_offset([record["offset"] for record in objects])}


def vip_sequence(sequence: Sequence, source: Source, inference: Inference, out: Path) -> dict:
    """Pixel counts [annotation, prediction] of all frames, and the video's own mIoU."""
    counts, offsets = np.zeros((VIP_CLASSES, VIP_CLASSES), int), []
    predictions = _masks(sequence, _given(sequence), source, inference, out)
    for ids, prediction in zip(_annotations(sequence, VIP_CLASSES), predictions, strict=True):
        counts += metrics.confusion(prediction, ids, VIP_CLASSES)
        parts, counted = [k for k in np.unique(ids) if k not in (0, 255)], ids != 255
        offsets.append(
            metrics.mean_offset(*([metrics.centre((each == k) & counted) for k in parts] for each in (prediction, ids)))
        )
    offset = metrics.pooled_offset(offsets[1:])  # the first frame's parts are given
    return {"metrics": {"mIoU": metrics.mean_iou(counts)}, "offset": offset, "counts": counts.tolist()}


def jhmdb_clip(clip: Clip, source: Source, inference: Inference, out: Path) -> dict:
    """Distances of all joints in all frames, and the clip's own PCK."""
    predictions = _joints(clip.frames, clip.joints[0], source, inference)  # (T, J, 2)
    joints, sheet = outputs(clip, out)
    write_json(joints, predictions.round(2).tolist())
    write_sheet(sheet, clip.frames, tuple(range(len(clip.frames))), predictions, clip.joints)
    distances = metrics.pck_distances(predictions, clip.joints)  # (T, J), nan where a joint is not scored
    offset = _joint_offset(predictions, clip.joints, distances)
    return {"metrics": metrics.pck([distances]), "offset": offset, "distances": distances.tolist()}


def badja_clip(clip: SparseClip, source: Source, inference: Inference, out: Path) -> dict:
    """PCK of the joints that are visible in the first annotated frame, where they are visible, in annotated frames.

    By JHMDB's rule and, where the animal's masks are at hand, by the authors'.
    """
    sizes = areas(clip)  # here, since a mask may be broken
    followed = clip.visible[0]
    predictions = np.full((len(clip.frames), *clip.joints.shape[1:]), -1, np.float32)  # (T, J, 2)
    predictions[:, followed] = _joints(clip.frames, clip.joints[0, followed], source, inference)
    scored = clip.visible & followed  # (A, J)
    asked = np.where(scored[..., None], predictions[list(clip.times)], -1)  # (A, J, 2)
    joints, sheet = outputs(clip, out)
    write_json(joints, {"frames": [frame.name for frame in clip.frames], "joints": predictions.round(2).tolist()})
    write_sheet(sheet, clip.frames, clip.times, asked, np.where(scored[..., None], clip.joints, -1))
    distances = metrics.pck_distances(asked, clip.joints)  # (A, J), nan where a joint is not scored
    scores = metrics.pck([distances], BADJA_THRESHOLDS, absent=np.nan)
    if clip.masks:
        scores[BADJA_RULE] = metrics.pck_of_area(asked, clip.joints, scored, sizes)
    offset = _joint_offset(asked, clip.joints, distances)
    return {"metrics": scores, "offset": offset, "distances": distances.tolist()}


def _joint_offset(predictions: np.ndarray, truth: np.ndarray, distances: np.ndarray) -> dict[str, float]:
    """`metrics.mean_offset` of the joints (T, J, 2) that are scored, the given first frame's left out."""
    return metrics.mean_offset(predictions[1:], np.where(np.isnan(distances[1:, :, None]), np.nan, truth[1:]))


def davis_totals(records: list[dict]) -> dict[str, float]:
    return metrics.davis_totals([scores for record in records for scores in record["objects"]])


def vip_totals(records: list[dict]) -> dict[str, float]:
    return {"mIoU": metrics.mean_iou(sum(np.array(record["counts"]) for record in records))}


def jhmdb_totals(records: list[dict]) -> dict[str, float]:
    return metrics.pck([np.array(record["distances"], float) for record in records])


def badja_totals(records: list[dict]) -> dict[str, float]:
    """JHMDB's rule, joints pooled over sequences; the authors' as the mean of the sequences that have masks."""
    distances = [np.array(record["distances"], float) for record in records]
    by_area = [record["metrics"][BADJA_RULE] for record in records if BADJA_RULE in record["metrics"]]
    own = {BADJA_RULE: float(np.mean(by_area))} if by_area else {}
    return metrics.pck(distances, BADJA_THRESHOLDS, absent=np.nan) | own


def _annotations(sequence: Sequence, classes: int = 255) -> Iterator[np.ndarray]:
    """Annotated ids (H, W) uint8, a frame at a time; InputError where one is not as large as the first, or no class."""
    size = None
    for t, path in enumerate(sequence.masks):
        ids = read_sequence_mask(sequence, t)
        size = size or ids.shape
        if ids.shape != size:
            raise InputError(f"{path} differs in size from {sequence.masks[0]}; frames of a video must agree.")
        highest = ids[ids != 255].max(initial=0)
        if highest >= classes:
            raise InputError(f"{path} has the id {highest}, but VIP's classes are 0 to {classes - 1}; mend it.")
        yield ids


def _given(sequence: Sequence) -> np.ndarray:
    """Ids (H, W) uint8 of the first annotation, void as background."""
    ids = read_sequence_mask(sequence, 0)
    return np.where(ids == 255, 0, ids).astype(np.uint8)


def _masks(
    sequence: Sequence, given: np.ndarray, source: Source, inference: Inference, out: Path
) -> Iterator[np.ndarray]:
    """Predicted ids (H, W) uint8, a frame at a time, which are also written as palette PNGs."""
    maps = carried(sequence.frames, labels.one_hot(given, int(given.max())), "nearest", source, inference)
    for t, (frame_maps, path) in enumerate(zip(maps, outputs(sequence, out), strict=True)):
        ids = given if t == 0 else labels.decode_masks(frame_maps, given.shape)
        labels.write_mask(path, ids)
        yield ids


def _joints(frames: tuple[Path, ...], first: np.ndarray, source: Source, inference: Inference) -> np.ndarray:
    """Predicted joints (T, J, 2) xy px, out of the first frame's (J, 2)."""
    size = read_image(frames[0]).shape[:2]
    maps = carried(frames, labels.keypoints_to_maps(first, size), "bilinear", source, inference)
    return np.stack([first if t == 0 else labels.decode_keypoints(m, size) for t, m in enumerate(maps)])
