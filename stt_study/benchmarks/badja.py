"""BADJA: joints of real animals, most of them in DAVIS's videos (Biggs 2018, "Creatures great and SMAL")."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stt_core.errors import InputError
from stt_core.files import read_json
from stt_core.labels import read_mask
from stt_core.pictures import check_steps, frame_files, image_size, picture_files
from stt_study.benchmarks.datasets import in_picture, official_folder

SIZE = (1920, 1080)  # width, height: of DAVIS's full resolution, in whose pixels the joints of its videos are given


@dataclass(frozen=True)
class SparseClip:
    """A video, from its first annotated frame to its last, with joints in some of its frames.

    Attributes:
        times: indices (A) of the annotated frames; the first is 0, the last that of the last frame.
        joints: (A, J, 2) float32, xy in px of the frames.
        visible: (A, J) bool; a joint that is not has no meaningful place.
        masks: the annotated frames' masks of the animal, or () where there are none at hand.
    """

    name: str
    frames: tuple[Path, ...]
    times: tuple[int, ...]
    joints: np.ndarray
    visible: np.ndarray
    masks: tuple[Path, ...]


def badja_clips(root: str | Path, davis: str | Path | None = None) -> list[SparseClip]:
    """Clips of `joint_annotations/*.json`: lists of {image_path, segmentation_path, joints (y, x), visibility}.

    Frames and masks are those named there; for DAVIS's, 480p or Full-Resolution below any of `badja_davis`. Joints are
    scaled to the frames at hand. A joint at (0, 0) is not visible, whatever else is said.

    Raises:
        InputError: a missing or broken folder, list or frame, joints that nobody could follow, or masks for some of the
            annotated frames only.
    """
    root = official_folder(root, "BADJA")
    lists = sorted((root / "joint_annotations").glob("*.json"))
    if not lists:
        raise InputError(f"{root / 'joint_annotations'} has no *.json lists; give the folder of BADJA.")
    places = badja_davis(root, davis)
    return [read_clip(path, root, places) for path in lists]


def badja_davis(root: str | Path, davis: str | Path | None = None) -> list[Path]:
    """The DAVIS folders that BADJA's frames and masks may lie in: `davis`, DAVIS in BADJA's folder or beside it."""
    root = Path(root).resolve()
    places = [official_folder(davis, "DAVIS")] if davis else []
    return places + [p for p in (root / "DAVIS", root.parent / "DAVIS", root.parent / "davis") if p.is_dir()]


def areas(clip: SparseClip) -> np.ndarray:
    """Area (A) of the animal in every annotated frame, in px of the frame; its mask may be of another size.

    Raises:
        InputError: a mask cannot be decoded, or is empty.
    """
    width, height = image_size(clip.frames[0])
    shares = [read_mask(path, not_black=True).mean() for path in clip.masks]
    for path, share in zip(clip.masks, shares, strict=True):
        if not share:
            raise InputError(f"{path} is empty, but its frame's joints are there; restore this annotation.")
    return np.array(shares) * width * height


def read_clip(path: Path, root: Path, places: list[Path]) -> SparseClip:
    """The clip of one list; `places` are the DAVIS folders its frames may lie in. Raises as `badja_clips`."""
    images, segments, joints, visible = _entries(path)
    folders = _folders(images[0].parent, root, places)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise InputError(f"{folders[0] if folders else root / 'DAVIS'} is missing; give a DAVIS that has {path.stem}.")
    davis = images[0].parts[:1] == ("DAVIS",)
    frames = frame_files(folder, images[0].suffix.lower())
    place = {frame.stem: t for t, frame in enumerate(frames)}
    for image in images:
        if image.stem not in place:
            raise InputError(f"{folder / image.name} is missing, but {path} has its joints; restore this frame.")
    times = np.array([place[image.stem] for image in images])
    order = times.argsort()
    times, joints, visible = times[order], joints[order], visible[order]
    segments, frames = [segments[a] for a in order], frames[times[0] : times[-1] + 1]
    if davis:
        check_steps(frames)  # of others' numbers, nothing is known
    followed = visible[0]
    if not (followed & visible[1:]).any():
        raise InputError(f"{path} has no joint that is visible in its first frame and in a later one; leave it out.")
    size = image_size(frames[0])
    # What comes with BADJA itself is in the pixels of its own frames.
    xy = (joints[..., ::-1] * (np.divide(size, SIZE) if davis else 1.0)).astype(np.float32)
    if not in_picture(xy[0, followed], size).any():
        raise InputError(f"{path} has no joint of its first frame within {frames[0]}; mend one or leave the list out.")
    masks: tuple[Path, ...] = ()
    for folder in _folders(segments[0].parent, root, places):
        if not masks and folder.is_dir():
            there = {file.stem: file for file in picture_files(folder, [segments[0].suffix.lower()])}
            masks = tuple(there.get(segment.stem, folder / segment.name) for segment in segments)
    for mask in masks:
        if not mask.is_file():
            raise InputError(f"{mask} is missing, but other masks of its video are there; restore this annotation.")
    return SparseClip(path.stem, frames, tuple((times - times[0]).tolist()), xy, visible, masks)


def _entries(path: Path) -> tuple[list[Path], list[Path], np.ndarray, np.ndarray]:
    """Of a list: image paths, mask paths (A each), joints (A, J, 2) float32, y x, and which are visible (A, J) bool."""
    try:
        entries = list(read_json(path))
        images, segments = ([Path(entry[key]) for entry in entries] for key in ("image_path", "segmentation_path"))
        with np.errstate(over="ignore"):  # to infinity, which is refused below
            joints = np.array([entry["joints"] for entry in entries], np.float32)
        visible = np.array([entry["visibility"] for entry in entries], np.float32) != 0
        problem = _problem(images, segments, joints, visible)
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        problem = "a list of image_path, segmentation_path, joints and visibility"
    if problem:
        raise InputError(f"{path} is not in BADJA's format ({problem}); restore this list.")
    return images, segments, joints, visible & joints.any(axis=2)


def _problem(images: list[Path], segments: list[Path], joints: np.ndarray, visible: np.ndarray) -> str:
    """What is wrong with a list's entries; "" if nothing is."""
    if not images:
        return "no frame"
    if joints.shape != (*visible.shape, 2) or visible.ndim != 2:
        return f"joints {joints.shape} and visibility {visible.shape}"
    if not all(str(path).isprintable() for path in (*images, *segments)):
        return "a path with unprintable letters"
    if len({image.stem for image in images}) < len(images):
        return "a frame twice"
    if any(len({file.parent for file in files}) > 1 for files in (images, segments)):
        return "frames of several folders"
    if any(files[0].parts[:1] == ("DAVIS",) and len(files[0].parts) < 3 for files in (images, segments)):
        return f"an image at {images[0]}, a mask at {segments[0]}"
    broken = ~np.isfinite(joints).all(axis=(1, 2))
    return f"a joint of {images[broken.argmax()].name} is NaN or infinite" if broken.any() else ""


def _folders(folder: Path, root: Path, places: list[Path]) -> list[Path]:
    """Where a folder that BADJA names may lie; DAVIS/JPEGImages/Full-Resolution/bear has its like at 480p."""
    if folder.parts[:1] != ("DAVIS",):
        return [root / folder]
    kind, sequence = folder.parts[1], folder.name
    return [place / kind / size / sequence for size in ("480p", "Full-Resolution") for place in places]
