"""Articulated, textured creatures: a tree of bones, each drawn as a textured tapered capsule that moves with its bone.

One affine matrix per bone and instant carries its sprite, label and joints, so every correspondence is real. Units: a
creature's trunk is about 1 long; x right, y down; angles in radians.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stt_study.world.plans import Bone


@dataclass(frozen=True)
class Creature:
    """Bones and their sprites; `pose` places them."""

    bones: tuple[Bone, ...]  # parents before children, the root first
    sprites: tuple[np.ndarray, ...]  # one premultiplied RGBA uint8 (h, w, 4) per bone
    resolution: float  # sprite px per unit
    period: float  # raw frames of one cycle of its gait


def pose(bones: Sequence[Bone], phase: float) -> np.ndarray:
    """Matrices (N, 2, 3) from bone coordinates (along, across) to creature coordinates, the root's middle at 0."""
    matrices = np.zeros((len(bones), 2, 3))
    angles = np.zeros(len(bones))
    for i, bone in enumerate(bones):
        beat = np.sin(phase + bone.phase)
        angles[i] = bone.angle + bone.swing * beat
        if bone.parent >= 0:
            angles[i] += angles[bone.parent]
            start = matrices[bone.parent] @ (bone.at[0] * bones[bone.parent].length, bone.at[1], 1.0)
        c, s = np.cos(angles[i]), np.sin(angles[i])
        along, across = 1 + 0.04 * beat, 1 - 0.07 * beat  # flesh is not rigid
        matrices[i, :, :2] = np.array([[c * along, -s * across], [s * along, c * across]])
        if bone.parent < 0:
            start = matrices[i, :, :2] @ (-bone.length / 2, 0.0)
        matrices[i, :, 2] = start
    return matrices


def extent(bones: Sequence[Bone]) -> float:
    """The larger side of the box around the creature at rest, in units."""
    matrices = pose(bones, 0.0)
    points = []
    for bone, matrix in zip(bones, matrices, strict=True):
        for along, radius in ((0.0, bone.radii[0]), (bone.length, bone.radii[1])):
            centre = matrix @ (along, 0.0, 1.0)
            points += [centre - radius, centre + radius]
    return float(np.ptp(np.array(points), axis=0).max())


def make_creature(
    rng: np.random.Generator, bones: Sequence[Bone], skins: Sequence[np.ndarray], resolution: float
) -> Creature:
    """Cut the sprites of a body plan out of its `skins`, textures (S, S, 3) uint8 that `Bone.skin` counts modulo."""
    sprites = tuple(sprite(rng, bone, skins[bone.skin % len(skins)], resolution) for bone in bones)
    return Creature(tuple(bones), sprites, resolution, rng.uniform(26, 52))


def sprite(rng: np.random.Generator, bone: Bone, skin: np.ndarray, resolution: float) -> np.ndarray:
    """Premultiplied RGBA uint8 (h, w, 4): skin, rounded shading, soft edge. Pixel (0, 0) is at `origin(bone)`."""
    radius = max(bone.radii)
    width = int(np.ceil((bone.length + 2 * radius * 1.1) * resolution)) + 2
    height = int(np.ceil(2 * radius * 1.1 * resolution)) + 2
    left, top = origin(bone)
    u = left + np.arange(width, dtype=np.float32)[None] / resolution
    v = top + np.arange(height, dtype=np.float32)[:, None] / resolution
    share = np.clip(u / bone.length, 0, 1)
    thickness = bone.radii[0] + (bone.radii[1] - bone.radii[0]) * share + bone.bulge * np.sin(np.pi * share)
    thickness = thickness * (1 + 0.04 * np.sin(rng.uniform(4, 9) * u / radius * 0.5 + rng.uniform(0, 6)))
    ratio = np.hypot(u - share * bone.length, v) / thickness  # 0 on the axis, 1 on the outline
    alpha = np.clip(0.5 + (1 - ratio) * thickness * resolution, 0, 1)
    light = bone.light * (0.5 + 0.55 * np.sqrt(np.clip(1.02 - ratio**2, 0, 1)))
    factor = max(1.0, height / skin.shape[0], width / skin.shape[1])
    if factor > 1:  # a piece larger than the skin enlarges it
        skin = cv2.resize(skin, None, fx=factor + 0.02, fy=factor + 0.02, interpolation=cv2.INTER_CUBIC)
    y, x = (int(rng.integers(room + 1)) for room in (skin.shape[0] - height, skin.shape[1] - width))
    rgb = skin[y : y + height, x : x + width].astype(np.float32) * light[..., None]
    for along, across, size in bone.eyes:
        distance = np.hypot(u - along * bone.length, v - across) * resolution
        for share_of_size, colour in ((1.0, 235), (0.55, 15)):
            cover = np.clip(0.5 + size * share_of_size * resolution - distance, 0, 1)[..., None]
            rgb = rgb * (1 - cover) + colour * cover
    rgba = np.concatenate([np.clip(rgb, 0, 255), np.full_like(rgb[..., :1], 255)], axis=2) * alpha[..., None]
    return (rgba + 0.5).astype(np.uint8)


def origin(bone: Bone) -> tuple[float, float]:
    """Bone coordinates (along, across) of its sprite's first pixel."""
    return -1.1 * max(bone.radii), -1.1 * max(bone.radii)


def draw(
    creature: Creature, matrices: np.ndarray, canvas: np.ndarray, labels: np.ndarray | None = None, code: int = 0
) -> np.ndarray | None:
    """Draw a creature into `canvas` (H, W, 3) uint8; its whole silhouette (H, W) bool, or None without `labels`.

    `matrices` (N, 2, 3) lead to canvas px; `labels` (H, W) int16 are `code + bone index` where half a pixel is covered.
    """
    silhouette = None if labels is None else np.zeros(labels.shape, bool)
    bounds = np.array(canvas.shape[1::-1])
    for i in sorted(range(len(creature.bones)), key=lambda i: creature.bones[i].depth):
        picture = creature.sprites[i]
        h, w = picture.shape[:2]
        matrix = matrices[i].copy()  # from sprite px to canvas px
        matrix[:, 2] += matrix[:, :2] @ origin(creature.bones[i])
        matrix[:, :2] /= creature.resolution
        corners = matrix @ np.array([[0, w, 0, w], [0, 0, h, h], [1, 1, 1, 1]])
        low = np.clip(np.floor(corners.min(axis=1)), 0, bounds).astype(int)
        high = np.clip(np.ceil(corners.max(axis=1)) + 1, 0, bounds).astype(int)
        if (high <= low).any():
            continue
        matrix[:, 2] -= low
        warped = cv2.warpAffine(picture, matrix, tuple(int(n) for n in high - low), flags=cv2.INTER_LINEAR)
        window = slice(low[1], high[1]), slice(low[0], high[0])
        alpha = warped[..., 3]
        below = canvas[window]
        below = (below * (255 - alpha[..., None].astype(np.uint16)) + 127) // 255
        canvas[window] = warped[..., :3] + below.astype(np.uint8)
        if labels is not None:
            covered = alpha >= 128
            labels[window][covered] = code + i
            silhouette[window] |= covered
    return silhouette
