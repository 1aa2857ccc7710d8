"""Tiny data sets: noise images, noise videos, the benchmarks' layouts with one moving square."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """(H, W, 3) RGB, or ids (H, W), uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def write_lines(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_images(root: Path, *, classes: int = 2, each: int = 4, size: int = 40) -> Path:
    """ImageNet's layout: `train/<class>/*.JPEG` of smooth noise."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        folder = root / "train" / f"class{c}"
        folder.mkdir(parents=True)
        for i in range(each):
            small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{i}.JPEG"), cv2.resize(small, (size + 8, size)))
    return root


def write_videos(root: Path, *, videos: int = 2, frames: int = 4, size: tuple[int, int] = (48, 80)) -> Path:
    """Folders of frames: one noise image a video, shifted by 3 px a frame."""
    rng = np.random.default_rng(1)
    for v in range(videos):
        folder = root / f"video{v}"
        folder.mkdir(parents=True)
        image = cv2.resize(rng.integers(0, 256, (6, 10, 3), dtype=np.uint8), size[::-1])
        for t in range(frames):
            cv2.imwrite(str(folder / f"{t:05d}.jpg"), np.roll(image, 3 * t, axis=1))
    return root


def write_davis(root: Path, *, names: tuple[str, ...] = ("square",), frames: int = 5) -> Path:
    """DAVIS-2017's layout: an orange square on blue noise moves 4 px a frame; 48 x 64 px."""
    rng = np.random.default_rng(2)
    for name in names:
        images, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        ground = cv2.resize(rng.integers(0, 80, (6, 8, 3), dtype=np.uint8), (64, 48))
        ground[..., 0] += 120  # BGR
        for t in range(frames):
            frame, mask = ground.copy(), np.zeros((48, 64), np.uint8)
            where = (slice(16, 32), slice(8 + 4 * t, 24 + 4 * t))
            frame[where], mask[where] = (20, 140, 250), 1
            cv2.imwrite(str(images / f"{t:05d}.jpg"), frame)
            picture = Image.fromarray(mask, mode="P")
            picture.putpalette([0, 0, 0, 128, 0, 0])
            picture.save(masks / f"{t:05d}.png")
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(names) + "\n")
    return root


def write_vip(root: Path, *, names: tuple[str, ...] = ("square",), frames: int = 4) -> Path:
    """VIP's layout of the videos of `write_davis`; their object is of class 1."""
    write_davis(root, names=names, frames=frames)
    (root / "JPEGImages" / "480p").rename(root / "Images")
    for path in list((root / "Annotations" / "480p").iterdir()):
        path.rename(root / "Annotations" / path.name)
    (root / "lists").mkdir()
    (root / "ImageSets" / "2017" / "val.txt").rename(root / "lists" / "val_videos.txt")
    for folder in ("JPEGImages", "Annotations/480p", "ImageSets/2017", "ImageSets"):
        (root / folder).rmdir()
    return root


def write_jhmdb(root: Path, *, names: tuple[str, ...] = ("catch/ball", "wave/hand"), frames: int = 4) -> Path:
    """JHMDB's layout: 15 joints stand still on noise of 48 x 64 px."""
    rng = np.random.default_rng(3)
    lines = []
    for name in names:
        images, positions = root / "Rename_Images" / name, root / "joint_positions" / name
        images.mkdir(parents=True)
        positions.mkdir(parents=True)
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
        for t in range(1, frames + 1):
            cv2.imwrite(str(images / f"{t:05d}.png"), image)
        joints = rng.uniform((10, 8), (54, 40), (15, 2)) + 1  # counted from 1
        savemat(positions / "joint_positions.mat", {"pos_img": np.repeat(joints.T[..., None], frames, axis=2)})
        lines.append(f"joint_positions/{name}/joint_positions.mat Rename_Images/{name}")
    (root / "val_list.txt").write_text("\n".join(lines) + "\n")
    return root


def write_badja(root: Path, *, names: tuple[str, ...] = ("bear", "dog"), frames: int = 5) -> Path:
    """BADJA's layout, on the videos of `write_davis`: four joints of the square in its first, third and last frame."""
    write_davis(root / "DAVIS", names=names, frames=frames)
    (root / "joint_annotations").mkdir()
    for name in names:
        entries = []
        for t in (0, 2, frames - 1):
            corners = [(18, 10 + 4 * t), (18, 20 + 4 * t), (30, 10 + 4 * t), (30, 20 + 4 * t)]  # y, x of 48 x 64 px
            entries.append(
                {
                    "image_path": f"DAVIS/JPEGImages/Full-Resolution/{name}/{t:05d}.jpg",
                    "segmentation_path": f"DAVIS/Annotations/Full-Resolution/{name}/{t:05d}.png",
                    "joints": [[y * 1080 / 48, x * 1920 / 64] for y, x in corners],
                    "visibility": [True] * 4,
                }
            )
        (root / "joint_annotations" / f"{name}.json").write_text(json.dumps(entries))
    return root
