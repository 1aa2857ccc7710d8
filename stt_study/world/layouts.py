"""One job a class of images or a video of the world made of code: written in its official layout, its lists' content.

Each has its own generator, so a file's bytes depend neither on what else is made nor on the order.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from PIL import Image
from pydantic import Field
from scipy.io import savemat

from stt_core.errors import InputError
from stt_core.files import write_bytes
from stt_core.labels import write_mask
from stt_core.settings import checked
from stt_study.world.plans import ACTIONS, JOINTS
from stt_study.world.scenes import CODES, Kind, Rendering, Scene, look, random_scene, render

BENCHMARKS = ("imagenet", "youtube-vos", "davis", "vip", "jhmdb")
SPLITS = ("train", "val", "test")
LISTED = 5  # YouTube-VOS lists every fifth raw frame
PACE = 2  # raw frames between two frames of a labelled video
HIDDEN = 0.75  # an object counts as occluded where less than this share of it is visible


@checked
class World:
    """What is made. VIP and JHMDB get a third as many videos as DAVIS, rounded down, but at least one."""

    seed: int = Field(0, ge=0)
    size: int = Field(160, ge=32)  # px, height and width of images and training videos
    labelled_size: int = Field(240, ge=32)  # px, of labelled videos
    images: int = Field(1200, ge=1)
    classes: int = Field(40, ge=1)
    train_videos: int = Field(120, ge=1)  # unlabelled
    train_frames: int = Field(12, ge=1)
    val_videos: int = Field(12, ge=1)  # labelled, for choosing settings
    test_videos: int = Field(48, ge=1)  # labelled, for reporting
    frames: int = Field(24, ge=1)  # of a labelled video
    truth: bool = False  # write where each pixel of training and of DAVIS's videos comes from, see `Truth`

    def __post_init__(self) -> None:
        if self.classes > self.images:
            counts = f"{self.classes} classes of {self.images} images"
            raise InputError(f"there are {counts}; give no more classes than images.")


@dataclass(frozen=True)
class Truth:
    """What the renderer knows of a frame beyond its picture: kept beside it, so that pixels can be followed."""

    labels: np.ndarray  # (H, W) int16, of `Rendering`; 0 is the background
    matrices: np.ndarray  # (L, 2, 3), a label's of `Rendering`
    shot: int  # a cut begins another, where nothing has a partner in the one before

    @classmethod
    def read(cls, frame: Path) -> Self:
        """The truth of a frame's file, or InputError."""
        path = _place(frame)
        if not path.is_file():
            raise InputError(f"{path} is missing; an oracle needs a world that is made with world.truth true.")
        with np.load(path) as arrays:
            return cls(arrays["labels"], arrays["matrices"], int(arrays["shot"]))

    def write(self, frame: Path) -> None:
        """Beside a frame's file: `Truth/…/00000.npz` for `JPEGImages/…/00000.jpg`."""
        path = _place(frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, labels=self.labels, matrices=self.matrices, shot=self.shot)


def _place(frame: Path) -> Path:
    return Path(*("Truth" if part == "JPEGImages" else part for part in frame.parts)).with_suffix(".npz")


def generator(world: World, benchmark: str, split: str, number: int) -> np.random.Generator:
    """The one source of chance of a job."""
    return np.random.default_rng([world.seed, BENCHMARKS.index(benchmark), SPLITS.index(split), number])


def image_class(root: Path, world: World, number: int) -> None:
    """`imagenet/train/<wnid>/<wnid>_<i>.JPEG`: one kind of creature in its share of the poses and places."""
    rng = generator(world, "imagenet", "train", number)
    wnid = f"n{number + 1:08d}"
    kind = look(rng, "train")
    for i in range(len(range(number, world.images, world.classes))):
        frame = render(random_scene(rng, "train", world.size, [kind], still=True), 0.0, rng)
        write_image(root / f"imagenet/train/{wnid}/{wnid}_{i}.JPEG", frame.image)


def train_video(root: Path, world: World, number: int) -> tuple[str, dict, dict]:
    """`youtube-vos/train/JPEGImages/<id>/00000.jpg, 00005.jpg …`: id, entries of `meta.json` and of `events.json`."""
    rng = generator(world, "youtube-vos", "train", number)
    frames = world.train_frames
    video = f"{number:010x}"
    names = [f"{LISTED * i:05d}" for i in range(frames)]
    # A cut starts another scene, a jump leaves out 2 to 5 s of the same one.
    break_kind = ("cuts", "jumps", "")[np.searchsorted([0.2, 0.4], rng.random())] if frames > 3 else ""
    break_at = int(rng.integers(2, frames - 1)) if break_kind else frames
    events = {"cuts": [], "jumps": [], "occlusions": {}}
    if break_kind:
        events[break_kind] = [names[break_at]]
    objects: dict[str, dict] = {}
    left_out = 0.0
    for i, name in enumerate(names):
        if i == 0 or (i == break_at and break_kind == "cuts"):
            looks = [look(rng, "train") for _ in range(rng.integers(1, 4))]
            shot = random_scene(rng, "train", world.size, looks)
            first, begun = len(objects), i
        elif i == break_at:
            left_out = float(rng.uniform(50, 125))
        frame = render(shot, LISTED * (i - begun) + left_out, rng)
        path = root / f"youtube-vos/train/JPEGImages/{video}/{name}.jpg"
        write_image(path, frame.image)
        if world.truth:
            Truth(frame.labels, frame.matrices, begun).write(path)
        for label in frame.visible:  # a cut brings new objects
            objects.setdefault(str(first + label), {"category": "creature", "frames": []})["frames"].append(name)
        note_occlusions(events, frame, name, first)
    return video, {"objects": objects}, events


def davis_video(root: Path, world: World, split: str, number: int) -> tuple[str, dict]:
    """`davis/JPEGImages/480p/SEQ/00000.jpg`, `davis/Annotations/480p/SEQ/00000.png` with 1 to 3 objects."""
    rng = generator(world, "davis", split, number)
    looks = [look(rng, split) for _ in range(1 + number % 3)]
    if len(looks) > 1 and rng.random() < 0.25:  # two of a kind: only their places tell them apart
        looks[1] = looks[0]
    name = f"{split}-{number:02d}"
    _, film, events = filmed(rng, world, split, looks)
    for stem, frame in film.items():
        path = root / f"davis/JPEGImages/480p/{name}/{stem}.jpg"
        write_image(path, frame.image)
        if world.truth:
            Truth(frame.labels, frame.matrices, 0).write(path)
        write_mask(root / f"davis/Annotations/480p/{name}/{stem}.png", frame.objects)
    return name, events


def vip_video(root: Path, world: World, split: str, number: int) -> tuple[str, dict]:
    """`vip/Images/<video>/00000.jpg` and `vip/Annotations/<video>/00000.png` with 1 or 2 people in VIP's classes."""
    rng = generator(world, "vip", split, number)
    looks = [look(rng, split, list(ACTIONS)[rng.integers(len(ACTIONS))]) for _ in range(1 + number % 2)]
    name = f"{split}-{number:02d}"
    shot, film, events = filmed(rng, world, split, looks)
    for stem, frame in film.items():
        write_image(root / f"vip/Images/{name}/{stem}.jpg", frame.image)
        path = root / f"vip/Annotations/{name}/{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(parts(frame, shot)).save(path)
    return name, events


def jhmdb_video(root: Path, world: World, split: str, number: int) -> tuple[str, dict]:
    """`Rename_Images/<action>/<clip>/00001.png` and `joint_positions/<action>/<clip>/joint_positions.mat`."""
    rng = generator(world, "jhmdb", split, number)
    action = list(ACTIONS)[number % len(ACTIONS)]
    name = f"{action}/{split}_{number:02d}"
    shot, film, events = filmed(rng, world, split, [look(rng, split, action)], start=1)
    for stem, frame in film.items():
        write_image(root / f"jhmdb/JHMDB/Rename_Images/{name}/{stem}.png", frame.image)
    positions = [joints(frame, shot) for frame in film.values()]
    pos_img = np.stack(positions, axis=-1).transpose(1, 0, 2) + 1.0  # (T of (15, 2)) -> (2, 15, T), counted from 1
    buffer = io.BytesIO()
    savemat(buffer, {"pos_img": pos_img})
    content = b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:]  # scipy would write the date
    write_bytes(root / f"jhmdb/JHMDB/joint_positions/{name}/joint_positions.mat", content)
    return name, events


def filmed(
    rng: np.random.Generator, world: World, split: str, looks: Sequence[Kind], start: int = 0
) -> tuple[Scene, dict[str, Rendering], dict]:
    """A scene that shows all objects well at first, as an annotation must, and at last; frames by stem; events."""
    size, frames = world.labelled_size, world.frames
    for _ in range(50):
        shot = random_scene(rng, split, size, looks)
        ends = [render(shot, t, rng) for t in (0.0, PACE * (frames - 1.0))]
        first, last = (np.bincount(end.objects.ravel(), minlength=len(looks) + 1)[1:] for end in ends)
        if min(ends[0].visible.values()) > 0.6 and first.min() > 0.015 * size**2 and (last > 0.3 * first).all():
            break
    else:
        raise RuntimeError(f"none of 50 {split} scenes shows all of its {len(looks)} objects from first to last")
    film = {f"{i + start:05d}": render(shot, PACE * i, rng) for i in range(frames)}
    events = {"cuts": [], "occlusions": {}}
    for stem, frame in film.items():
        note_occlusions(events, frame, stem)
    return shot, film, events


def parts(frame: Rendering, shot: Scene) -> np.ndarray:
    """VIP classes (H, W) uint8 of what the frame shows."""
    classes = np.zeros(len(shot.actors) * CODES + 1, np.uint8)
    for i, actor in enumerate(shot.actors):
        for j, bone in enumerate(actor.creature.bones):
            classes[i * CODES + 1 + j] = bone.part
    return classes[frame.labels]


def joints(frame: Rendering, shot: Scene) -> np.ndarray:
    """JHMDB's joints (15, 2) of the first person as x, y in px, pixel centres at whole numbers from 0."""
    i = next(i for i, actor in enumerate(shot.actors) if actor.label == 1)
    bones = {bone.name: (j, bone.length) for j, bone in enumerate(shot.actors[i].creature.bones)}
    places = [(*bones[name], along) for name, along in JOINTS.values()]
    return np.stack([frame.matrices[i * CODES + 1 + j] @ (along * length, 0.0, 1.0) for j, length, along in places])


def note_occlusions(events: dict, frame: Rendering, name: str, first: int = 0) -> None:
    for label, share in frame.visible.items():
        if share < HIDDEN:
            events["occlusions"].setdefault(str(first + label), []).append(name)


def write_image(path: Path, rgb: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB as JPEG or PNG, by the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 92]
    if not cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options):
        raise OSError(f"{path} could not be written")
