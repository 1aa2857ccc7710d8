"""What still differs from the released code at inference, measured: the full method as it is, and as released."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pandas as pd
import torch
from kornia.color import lab_to_rgb
from torch import Tensor
from torch.nn import functional as F

from stt_core.features import FeatureSource, feature_source, resized_size
from stt_core.files import read_json
from stt_core.pictures import frame_size
from stt_core.propagation import Inference
from stt_study.benchmarks.labelled_videos import Clip
from stt_study.benchmarks.metrics import pck_distances
from stt_study.benchmarks.registry import TASKS
from stt_study.benchmarks.run import Video
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study

SHRUNK, COLOURS, WHOLE = "frames shrunk bilinearly, not by area", "Lab of OpenCV", "given joints cut to whole pixels"


def measured(study: Study) -> pd.DataFrame:
    """One row a difference and task whose data are at hand: the figure as it is and "as released", in percent."""
    source = feature_source(study.source("full"), **study.opening)
    rows = []
    video = study.profile.real_video
    for name, task, changed in ((SHRUNK, video, _bilinear), (COLOURS, video, _opencv), (WHOLE, "jhmdb", _whole)):
        if study.has(task):
            own, figure = study.measure(task, study.source("full")), TASKS[task].headline
            key = [source.identity, asdict(study.profile.evaluation), folder_fingerprint(study.folder(task))]
            place = study.out / "deviations" / f"{task}-seed{study.seed}"
            found = computed(place, [name, *key, code_key(__name__)], partial(_scored, study, task, source, changed))
            rows.append((name, f"{task}, {figure}", 100 * own["metrics"][figure], 100 * found[figure]))
    return pd.DataFrame(rows, columns=["difference", "task", "as here", "as released"])


def bilinear(source: FeatureSource, size: tuple[int, int]) -> FeatureSource:
    """A source that takes frames as they are and resizes them to (height, width) as the released code does."""

    def extract(rgb: Tensor) -> Tensor:
        return source.extract(F.interpolate(rgb, size=size, mode="bilinear", align_corners=False))

    return replace(source, identity=f"{source.identity}-bilinear", extract=extract)


def opencv_lab(source: FeatureSource) -> FeatureSource:
    """A source of an encoder of Lab that takes the Lab colours which OpenCV makes of a frame."""

    def extract(rgb: Tensor) -> Tensor:
        lab = cv2.cvtColor(rgb[0].permute(1, 2, 0).cpu().numpy(), cv2.COLOR_RGB2Lab)  # (H, W, 3)
        there = torch.from_numpy(lab).permute(2, 0, 1)[None].to(rgb)
        return source.extract(lab_to_rgb(there, clip=False))  # the RGB of which these are our Lab

    return replace(source, identity=f"{source.identity}-opencv", extract=extract)


def cut(joints: np.ndarray) -> np.ndarray:
    """Places (J, 2) px at whole pixels as in the released code, which cuts where a Gaussian begins, 12 px before."""
    return np.trunc(joints - 12) + 12


def _bilinear(video: Video, source: FeatureSource, inference: Inference) -> tuple[Video, FeatureSource, Inference]:
    size = resized_size(frame_size(video.frames[0]), inference.resize)
    return video, bilinear(source, size), replace(inference, resize=None)


def _opencv(video: Video, source: FeatureSource, inference: Inference) -> tuple[Video, FeatureSource, Inference]:
    return video, opencv_lab(source), inference


def _whole(clip: Clip, source: FeatureSource, inference: Inference) -> tuple[Video, FeatureSource, Inference]:
    return replace(clip, joints=np.concatenate([cut(clip.joints[:1]), clip.joints[1:]])), source, inference


def _scored(study: Study, task: str, source: FeatureSource, changed: Callable[..., tuple]) -> dict[str, float]:
    """A task's metrics with what `changed` makes of each video, source and settings."""
    records = []
    for video in study.sequences(task):
        with TemporaryDirectory() as out:
            record = TASKS[task].score(*changed(video, source, study.inference(task)), Path(out))
            if isinstance(video, Clip):  # only what is given is cut, not what is scored
                joints = np.array(read_json(video.outputs(Path(out))[0]))
                record["distances"] = pck_distances(joints, video.joints).tolist()
            records.append(record)
    return TASKS[task].totals(records)
