"""What a scene consists of: random creatures, distractors, occluders, camera, light and sensor."""

from collections.abc import Sequence

import numpy as np

from stt_study.world import plans
from stt_study.world.creatures import extent, make_creature
from stt_study.world.plans import Bone
from stt_study.world.scenes import BACKGROUND_SCALE, OVERSAMPLING, Actor, Scene, background, skins, track
from stt_study.world.textures import texture

LIGHT_REACH = (0.25, 0.06, 0.06, 0.06, 0.2, 0.2)  # of gain, cast of R, G, B, slope x and y
Kind = tuple[list[Bone], list[np.ndarray]]  # body plan and textures: what makes a creature recognisable


def look(rng: np.random.Generator, split: str, action: str | None = None) -> Kind:
    """A new kind of creature; with an `action` of `plans.ACTIONS` a person."""
    if action is None and rng.random() < 0.8:
        plan = plans.CREATURES[rng.integers(len(plans.CREATURES))]
        return plan(rng), skins(rng, split, plan.__name__)
    action = action or list(plans.ACTIONS)[rng.integers(len(plans.ACTIONS))]
    return plans.person(rng, action), skins(rng, split, "person")


def scene(
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
