"""JHMDB: people's joints, PCK with frame 0 scored (the method's code, VFS) and without (CRW, UVC; paper section 4)."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from stt_core.errors import InputError
from stt_core.files import listed, write_json
from stt_core.pictures import frame_size
from stt_core.propagation import Inference
from stt_study.benchmarks import labelled_videos, metrics
from stt_study.benchmarks.label_sources import Source
from stt_study.benchmarks.run import Benchmark


def jhmdb_clips(root: str | Path, split: str = "val", names: Iterable[str] = ()) -> list[labelled_videos.Clip]:
    """Clips of `<split>_list.txt` (or of lines `names`), whose lines are "<joint_positions.mat> <frame folder>"."""
    root = labelled_videos.official_folder(root, JHMDB.official)
    path, clips = root / f"{split}_list.txt", []
    for line in names or listed(path):
        if len(line.split()) != 2:
            raise InputError(f"{path}: '{line}' is not '<joint_positions.mat> <frame folder>'; fix the line.")
        parts = map(_own_part, line.split(), ("joint_positions", "Rename_Images"))
        positions, folder = (root / part for part in labelled_videos.checked_names(path, parts))
        frames = labelled_videos.frame_files(folder, ".png")
        labelled_videos.check_steps(frames)
        joints = _joints(positions)
        if len(joints) > len(frames):
            counts = f"{folder} has {len(frames)} frames but {positions} has {len(joints)}"
            raise InputError(f"{counts}; restore the frames.")
        if not labelled_videos.in_picture(joints[0], frame_size(frames[0])[::-1]).any():
            raise InputError(f"{positions} has no joint of frame 1 within {frames[0]}; fix one or leave the clip out.")
        # A clip may end with frames that have no joints; they cannot be scored (the evaluation of VFS cuts them, too).
        name, times = "/".join(folder.parts[-2:]), tuple(range(len(joints)))
        clips.append(labelled_videos.Clip(name, frames[: len(joints)], joints, times, np.ones(joints.shape[:2], bool)))
    labelled_videos.checked_names(path, [clip.name for clip in clips], once=True)
    return clips


def _own_part(path: str, folder: str) -> str:
    """A path from this folder of JHMDB on: other methods' lists, such as UVC's, begin at their authors' root."""
    return folder + "/" + path.split(f"/{folder}/", 1)[1] if path.startswith("/") and f"/{folder}/" in path else path


def _joints(path: Path) -> np.ndarray:
    """Joints (T, 15, 2) float32 of JHMDB's joint_positions.mat, counted from 0; its pos_img is (2, 15, T), from 1."""
    try:
        content = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing; unpack JHMDB's joint_positions beside Rename_Images.") from None
    try:
        joints = loadmat(content, variable_names=["pos_img"])["pos_img"]
    except Exception as error:  # broken bytes raise nearly every kind: IndexError, TypeError, OSError, zlib.error, …
        raise InputError(f"{path} has no readable pos_img ({error}); restore this file.") from None
    fits = joints.ndim == 3 and joints.shape[:2] == (2, 15) and joints.size and joints.dtype.kind in "fiu"
    if not fits or not np.isfinite(joints).all():
        raise InputError(f"{path}: pos_img is {joints.shape}, not (2, 15, frames) of finite numbers; restore it.")
    return joints.transpose(2, 1, 0).astype(np.float32) - 1


def _score(clip: labelled_videos.Clip, source: Source, inference: Inference, out: Path) -> dict:
    """Distances of all joints in all frames, and the clip's own PCK."""
    predictions, record = labelled_videos.carried_joints(clip, source, inference)
    write_json(clip.outputs(out)[0], predictions.round(2).tolist())
    return record


JHMDB = Benchmark(
    name="jhmdb",
    official="JHMDB",
    count=268,
    headline="PCK@0.1",
    presets={"s8": Inference(resize=(320, 320), radius=5), "s4": Inference(resize=(320, 320), radius=12)},
    read=jhmdb_clips,
    score=_score,
    totals=lambda records: metrics.pck([np.array(record["distances"], float) for record in records]),
)
