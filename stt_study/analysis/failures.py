"""How label propagation fails: a failed object of a frame is of one kind, by rules on the masks."""

from pathlib import Path

import numpy as np
import pandas as pd

from stt_core.labels import read_mask
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.study import Study

FAILED = 0.5  # J up to here, which is what J-Recall doesn't count
KINDS = ("lost", "swap", "leak", "drift")


def kind(found: np.ndarray, true: np.ndarray, k: int) -> str:
    """Kind of failure of object `k`, out of predicted and annotated ids (H, W) uint8; the first of these that holds.

    * lost: the mask has less than a tenth of the object's area.
    * swap: half of the mask or more lies on other objects.
    * leak: the mask covers half of the object or more, and too much besides; also, any mask of an object out of sight.
    * drift: the mask covers less than half of the object. What else it covers is mostly background (or void, id 255).
    """
    mask, object_ = found == k, true == k
    area, size = mask.sum(), object_.sum()
    if area < 0.1 * size:
        return "lost"
    if 2 * (mask & ~object_ & (true % 255 > 0)).sum() >= area:
        return "swap"
    return "leak" if 2 * (mask & object_).sum() >= size else "drift"


def failures(study: Study, task: str, results: dict[str, dict]) -> pd.DataFrame:
    """Shares of the `KINDS` in percent, one row a method; with J-Recall, they make 100. DAVIS only.

    Of an object's scored frames, then the mean over objects, from the masks that `results` of the task have stored.
    """
    sequences, rows = {sequence.name: sequence for sequence in study.sequences(task)}, {}
    for method, result in results.items():
        shares = []
        for record in result["sequences"]:
            sequence = sequences[record["name"]]
            paths = sequence.outputs(Path(result["path"]).parent)
            failed = np.array([scores["J"] for scores in record["objects"]]) <= FAILED  # (K, T - 2), from frame 1 on
            counts = np.zeros((len(failed), len(KINDS)))
            for t in np.flatnonzero(failed.any(axis=0)):
                found, true = read_mask(paths[t + 1]), read_sequence_mask(sequence, t + 1)
                for k in np.flatnonzero(failed[:, t]):
                    counts[k, KINDS.index(kind(found, true, k + 1))] += 1
            shares.append(counts / failed.shape[1])
        rows[method] = 100 * np.concatenate(shares).mean(axis=0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=KINDS)
