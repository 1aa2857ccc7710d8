"""Moving scenes: creatures on a textured background, a drifting camera, drifting light, occluders, blur and noise.

All is drawn at twice the frame's size. Positions are shares of the frame (0 to 1), times raw frames of a 25 Hz camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stt_study.world import plans
from stt_study.world.creatures import Creature, draw, extent, make_creature, pose
from stt_study.world.plans import Bone
from stt_study.world.textures import clouds, crop, texture

OVERSAMPLING = 2  # canvas px per frame px
BACKGROUND_SCALE = 1.5  # background px per frame px: a little softer than the creatures
LIGHT_REACH = (0.25, 0.06, 0.06, 0.06, 0.2, 0.2)  # of gain, cast of R, G, B, slope x and y
CODES = 64  # actor i's bones are labelled i * CODES + 1, + 2, …
Kind = tuple[list[Bone], list[np.ndarray]]  # body plan and textures: what makes a creature recognisable


@dataclass(frozen=True)
class Track:
    """A smooth bounded path (D,) over time from `centre` on: a sum of sines, some dashes, and a steady drift."""

    centre: np.ndarray
    reach: np.ndarray
    waves: np.ndarray  # (N, D, 3): amplitude, angular frequency, phase
    dashes: np.ndarray  # (M, D + 1): time, displacement
    drift: np.ndarray

    def __call__(self, t: float) -> np.ndarray:
        return self.centre + self.drift * t + self.reach * np.tanh(self._wander(t) - self._wander(0.0))

    def _wander(self, t: float) -> np.ndarray:
        amplitude, frequency, phase = np.moveaxis(self.waves, 2, 0)
        value = (amplitude * np.sin(frequency * t + phase)).sum(axis=0)
        for time, *step in self.dashes:
            share = np.clip((t - time) / 4, 0, 1)  # a dash lasts 4 raw frames
            value = value + np.array(step) * share * share * (3 - 2 * share)
        return value


def track(rng: np.random.Generator, centre, reach, periods=(90, 260), dashes: int = 0, drift=0.0) -> Track:
    """A random `Track` around `centre` that stays within `reach` of it but for its drift."""
    centre = np.atleast_1d(np.asarray(centre, float))
    d = len(centre)
    amplitude, frequency = rng.uniform(0.4, 1.0, (2, d)), 2 * np.pi / rng.uniform(*periods, (2, d))
    waves = np.stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, (2, d))], axis=2)
    leaps = np.concatenate([rng.uniform(2, 60, (dashes, 1)), rng.normal(0, 0.8, (dashes, d))], axis=1)
    return Track(centre, np.broadcast_to(reach, d), waves, leaps, np.broadcast_to(drift, d))


@dataclass(frozen=True)
class Actor:
    creature: Creature
    unit: float  # frames' sides per unit of the creature
    mirrored: bool
    label: int  # 1 … of an annotated object, 0 of what distracts or occludes
    place: Track  # (2,)
    look: Track  # (2,): logarithm of its scale, tilt in radians
    phase: float


@dataclass(frozen=True)
class Scene:
    """All that happens in one uncut piece of video; `render` takes its pictures."""

    size: int
    background: np.ndarray  # (S, S, 3) uint8
    pan: Track  # (2,): of the background, in frames
    camera: Track  # (4,): logarithm of the zoom, roll, shake x and y
    actors: tuple[Actor, ...]  # from back to front
    light: Track  # (6,): gain, cast of R, G, B, slope x and y
    defocus: Track  # (1,): sigma in px of the whole picture's blur, where positive
    depth_blur: float  # sigma in px of the background's blur
    shutter: float  # raw frames of exposure; 0 is sharp
    noise: float  # standard deviation in grey levels


@dataclass(frozen=True)
class Rendering:
    """A rendered frame."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    objects: np.ndarray  # (H, W) uint8, 0 or an object's number
    labels: np.ndarray  # (H, W) int16, 0 or `actor * CODES + 1 + bone` of what is seen there
    matrices: np.ndarray  # (L, 2, 3), from a label's coordinates, a bone's or the background's, to frame px
    visible: dict[int, float]  # object -> share of its silhouette inside the frame that nothing hides


def render(scene: Scene, t: float, rng: np.random.Generator) -> Rendering:
    """Take the picture at time `t`; `rng` makes the sensor noise."""
    side = scene.size * OVERSAMPLING
    labels = np.zeros((side, side), np.int16)
    canvas, silhouettes, matrices = _expose(scene, t, labels)
    if scene.shutter:  # true motion blur: the mean of instants while the shutter is open
        instants = [_expose(scene, t + scene.shutter * share)[0] for share in (-0.5, -0.25, 0.25, 0.5)]
        canvas = np.mean([canvas, *instants], axis=0, dtype=np.float32)
    image = cv2.resize(canvas.astype(np.float32), (scene.size, scene.size), interpolation=cv2.INTER_AREA)
    sigma = scene.defocus(t)[0]
    if sigma > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(sigma))
    gain, *cast, slope_x, slope_y = scene.light(t)
    ramp = np.linspace(-1, 1, scene.size, dtype=np.float32)
    field = gain * (1 + slope_x * ramp[None, :] + slope_y * ramp[:, None])
    image *= field[..., None].astype(np.float32) * (1 + np.array(cast, np.float32))
    image += scene.noise * rng.standard_normal(image.shape, np.float32)
    image = np.clip(image + 0.5, 0, 255).astype(np.uint8)

    visible = {}
    owner = (labels - 1) // CODES  # -1 where there is only background
    objects = np.zeros(labels.shape, np.uint8)
    for i, actor in enumerate(scene.actors):
        if actor.label > 0:
            objects[owner == i] = actor.label
            visible[actor.label] = float((owner == i).sum() / max(1, silhouettes[i].sum()))
    middle = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
    return Rendering(image, objects[middle, middle], labels[middle, middle], matrices, visible)


def _expose(scene: Scene, t: float, labels: np.ndarray | None = None):
    """Canvas (2S, 2S, 3) uint8, silhouettes and `Rendering.matrices` at one instant."""
    side = scene.size * OVERSAMPLING
    zoom, roll, shake_x, shake_y = scene.camera(t)
    c, s = np.exp(zoom) * np.cos(roll), np.exp(zoom) * np.sin(roll)
    view = np.array([[c, -s, 0.5 + shake_x], [s, c, 0.5 + shake_y]])  # from shares of the frame around its middle
    view *= side
    back = view.copy()
    factor = 1 / (BACKGROUND_SCALE * scene.size)
    back[:, 2] += view[:, :2] @ (scene.pan(t) - factor * np.array(scene.background.shape[1::-1]) / 2)
    back[:, :2] *= factor
    canvas = cv2.warpAffine(scene.background, back, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if scene.depth_blur:
        canvas = cv2.GaussianBlur(canvas, (0, 0), scene.depth_blur * OVERSAMPLING)
    silhouettes, matrices = [], np.zeros((len(scene.actors) * CODES + 1, 2, 3))
    matrices[0] = _in_frame(back)
    for i, actor in enumerate(scene.actors):
        scale, tilt = actor.look(t)
        factor = actor.unit * np.exp(scale)
        c, s = factor * np.cos(tilt), factor * np.sin(tilt)
        placed = np.array([[c * (-1 if actor.mirrored else 1), -s], [s * (-1 if actor.mirrored else 1), c]])
        linear = view[:, :2] @ placed
        offset = view @ np.append(actor.place(t) - 0.5, 1.0)
        bones = linear @ pose(actor.creature.bones, actor.phase + 2 * np.pi * t / actor.creature.period)
        bones[:, :, 2] += offset
        silhouettes.append(draw(actor.creature, bones, canvas, labels, i * CODES + 1))
        matrices[i * CODES + 1 :][: len(bones)] = _in_frame(bones)
    return canvas, silhouettes, matrices


def _in_frame(matrices: np.ndarray) -> np.ndarray:
    """Matrices (..., 2, 3) to canvas px as ones to frame px, in place; pixel centres are whole numbers in both."""
    matrices[..., :2] /= OVERSAMPLING
    matrices[..., 2] = (matrices[..., 2] + 0.5) / OVERSAMPLING - 0.5
    return matrices


def skins(rng: np.random.Generator, split: str, plan: str) -> list[np.ndarray]:
    """Textures (S, S, 3) uint8 of one creature; a person gets skin, upper and lower clothes, shoes and hair."""
    side = 144
    if plan == "person":
        tone = np.array([rng.uniform(38, 78), rng.uniform(8, 16), rng.uniform(12, 24)], np.float32)
        lab = np.broadcast_to(tone, (side, side, 3)).copy()
        lab[..., 0] += (clouds(rng, side, coarse=5) - 0.5) * 18
        flesh = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255, 0, 255).astype(np.uint8)
        return [flesh, *(texture(rng, split, side, procedural=0.4) for _ in range(4))]
    first, second = (texture(rng, split, side) for _ in range(2))
    spots = np.clip((clouds(rng, side, coarse=int(rng.integers(3, 9)), octaves=2) - rng.uniform(0.4, 0.7)) * 14, 0, 1)
    mixed = (first * (1 - spots[..., None]) + second * spots[..., None]).astype(np.uint8)
    order = ([first, mixed, second], [mixed, first, second], [first, first, mixed])[rng.integers(3)]
    return [*order, second]


def background(rng: np.random.Generator, split: str, size: int, wanted: Sequence[np.ndarray]) -> np.ndarray:
    """(size, size, 3) uint8: two textures in patches, and stones, some in the creatures' own textures (`wanted`)."""
    first, second = (texture(rng, split, size // 2, chroma=0.85) for _ in range(2))
    first, second = (cv2.resize(each, (size, size), interpolation=cv2.INTER_CUBIC) for each in (first, second))
    patches = (clouds(rng, size, coarse=3, octaves=4) - rng.uniform(0.35, 0.75)) * rng.uniform(3, 15) + 0.5
    patches = np.clip(patches, 0, 1)
    picture = first + (second.astype(np.float32) - first) * patches[..., None]
    grain = crop(rng, split, 160).mean(axis=2, dtype=np.float32)  # fine detail, mirrored until it covers
    grain = (grain - grain.mean()) * (16 / max(grain.std(), 8))
    grain = np.pad(grain, (0, max(0, size - len(grain))), mode="symmetric")[:size, :size]
    picture = np.clip(picture + grain[..., None], 0, 255).astype(np.uint8)
    stones = [*wanted, texture(rng, split, 144), texture(rng, split, 144)]
    for _ in range(rng.integers(5, 14)):
        bones = plans.blob(rng)
        unit = rng.uniform(0.04, 0.14) * size
        stone = make_creature(rng, bones, [stones[rng.integers(len(stones))]], unit)
        matrices = pose(bones, 0.0) * unit
        matrices[:, :, 2] += rng.uniform(0, size, 2)
        draw(stone, matrices, picture)
    return picture


def look(rng: np.random.Generator, split: str, action: str | None = None) -> Kind:
    """A new kind of creature; with an `action` of `plans.ACTIONS` a person."""
    if action is None and rng.random() < 0.8:
        plan = plans.CREATURES[rng.integers(len(plans.CREATURES))]
        return plan(rng), skins(rng, split, plan.__name__)
    action = action or list(plans.ACTIONS)[rng.integers(len(plans.ACTIONS))]
    return plans.person(rng, action), skins(rng, split, "person")


def random_scene(
    rng: np.random.Generator, split: str, size: int, looks: Sequence[Kind], *, still: bool = False, hidden: float = 0.4
) -> Scene:
    """Cast the looks as objects 1, 2, … of a new scene of `size` px; `hidden`: how likely a thing passes in front."""
    count = len(looks)
    canvas = size * OVERSAMPLING
    large = rng.uniform(0.66, 0.9) * (1.0, 0.85, 0.72)[count - 1]  # longer side of a creature, as a share of the frame
    centres = (np.arange(count) + 0.5) / count * 0.8 + 0.1 + rng.uniform(-0.06, 0.06, count)
    rng.shuffle(centres)
    wanted = [skin for _, textures in looks for skin in textures[:2]]
    actors = []
    if rng.random() < 0.4:  # a wandering thing in the texture of one of the objects
        actors.append(_thing(rng, wanted[rng.integers(len(wanted))], canvas, rng.uniform(0.1, 0.9, 2), 0.3))
    for i, (bones, textures) in enumerate(looks):
        person = bones[0].name == "torso"
        unit = large * rng.uniform(0.85, 1.15) * (1.1 if person else 1.0) / extent(bones)
        centre = (centres[i], rng.uniform(0.38, 0.46) if person else rng.uniform(0.4, 0.6))
        place = track(rng, centre, (0.22, 0.07 if person else 0.16), dashes=int(rng.integers(0, 3)))
        turn = track(rng, (0.0, rng.uniform(-0.15, 0.15)), (0.22, 0.12 if person else 0.3))
        creature = make_creature(rng, bones, textures, unit * canvas)
        mirrored = not person and rng.random() < 0.5  # the left arm of a person stays the left one
        actors.append(Actor(creature, unit, mirrored, i + 1, place, turn, rng.uniform(0, 2 * np.pi)))
    if rng.random() < hidden:
        skin = wanted[rng.integers(len(wanted))] if rng.random() < 0.4 else texture(rng, split, 144)
        side = rng.choice((-1, 1))
        start = rng.uniform(0.2, 0.8) if still else 0.5 - 0.85 * side
        pace = side * rng.uniform(0.02, 0.04)
        actors.append(_thing(rng, skin, canvas, (start, rng.uniform(0.3, 0.9)), 0.05, (pace, 0.0)))
    zoomed, reach = (1.4, 0.05) if still else (2.3, 0.45)  # of a still, the background need not go on outside of it
    sharp = rng.random()
    return Scene(
        size=size,
        background=background(rng, split, int(size * zoomed * BACKGROUND_SCALE), wanted),
        pan=track(rng, (0.0, 0.0), (reach, reach * 0.6), dashes=int(rng.integers(0, 2))),
        camera=track(rng, np.zeros(4), (0.14, 0.09, 0.012, 0.012), periods=(25, 200)),
        actors=tuple(actors),
        light=track(rng, (1.0, *rng.normal(0, 0.04, 3), *rng.normal(0, 0.15, 2)), LIGHT_REACH, (60, 240)),
        defocus=track(rng, (rng.uniform(0, 0.9) if sharp < 0.3 else -0.2,), 0.6, (40, 120)),
        depth_blur=float(rng.uniform(0.4, 1.6)) if rng.random() < 0.35 else 0.0,
        shutter=float(rng.uniform(0.5, 2.0)) if rng.random() < 0.25 else 0.0,
        noise=float(rng.uniform(1.5, 7)),
    )


def _thing(rng, skin, canvas, centre, reach, drift=0.0) -> Actor:
    """A stone, bush or pole, named by nobody."""
    bones = plans.blob(rng)
    unit = rng.uniform(0.16, 0.3)
    creature = make_creature(rng, bones, [skin], unit * canvas)
    place = track(rng, centre, reach, drift=drift)
    return Actor(creature, unit, False, 0, place, track(rng, (0.0, 0.0), (0.2, 0.4)), 0.0)
