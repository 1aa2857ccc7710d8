"""The labelled benchmarks in their official layouts: DAVIS-2017 and -2016, VIP, JHMDB (paper section 4)."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from stt_core.errors import InputError
from stt_core.files import listed
from stt_core.labels import read_mask
from stt_core.pictures import check_steps, frame_files, image_size, picture_files, read_image


@dataclass(frozen=True)
class Sequence:
    """A video with one mask a frame."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    annotation: str = "ids"  # or all one object: "merged" (any id but 255), "white" (all that is not black)


@dataclass(frozen=True)
class Clip:
    """A video with joints: (T, J, 2) float32, xy in px, the first pixel's centre at 0."""

    name: str
    frames: tuple[Path, ...]
    joints: np.ndarray


def read_frames(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 RGB of one video, one at a time; InputError where one is broken or of another size."""
    first = size = None
    for path in paths:
        image = read_image(path)
        first, size = first or path, size or image.shape
        if image.shape != size:
            raise InputError(
                f"{path} is {image.shape[1]}x{image.shape[0]} px but {first} is {size[1]}x{size[0]}; "
                "frames of a video must agree."
            )
        yield image


def read_sequence_mask(sequence: Sequence, t: int) -> np.ndarray:
    """Ids (H, W) uint8 of frame `t`.

    Raises:
        InputError: the annotation is missing, broken, or not of its frame's size.
    """
    mask = read_mask(sequence.masks[t], not_black=sequence.annotation == "white")
    size = image_size(sequence.frames[t])
    if mask.shape[::-1] != size:
        sizes = "x".join(map(str, mask.shape[::-1])), "x".join(map(str, size))
        raise InputError(f"{sequence.masks[t]} is {sizes[0]} px but its frame is {sizes[1]}; they must agree.")
    return ((mask > 0) & (mask != 255)).astype(np.uint8) if sequence.annotation == "merged" else mask


def davis_sequences(
    root: str | Path,
    split: str = "val",
    year: str = "2017",
    resolution: str = "480p",
    names: Iterable[str] | None = None,
) -> list[Sequence]:
    """Sequences of `ImageSets/<year>/<split>.txt` (or `names` of them), frames and annotations in order.

    Year 2016 asks for one object a sequence: a DAVIS-2017 folder's objects are merged into one. The layout of 2016
    itself, `ImageSets/<resolution>/<split>.txt` with a line a frame and masks in white on black, will do as well.

    Raises:
        InputError: a missing folder, list, sequence or frame, a frame without annotation or the other way round, a
            number left out of the frames'.
    """
    root = official_folder(root, "DAVIS")
    path, annotation = root / "ImageSets" / year / f"{split}.txt", "ids" if year == "2017" else "merged"
    original = root / "ImageSets" / resolution / f"{split}.txt"
    if year == "2016" and not path.is_file() and original.is_file():
        # Lines are "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png".
        path, annotation = original, "white"
        names = names or dict.fromkeys(Path(line.split()[0]).parent.name for line in listed(path))
    else:
        names = names or dict.fromkeys(listed(path))
    sequences = []
    for name in _inside(path, names):
        frames = frame_files(root / "JPEGImages" / resolution / name, ".jpg")
        masks = _masks(root / "Annotations" / resolution / name, frames)
        check_steps(frames)
        sequences.append(Sequence(name, frames, masks, annotation))
    return sequences


def vip_sequences(root: str | Path, split: str = "val", names: Iterable[str] | None = None) -> list[Sequence]:
    """Videos of `lists/<split>_videos.txt` (or `names` of them); their annotations are in `Annotations/<video>`, or in
    `Annotations/Category_ids/<video>`.

    Raises:
        InputError: as `davis_sequences`.
    """
    root = official_folder(root, "VIP")
    annotations = root / "Annotations"
    if (annotations / "Category_ids").is_dir():
        annotations = annotations / "Category_ids"
    sequences = []
    path = root / "lists" / f"{split}_videos.txt"
    for name in _once(path, _inside(path, names or listed(path))):
        frames = frame_files(root / "Images" / name, ".jpg")
        sequences.append(Sequence(name, frames, _masks(annotations / name, frames)))
    return sequences


def jhmdb_clips(root: str | Path, list_file: str = "val_list.txt", names: Iterable[str] | None = None) -> list[Clip]:
    """Clips of a list whose lines (or `names` of them) are "<joint_positions.mat> <frame folder>", both below `root`.

    Raises:
        InputError: a missing or broken list, file or folder, a clip with fewer frames than joints or with a number left
            out of the frames', or joints that nobody could follow.
    """
    root = official_folder(root, "JHMDB")
    clips = []
    for line in names or listed(root / list_file):
        if len(line.split()) != 2:
            raise InputError(
                f"{root / list_file}: '{line}' is not '<joint_positions.mat> <frame folder>'; mend the line."
            )
        positions, folder = (root / part for part in _inside(root / list_file, line.split()))
        frames = frame_files(folder, ".png")
        check_steps(frames)
        joints = _joints(positions)
        if len(joints) > len(frames):
            raise InputError(
                f"{folder} has {len(frames)} frames but {positions} has {len(joints)}; restore the frames."
            )
        if not in_picture(joints[0], image_size(frames[0])).any():
            raise InputError(f"{positions} has no joint of frame 1 within {frames[0]}; mend one or leave the clip out.")
        # A clip may end with frames that have no joints; they cannot be scored (the evaluation of VFS cuts them, too).
        clips.append(Clip("/".join(folder.parts[-2:]), frames[: len(joints)], joints))
    _once(root / list_file, [clip.name for clip in clips])
    return clips


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
    if joints.shape[:2] != (2, 15) or joints.ndim != 3 or not joints.size or joints.dtype.kind not in "fiu":
        raise InputError(f"{path}: pos_img is {joints.shape}, not (2, 15, frames) of numbers; restore this file.")
    with np.errstate(over="ignore"):
        joints = joints.transpose(2, 1, 0).astype(np.float32) - 1
    broken = ~np.isfinite(joints).all(axis=(1, 2))
    if broken.any():
        raise InputError(f"{path}: pos_img of frame {broken.argmax() + 1} has a NaN or infinity; restore this file.")
    return joints


def in_picture(joints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which of the joints (J, 2) xy px are within a picture of this size (width, height): (J) bool."""
    return ((joints >= -0.5) & (joints < np.subtract(size, 0.5))).all(axis=1)


def find_folder(root: str | Path, names: Iterable[str], what: str) -> Path:
    """The first of `names` that is a folder below `root`.

    Raises:
        InputError: none is.
    """
    names = tuple(names)
    for name in names:
        if (Path(root) / name).is_dir():
            return Path(root) / name
    raise InputError(
        f"{root} has no {what} folder; it should be called {' or '.join(names) or 'something (none named)'}."
    )


def official_folder(root: str | Path, what: str) -> Path:
    """`root` as a path; InputError if there is no such folder."""
    if not Path(root).is_dir():
        state = "is a file" if Path(root).exists() else "does not exist"
        raise InputError(f"{root} {state}; give the folder of {what} in its official layout.")
    return Path(root)


def _inside(path: Path, names: Iterable[str]) -> list[str]:
    """The names of a list; InputError for one that leads out of the data's folder, or of the results'."""
    for name in names:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path}: '{name}' is not the name of a video; mend the line.")
    return list(names)


def _once(path: Path, names: list[str]) -> list[str]:
    """The names of a list; InputError if one is there twice: it would count twice."""
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path} lists {name} twice; take one of the lines out.")
    return names


def _masks(folder: Path, frames: tuple[Path, ...]) -> tuple[Path, ...]:
    there = {file.stem: file for file in picture_files(folder, [".png"])}
    for frame in frames:
        if frame.stem not in there or not there[frame.stem].is_file():
            path = there.get(frame.stem, folder / f"{frame.stem}.png")
            raise InputError(f"{path} is missing, but its frame is there; restore this annotation.")
    masks = tuple(there[frame.stem] for frame in frames)
    for mask in sorted(set(there.values()) - set(masks)):
        raise InputError(f"{mask} annotates a frame that is not in {frames[0].parent}; restore the frame.")
    return masks
