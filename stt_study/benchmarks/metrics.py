"""The benchmarks' measures: J and F (DAVIS), mIoU (VIP), PCK (JHMDB, BADJA), each by its protocol (paper section 4)."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from skimage.morphology import disk

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)  # of PCK


def jaccard(prediction: np.ndarray, annotation: np.ndarray) -> float:
    """J: intersection over union of two masks (H, W) bool, 0 to 1; 1 if both are empty."""
    union = np.count_nonzero(prediction | annotation)
    return np.count_nonzero(prediction & annotation) / union if union else 1.0


def boundary_f(prediction: np.ndarray, annotation: np.ndarray, radius: int) -> float:
    """F, 0 to 1: precision and recall of two masks' (H, W) borders within `radius` px."""
    ours, theirs = boundary(prediction).view(np.uint8), boundary(annotation).view(np.uint8)
    count_ours, count_theirs = cv2.countNonZero(ours), cv2.countNonZero(theirs)
    if not count_ours or not count_theirs:
        return float(count_ours == count_theirs)
    near = disk(radius)
    precision = cv2.countNonZero(ours & cv2.dilate(theirs, near)) / count_ours
    recall = cv2.countNonZero(theirs & cv2.dilate(ours, near)) / count_theirs
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """Boundary (H, W) bool of a mask: pixels that differ from their right, lower or lower-right neighbour."""
    edge = np.zeros_like(mask)
    edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def frame_scores(prediction: np.ndarray, annotation: np.ndarray) -> tuple[float, float]:
    """`jaccard`, and `boundary_f` within 0.008 diagonals, of two masks (H, W) bool; all from the box around both."""
    x, y, width, height = cv2.boundingRect((prediction | annotation).view(np.uint8))
    # A pixel to the left of or above a mask is boundary, too; outside the margin, nothing is.
    box = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
    inside = np.ascontiguousarray(prediction[box]), np.ascontiguousarray(annotation[box])
    return jaccard(*inside), boundary_f(*inside, int(np.ceil(0.008 * np.hypot(*prediction.shape))))


def centre(mask: np.ndarray) -> tuple[float, float]:
    """Centre of mass of a mask (H, W) bool, xy px, the first pixel's centre at 0; nan if it is empty."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = moments["m00"]
    return (moments["m10"] / area, moments["m01"] / area) if area else (np.nan, np.nan)


def mean_offset(predictions: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean of predictions minus truth, (..., 2) xy px, where no nan is: {"x", "y"} px, and "of" how many."""
    # What is lost goes anywhere; an offset that all share is a defect of how places are read or written.
    apart = (np.asarray(predictions, float) - np.asarray(truth, float)).reshape(-1, 2)
    apart = apart[np.isfinite(apart).all(axis=1)]
    x, y = apart.mean(axis=0).tolist() if len(apart) else (np.nan, np.nan)
    return {"x": x, "y": y, "of": len(apart)}


def pooled_offset(offsets: Sequence[dict[str, float]]) -> dict[str, float]:
    """`mean_offset` of several sets together."""
    count = sum(offset["of"] for offset in offsets)
    sums = {axis: sum(o["of"] * o[axis] for o in offsets if o["of"]) for axis in "xy"}
    return {axis: total / count if count else np.nan for axis, total in sums.items()} | {"of": count}


def sequence_scores(
    name: str, predictions: Iterable[np.ndarray], annotations: Iterable[np.ndarray], length: int
) -> list[dict]:
    """J and F of every object of the first annotation, a frame at a time: memory doesn't grow with the length.

    Of `length` (T, 3 or more) frames of (H, W) uint8 ids, the first and last not scored, 255 in an annotation
    background: a dict an object with "name" (`<name>_1`, …), "J" and "F" (lists over the T - 2 frames), the
    `statistics` of both, such as "J-Mean", and "offset" (`mean_offset` of its centre).
    """
    objects: list[list[tuple]] = []  # an object: J, F, predicted and true centre of the frames
    for t, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        if t == 0:
            objects = [[] for _ in range(int(annotation[annotation != 255].max(initial=0)))]
        elif t < length - 1:
            for k, frames in enumerate(objects, start=1):
                masks = prediction == k, annotation == k
                frames.append((*frame_scores(*masks), *map(centre, masks)))
    scores = []
    for k, frames in enumerate(objects, start=1):
        j, f, *centres = map(list, zip(*frames, strict=True))
        measured = {f"{m}-{s}": v for m, values in (("J", j), ("F", f)) for s, v in statistics(values).items()}
        scores.append({"name": f"{name}_{k}", "J": j, "F": f, **measured, "offset": mean_offset(*centres)})
    return scores


def statistics(values: Sequence[float]) -> dict[str, float]:
    """Mean, recall (share of frames above 0.5) and decay (mean of the first quarter minus that of the last)."""
    values = np.asarray(values, float)
    # Quarters share their border frames, as in the official code.
    borders = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    decay = values[: borders[1] + 1].mean() - values[borders[3] : borders[4] + 1].mean()
    return {"Mean": values.mean(), "Recall": (values > 0.5).mean(), "Decay": decay}


def davis_totals(objects: Sequence[dict]) -> dict[str, float]:
    """The official global row: every statistic averaged over objects, and J&F-Mean."""
    names = [f"{measure}-{s}" for measure in "JF" for s in ("Mean", "Recall", "Decay")]
    means = {name: float(np.mean([record[name] for record in objects])) for name in names}
    return {"J&F-Mean": (means["J-Mean"] + means["F-Mean"]) / 2, **means}


def confusion(predictions: np.ndarray, annotations: np.ndarray, classes: int) -> np.ndarray:
    """Pixel counts (classes, classes) of [annotation, prediction] ids (H, W) uint8; annotated 255 is ignored."""
    counted = annotations != 255
    pairs = annotations[counted].astype(np.uint16) * classes + predictions[counted]  # of 20 classes, 400
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_iou(counts: np.ndarray) -> float:
    """Mean IoU, 0 to 1, of classes annotated or predicted, from counts [annotation, prediction]; nan of none."""
    union = counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    return float((np.diag(counts)[union > 0] / union[union > 0]).mean()) if union.any() else np.nan


def pck_distances(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances (T, J) of joints (T, J, 2) xy px from the truth, as a share of the person's size.

    That is 0.6 * the diagonal of the box around the true joints whose prediction is valid. A prediction with x <= 0 or
    NaN is missing: nan, not scored. inf where the box is a point, or the prediction at infinity or at a y of NaN.
    """
    valid = predictions[..., 0] > 0  # (T, J)
    inside = np.where(valid[..., None], truth, np.nan)
    with np.errstate(all="ignore"):
        low, high = np.fmin.reduce(inside, axis=1), np.fmax.reduce(inside, axis=1)  # (T, 2)
        scale = 0.6 * np.hypot(*(high - low).T)  # (T,)
        distances = np.hypot(*np.moveaxis(predictions - truth, -1, 0)) / scale[:, None]
    return np.where(valid, np.nan_to_num(distances, nan=np.inf, posinf=np.inf), np.nan)


def pck(clips: Sequence[np.ndarray], thresholds: Sequence[float] = THRESHOLDS, absent: float = 0.0) -> dict[str, float]:
    """PCK@a, 0 to 1: mean over joints of `pck_per_joint`, of the clips' `pck_distances` (T, J).

    "PCK@a" has the given first frame scored (the method's code, VFS), "PCK@a, frame 0 left out" doesn't (CRW). `absent`
    is the share of a joint that is never scored; nan leaves it out of the mean, which is nan if no joint is left.
    """
    scores = {}
    for first, note in ((True, ""), (False, ", frame 0 left out")):
        for a in thresholds:
            shares = pck_per_joint(clips if first else [distances[1:] for distances in clips], a, absent)
            scores[f"PCK@{a:g}{note}"] = np.nan if np.isnan(shares).all() else float(np.nanmean(shares))
    return scores


def pck_per_joint(clips: Sequence[np.ndarray], threshold: float, absent: float = 0.0) -> np.ndarray:
    """Share (J,), 0 to 1, of all clips' frames where a joint is not missing (nan) that has it within `threshold`."""
    pooled = np.concatenate(clips)  # (all T, J); missing in all, a joint has `absent`, 0 as in VFS's evaluation code
    scored = (~np.isnan(pooled)).sum(axis=0)
    return np.where(scored, (pooled <= threshold).sum(axis=0) / np.maximum(1, scored), absent)


def pck_of_area(predictions: np.ndarray, truth: np.ndarray, scored: np.ndarray, areas: np.ndarray) -> float:
    """BADJA's PCK of a sequence: share of the `scored` (A, J) joints found, frames but the first pooled; nan of none.

    A joint (A, J, 2) xy px is found closer than 0.2 times the root of the animal's area (A) px; x < 0: it is missing.
    """
    distances = np.hypot(*np.moveaxis(predictions - truth, -1, 0))  # (A, J)
    found = (distances < 0.2 * np.sqrt(areas)[:, None]) & (predictions[..., 0] >= 0)
    return float(found[1:][scored[1:]].mean()) if scored[1:].any() else np.nan
