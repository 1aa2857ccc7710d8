"""The labelled benchmarks in their official layouts: DAVIS-2017 and -2016, VIP, JHMDB (paper section 4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import loadmat

from stt_core.files import InputError
from stt_core.labels import read_mask


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


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is missing or cannot be decoded, or is a JPEG that was cut off.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is missing; restore this frame.")
    # Not cv2.imread: it fills the rest of a JPEG that was cut off with grey, where imdecode refuses it.
    content = np.fromfile(path, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image; restore this frame.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


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


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) out of an image's header; InputError if it has none."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image ({error}); restore this frame.") from None


def davis_sequences(
    root: str | Path, split: str = "val", year: str = "2017", resolution: str = "480p"
) -> list[Sequence]:
    """Sequences of `ImageSets/<year>/<split>.txt`, frames and annotations in order.

    Year 2016 asks for one object a sequence: a DAVIS-2017 folder's objects are merged into one. The layout of 2016
    itself, `ImageSets/<resolution>/<split>.txt` with a line a frame and masks in white on black, will do as well.

    Raises:
        InputError: a missing folder, list, sequence or frame, a frame without annotation or the other way round.
    """
    root = official_folder(root, "DAVIS")
    path, annotation = root / "ImageSets" / year / f"{split}.txt", "ids" if year == "2017" else "merged"
    original = root / "ImageSets" / resolution / f"{split}.txt"
    if year == "2016" and not path.is_file() and original.is_file():
        # Lines are "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png".
        names, annotation = dict.fromkeys(Path(line.split()[0]).parent.name for line in listed(original)), "white"
    else:
        names = dict.fromkeys(listed(path))
    sequences = []
    for name in names:
        frames = _files(root / "JPEGImages" / resolution / name, "*.jpg")
        masks = _masks(root / "Annotations" / resolution / name, frames)
        sequences.append(Sequence(name, frames, masks, annotation))
    return sequences


def vip_sequences(root: str | Path, split: str = "val") -> list[Sequence]:
    """Videos of `lists/<split>_videos.txt`; annotations in `Annotations/<video>` or `Annotations/Category_ids/<video>`.

    Raises:
        InputError: as `davis_sequences`.
    """
    root = official_folder(root, "VIP")
    annotations = root / "Annotations"
    if (annotations / "Category_ids").is_dir():
        annotations = annotations / "Category_ids"
    sequences = []
    for name in listed(root / "lists" / f"{split}_videos.txt"):
        frames = _files(root / "Images" / name, "*.jpg")
        sequences.append(Sequence(name, frames, _masks(annotations / name, frames)))
    return sequences


def jhmdb_clips(root: str | Path, list_file: str = "val_list.txt") -> list[Clip]:
    """Clips of a list whose lines are "<joint_positions.mat> <frame folder>", both below `root`.

    Raises:
        InputError: a missing or broken list, file or folder, or a clip with fewer frames than joints.
    """
    root = official_folder(root, "JHMDB")
    clips = []
    for line in listed(root / list_file):
        if len(line.split()) != 2:
            raise InputError(
                f"{root / list_file}: '{line}' is not '<joint_positions.mat> <frame folder>'; mend the line."
            )
        positions, folder = (root / part for part in line.split())
        frames = _files(folder, "*.png")
        if not positions.is_file():
            raise InputError(f"{positions} is missing; unpack JHMDB's joint_positions beside Rename_Images.")
        try:
            joints = loadmat(positions)["pos_img"].transpose(2, 1, 0)  # (2, J, T) -> (T, J, 2)
        except Exception as error:
            raise InputError(f"{positions} has no readable pos_img ({error}); restore this file.") from None
        if joints.shape[1:] != (15, 2) or not len(joints):
            raise InputError(f"{positions}: pos_img is {joints.shape[::-1]}, not (2, 15, frames); restore this file.")
        if len(joints) > len(frames):
            raise InputError(
                f"{folder} has {len(frames)} frames but {positions} has {len(joints)}; restore the frames."
            )
        # A clip may end with frames that have no joints; they cannot be scored (the evaluation of VFS cuts them, too).
        name = "/".join(folder.parts[-2:])
        clips.append(Clip(name, frames[: len(joints)], joints.astype(np.float32) - 1))  # counted from 1
    return clips


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


def listed(path: Path) -> list[str]:
    """Lines of a list file, blank ones left out; InputError if it is missing, empty or no text."""
    if not path.is_file():
        raise InputError(f"{path} is missing; it should list the sequences, one a line.")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text ({error}); it should list the sequences, one a line.") from None
    if not lines:
        raise InputError(f"{path} lists nothing; it should list the sequences, one a line.")
    return lines


def official_folder(root: str | Path, what: str) -> Path:
    """`root` as a path; InputError if there is no such folder."""
    if not Path(root).is_dir():
        raise InputError(f"{root} does not exist; give the folder of {what} in its official layout.")
    return Path(root)


def _files(folder: Path, pattern: str) -> tuple[Path, ...]:
    files = tuple(sorted(folder.glob(pattern)))
    if not files:
        raise InputError(f"{folder} has no {pattern} frames, but its sequence is listed; unpack it or mend the list.")
    return files


def _masks(folder: Path, frames: tuple[Path, ...]) -> tuple[Path, ...]:
    masks = tuple(folder / f"{frame.stem}.png" for frame in frames)
    for mask in masks:
        if not mask.is_file():
            raise InputError(f"{mask} is missing, but its frame is there; restore this annotation.")
    for mask in sorted(set(folder.glob("*.png")) - set(masks)):
        raise InputError(f"{mask} annotates a frame that is not in {frames[0].parent}; restore the frame.")
    return masks
