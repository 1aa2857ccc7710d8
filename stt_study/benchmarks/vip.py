"""VIP: parts of people, mean IoU over classes, of all frames of all videos together (paper section 4)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stt_core.errors import InputError
from stt_core.files import listed
from stt_core.propagation import Inference
from stt_study.benchmarks import labelled_videos, metrics
from stt_study.benchmarks.label_sources import Source
from stt_study.benchmarks.run import Benchmark

CLASSES = 20  # with background


def vip_sequences(root: str | Path, split: str = "val", names: Iterable[str] = ()) -> list[labelled_videos.Sequence]:
    """Videos of `lists/<split>_videos.txt` (or `names` of them); masks in `Annotations/` or its `Category_ids/`."""
    root = labelled_videos.official_folder(root, VIP.official)
    masks = root / "Annotations"
    if (masks / "Category_ids").is_dir():
        masks = masks / "Category_ids"
    path = root / "lists" / f"{split}_videos.txt"
    names = labelled_videos.checked_names(path, names or listed(path), once=True)
    frames = {name: labelled_videos.frame_files(root / "Images" / name, ".jpg") for name in names}
    return [labelled_videos.Sequence(n, f, labelled_videos.masks_of(f, masks / n)) for n, f in frames.items()]


def _score(sequence: labelled_videos.Sequence, source: Source, inference: Inference, out: Path) -> dict:
    """Pixel counts [annotation, prediction] of all frames, the first included, and the video's own mIoU."""
    counts, offsets = np.zeros((CLASSES, CLASSES), int), []
    for t, prediction in enumerate(labelled_videos.carried_masks(sequence, source, inference, out, first_scored=True)):
        ids = labelled_videos.read_sequence_mask(sequence, t)
        highest = ids[ids != 255].max(initial=0)
        if highest >= CLASSES:
            has = f"{sequence.masks[t]} has the id {highest}"
            raise InputError(f"{has}, but VIP's classes are 0 to {CLASSES - 1}; fix it.")
        counts += metrics.confusion(prediction, ids, CLASSES)
        parts, counted = [k for k in np.unique(ids) if k not in (0, 255)], ids != 255
        centres = ([metrics.centre((each == k) & counted) for k in parts] for each in (prediction, ids))
        offsets.append(metrics.mean_offset(*centres))
    offset = metrics.pooled_offset(offsets[1:])  # the first frame's parts are given
    return {"metrics": {"mIoU": metrics.mean_iou(counts)}, "offset": offset, "counts": counts.tolist()}


VIP = Benchmark(
    name="vip",
    official="VIP",
    count=50,
    headline="mIoU",
    presets={"s8": Inference(resize=(560, 560), radius=16), "s4": Inference(resize=(560, 560), radius=35)},
    read=vip_sequences,
    score=_score,
    totals=lambda records: {"mIoU": metrics.mean_iou(sum(np.array(record["counts"]) for record in records))},
)
