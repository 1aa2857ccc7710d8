"""Videos with labels: reading them from the official layouts, carrying their first frame's labels through them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
from torch import Tensor

from stt_core import labels
from stt_core.errors import InputError
from stt_core.features import features_of, resized_size
from stt_core.labels import read_mask
from stt_core.pictures import frame_size, picture_files, read_image
from stt_core.propagation import Inference, propagate_frames
from stt_study.benchmarks import metrics
from stt_study.benchmarks.label_sources import Baseline, Source


@dataclass(frozen=True)
class Sequence:
    """A video with one mask a frame."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    merged: bool = False  # all ids but 255 are one object

    def outputs(self, out: Path) -> list[Path]:
        """The files that its evaluation writes, besides its scores."""
        return [out / "masks" / self.name / f"{frame.stem}.png" for frame in self.frames]


@dataclass(frozen=True)
class Clip:
    """A video with joints in some of its frames."""

    name: str
    frames: tuple[Path, ...]
    joints: np.ndarray  # (A, J, 2) float32, xy in px, the first pixel's centre at 0
    times: tuple[int, ...]  # indices (A) of the frames with joints; the first is 0
    visible: np.ndarray  # (A, J) bool; a joint that is not has no meaningful place
    masks: tuple[Path, ...] = ()  # of the animal, in those frames, where they are at hand

    def outputs(self, out: Path) -> list[Path]:
        """The file that its evaluation writes, besides its scores."""
        return [out / "joints" / f"{self.name.replace('/', '--')}.json"]


def official_folder(root: str | Path, what: str) -> Path:
    """`root` as a path; InputError if there is no such folder."""
    if not Path(root).is_dir():
        state = "is a file" if Path(root).exists() else "does not exist"
        raise InputError(f"{root} {state}; give the folder of {what} in its official layout.")
    return Path(root)


def checked_names(path: Path, names: Iterable[str], once: bool = False) -> list[str]:
    """Names out of a list; InputError for one that leads out of the data's folder, or is there twice (`once`)."""
    names = list(names)
    for name in names:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path}: '{name}' is not the name of a video; fix the line.")
        if once and names.count(name) > 1:
            raise InputError(f"{path} lists {name} twice; take one of the lines out.")
    return names


def frame_files(folder: Path, ending: str) -> tuple[Path, ...]:
    """The frames of a listed video, by number if names are numbers, else by name; InputError if there are none."""
    files = picture_files(folder, [ending])
    if not files:
        raise InputError(f"{folder} has no *{ending} frames, but its sequence is listed; unpack it or fix the list.")
    return tuple(sorted(files, key=lambda file: int(file.stem)) if _numbers(files) else files)  # 9 before 10


def check_steps(frames: tuple[Path, ...]) -> None:
    """InputError where frames whose names are numbers don't go on in equal steps: one that is left out was lost."""
    numbers = _numbers(frames)
    step = min((b - a for a, b in pairwise(numbers)), default=1)
    for (earlier, frame), (a, b) in zip(pairwise(frames), pairwise(numbers), strict=False):
        if b - a != step:
            lost = earlier.with_stem(f"{a + step:0{len(earlier.stem)}d}")
            raise InputError(f"{lost} is missing between {earlier.name} and {frame.name}; restore this frame.")


def _numbers(files: Iterable[Path]) -> list[int]:
    """What the files are called, if they all are called a number; else []."""
    names = [file.stem for file in files]
    return [int(name) for name in names] if all(name.isascii() and name.isdigit() for name in names) else []


def masks_of(frames: Iterable[Path], folder: Path, every: bool = True) -> tuple[Path, ...]:
    """The frames' annotations; InputError for a frame without annotation or, of `every` frame, the other way round."""
    there = {file.stem: file for file in picture_files(folder, [".png"])}
    masks = tuple(there.pop(frame.stem, folder / f"{frame.stem}.png") for frame in frames)
    for mask in masks:
        if not mask.is_file():
            raise InputError(f"{mask} is missing, but its frame is there; restore this annotation.")
    for mask in there.values() if every else ():
        raise InputError(f"{mask} annotates a frame that is not there; restore the frame.")
    return masks


def read_frames(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 RGB of one video, one at a time; InputError where one is broken or of another size."""
    first = size = None
    for path in paths:
        image = read_image(path)
        (height, width), first = image.shape[:2], first or path
        size = size or (height, width)
        if (height, width) != size:
            both = f"{path} is {width}x{height} px but {first} is {size[1]}x{size[0]}"
            raise InputError(f"{both}; frames of a video must agree.")
        yield image


def read_sequence_mask(sequence: Sequence, t: int) -> np.ndarray:
    """Ids (H, W) uint8 of frame `t`; InputError for an annotation that is broken or not of its frame's size."""
    mask = read_mask(sequence.masks[t])
    (height, width), size = mask.shape, frame_size(sequence.frames[t])[::-1]
    if (width, height) != size:
        both = f"{sequence.masks[t]} is {width}x{height} px but its frame is {size[0]}x{size[1]}"
        raise InputError(f"{both}; they must agree.")
    return ((mask > 0) & (mask != 255)).astype(np.uint8) if sequence.merged else mask


def in_picture(joints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which of the joints (J, 2) xy px are within a picture of this size (width, height): (J) bool."""
    return ((joints >= -0.5) & (joints < np.subtract(size, 0.5))).all(axis=1)


def carried(
    frames: tuple[Path, ...], first: Tensor, mode: str, source: Source, inference: Inference
) -> Iterator[Tensor]:
    """Label maps (K, h, w) of every frame, out of the first one's (K, H, W); `mode` as in `labels.to_grid`.

    The first are the given ones at the size of the encoder's input, and are scored as such (released code).
    """
    images = read_frames(frames)
    if isinstance(source, Baseline):
        yield from source.carry(images, first, mode)
        return
    features = features_of(source, images, inference.resize)
    first_features = next(features)
    maps = labels.to_grid(first, first_features.shape[1:], mode).to(first_features)
    yield labels.to_grid(first, resized_size(first.shape[1:], inference.resize), mode)
    del first  # of many objects in a large frame, gigabytes
    propagated = propagate_frames(chain([first_features], features), maps, **inference.propagation())
    yield from islice(propagated, 1, None)


def carried_masks(sequence: Sequence, source: Source, inference: Inference, out: Path) -> Iterator[np.ndarray]:
    """Predicted ids (H, W) uint8, a frame at a time, also written as palette PNGs, without void; see `carried`."""
    ids = read_sequence_mask(sequence, 0)
    given = np.where(ids == 255, 0, ids).astype(np.uint8)
    maps = carried(sequence.frames, labels.one_hot(given, int(given.max())), "nearest", source, inference)
    for frame_maps, path in zip(maps, sequence.outputs(out), strict=True):
        ids = labels.decode_masks(frame_maps, given.shape)
        labels.write_mask(path, ids)
        yield ids


def carried_joints(clip: Clip, source: Source, inference: Inference, **how: object) -> tuple[np.ndarray, dict]:
    """Predicted joints (T, J, 2) xy px, -1 if not visible at first; a record: metrics, "offset", "distances" (A, J)."""
    size, followed = read_image(clip.frames[0]).shape[:2], clip.visible[0]
    given = clip.joints[0, followed]
    maps = carried(clip.frames, labels.keypoints_to_maps(given, size), "bilinear", source, inference)
    predictions = np.full((len(clip.frames), *clip.joints.shape[1:]), -1, np.float32)
    for t, frame_maps in enumerate(maps):
        predictions[t, followed] = labels.decode_keypoints(frame_maps, size)
    scored = (clip.visible & followed)[..., None]
    asked = np.where(scored, predictions[list(clip.times)], -1)  # (A, J, 2)
    distances = metrics.pck_distances(asked, clip.joints)  # (A, J)
    offset = metrics.mean_offset(asked[1:], np.where(np.isnan(distances[1:, :, None]), np.nan, clip.joints[1:]))
    record = {"metrics": metrics.pck([distances], **how), "offset": offset, "distances": distances.tolist()}
    return predictions, record
