"""What still differs from the released code at inference, measured: the full method as it is, and as released."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn import functional as F

from stt_core.features import FeatureSource, feature_source, resized
from stt_core.pictures import read_image
from stt_study.benchmarks import metrics
from stt_study.benchmarks.labelled_videos import carried_joints
from stt_study.benchmarks.registry import TASKS
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study

BILINEAR, WHOLE = "frames shrunk bilinearly, not by area", "given joints at whole pixels"


def measured(study: Study) -> pd.DataFrame:
    """One row a difference and task whose data are at hand: the figure as it is and "as released", in percent."""
    source = feature_source(study.source("full"), **study.opening)
    rows = []
    for name, task, measure in ((BILINEAR, "real", _bilinear), (WHOLE, "jhmdb", _whole)):
        if study.has(task):
            own, figure = study.measure(task, study.source("full")), TASKS[task].headline
            key = [source.identity, asdict(study.profile.evaluation), folder_fingerprint(study.folder(task))]
            place = study.out / "deviations" / f"{task}-seed{study.seed}"
            found = computed(place, [*key, code_key(__name__)], partial(measure, study, task, source))
            rows.append((name, f"{task}, {figure}", 100 * own["metrics"][figure], 100 * found[figure]))
    return pd.DataFrame(rows, columns=["difference", "task", "as here", "as released"])


def bilinear(source: FeatureSource, size: tuple[int, int]) -> FeatureSource:
    """A source that takes frames as they are and resizes them to (height, width) as the released code does."""

    def extract(rgb: Tensor) -> Tensor:
        return source.extract(F.interpolate(rgb, size=size, mode="bilinear", align_corners=False))

    return replace(source, identity=f"{source.identity}-bilinear", extract=extract)


def _bilinear(study: Study, task: str, source: FeatureSource) -> dict[str, float]:
    benchmark, inference = TASKS[task], getattr(study.profile.evaluation, task)
    records = []
    for video in study.sequences(task):
        size = resized(read_image(video.frames[0]), inference.resize).shape[:2]
        with TemporaryDirectory() as out:
            records.append(benchmark.score(video, bilinear(source, size), replace(inference, resize=None), Path(out)))
    return benchmark.totals(records)


def _whole(study: Study, task: str, source: FeatureSource) -> dict[str, float]:
    distances = []
    for clip in study.sequences(task):
        joints = np.concatenate([np.floor(clip.joints[:1] + 0.5), clip.joints[1:]])
        record = carried_joints(replace(clip, joints=joints), source, getattr(study.profile.evaluation, task))[1]
        distances.append(np.array(record["distances"], float))
    return metrics.pck(distances)
