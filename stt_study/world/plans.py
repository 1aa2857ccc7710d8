"""Body plans of the creatures: which bones hang on which, how long and thick they are and how they swing."""

from dataclasses import dataclass

import numpy as np

# VIP's classes, in its order (paper section 4).
CLASSES = "background hat hair sun-glasses upper-clothes dress coat socks pants gloves scarf skirt torso-skin face"
SIDED_CLASSES = "right-arm left-arm right-leg left-leg right-shoe left-shoe"
VIP = {name: index for index, name in enumerate(f"{CLASSES} {SIDED_CLASSES}".split())}

# JHMDB's joints, in its order, each at (bone, share of its length). Right is the person's, who faces us.
LIMB_JOINTS = {
    "shoulder": ("upper arm", 0.0),
    "hip": ("thigh", 0.0),
    "elbow": ("forearm", 0.0),
    "knee": ("shin", 0.0),
    "wrist": ("forearm", 0.85),
    "ankle": ("shin", 0.95),
}
JOINTS = {"neck": ("torso", 1.0), "belly": ("torso", 0.3), "face": ("head", 0.5)} | {
    f"{side} {joint}": (f"{side} {bone}", along)
    for joint, (bone, along) in LIMB_JOINTS.items()
    for side in ("right", "left")
}


@dataclass(frozen=True)
class Bone:
    """A bone and the flesh around it. Units: the trunk is about 1 long."""

    name: str
    parent: int  # index, -1 for the root
    at: tuple[float, float]  # where it starts on its parent: share of the length, units across
    angle: float  # at rest, against the parent; 0 goes on straight, positive turns from x to y
    length: float
    radii: tuple[float, float]  # at its start and its end
    swing: float = 0.0  # amplitude
    phase: float = 0.0
    depth: int = 0  # drawn from low to high
    skin: int = 0  # which of the creature's textures
    part: int = 0  # VIP class
    light: float = 1.0  # a farther limb is darker
    bulge: float = 0.0
    eyes: tuple[tuple[float, float, float], ...] = ()  # share of the length, units across, radius


def _limb(bones, name, parent, at, angles, lengths, radii, swings, phase, **look) -> None:
    """Append a chain of bones, each swinging a little later than the one before it."""
    for i, (angle, length, swing) in enumerate(zip(angles, lengths, swings, strict=True)):
        bones.append(
            Bone(f"{name} {i}", parent, at, angle, length, (radii[i], radii[i + 1]), swing, phase - 0.9 * i, **look)
        )
        parent, at = len(bones) - 1, (1.0, 0.0)


def quadruped(rng: np.random.Generator) -> list[Bone]:
    """Trunk, neck, head, ear, tail of two, four legs of two."""
    u = rng.uniform
    thick, leg, neck = u(0.17, 0.3), u(0.26, 0.5), u(0.12, 0.5)
    bones = [
        Bone("body", -1, (0, 0), 0.0, 1.0, (thick, thick * u(0.8, 1.15)), 0.05, u(0, 6), bulge=u(-0.03, 0.04)),
        Bone("neck", 0, (0.97, -0.3 * thick), -u(0.4, 1.2), neck, (thick * 0.75, thick * 0.55), 0.12, u(0, 6), 1),
    ]
    size = u(0.12, 0.2)
    eye = ((0.35, -0.35 * size, 0.24 * size),)
    bones += [
        Bone("head", 1, (1, 0), u(0.5, 1.1), u(0.2, 0.42), (size, size * u(0.5, 0.8)), 0.15, u(0, 6), 3, 1, eyes=eye),
        Bone("ear", 2, (0.0, -0.6 * size), -u(1.7, 2.4), u(0.12, 0.3), (0.06, 0.03), 0.2, u(0, 6), 2, 2),
    ]
    _limb(bones, "tail", 0, (0.02, -0.4 * thick), (np.pi + u(-0.2, 0.8), u(-0.6, 0.6)), (0.3, u(0.15, 0.4)),
          (0.07, 0.05, u(0.02, 0.08)), (0.35, 0.45), u(0, 6), depth=-1, skin=2)  # fmt: skip
    r, pace, skin = u(0.08, 0.13), u(0.35, 0.6), int(rng.integers(0, 3))
    for name, along, phase, far in (("hind far", 0.08, np.pi, 1), ("front far", 0.9, 0, 1), ("hind near", 0.08, 0, 0),
                                    ("front near", 0.9, np.pi, 0)):  # fmt: skip
        bend = 0.35 if name.startswith("hind") else -0.2
        look = {"depth": -2 if far else 1, "skin": skin, "light": 0.68 if far else 1.0}
        _limb(bones, name, 0, (along, 0.5 * thick), (np.pi / 2 - bend / 2, bend), (leg, leg * 0.9),
              (r * 1.4, r, r * 0.7), (pace, pace * 0.7), phase, **look)  # fmt: skip
    return bones


def bird(rng: np.random.Generator) -> list[Bone]:
    """Trunk, head, beak, crest, tail, two wings of two, two legs of two."""
    u = rng.uniform
    thick, size = u(0.24, 0.36), u(0.14, 0.22)
    eye = ((0.6, -0.3 * size, 0.24 * size),)
    bones = [
        Bone("body", -1, (0, 0), -u(0.1, 0.6), 0.7, (thick * 0.7, thick), 0.06, u(0, 6), bulge=0.04),
        Bone("head", 0, (1.1, -0.4 * thick), -u(0.0, 0.6), u(0.15, 0.3), (size, size), 0.15, u(0, 6), 2, 1, eyes=eye),
        Bone("beak", 1, (1.2, 0.1 * size), u(0.3, 0.9), u(0.12, 0.3), (0.07, 0.02), 0.05, 0, 1, 3),
        Bone("crest", 1, (0.4, -0.7 * size), -u(1.2, 2.4), u(0.1, 0.3), (0.05, 0.03), 0.25, u(0, 6), 1, 2),
        Bone("tail", 0, (0.0, 0.0), np.pi + u(-0.3, 0.3), u(0.3, 0.6), (0.08, u(0.08, 0.18)), 0.25, u(0, 6), -1, 2),
    ]
    for name, far in (("wing far", 1), ("wing near", 0)):
        _limb(bones, name, 0, (0.75, -0.2 * thick), (-2.2 + 0.4 * far, -0.4), (0.4, u(0.3, 0.6)), (0.13, 0.14, 0.07),
              (u(0.5, 0.9), 0.4), 0.5 * far, depth=-2 if far else 3, skin=2, light=0.7 if far else 1.0)  # fmt: skip
    for name, far in (("leg far", 1), ("leg near", 0)):
        _limb(bones, name, 0, (0.4, 0.7 * thick), (np.pi / 2 + u(0.2, 0.7), -0.4), (0.28, 0.26), (0.085, 0.06, 0.065),
              (0.5, 0.4), np.pi * far, depth=-1 if far else 1, skin=3, light=0.7 if far else 1.0)  # fmt: skip
    return bones


def bug(rng: np.random.Generator) -> list[Bone]:
    """Seen from above: trunk, abdomen, head, two feelers, six legs of two."""
    u = rng.uniform
    thick, leg = u(0.17, 0.28), u(0.25, 0.42)
    bones = [
        Bone("body", -1, (0, 0), u(-0.5, 0.5), 0.5, (thick, thick), 0.08, u(0, 6), 1),
        Bone("abdomen", 0, (-0.2, 0), np.pi, u(0.4, 0.8), (thick * 0.9, thick * u(0.7, 1.3)), 0.2, u(0, 6), 2, 1),
    ]
    size = u(0.13, 0.2)
    eyes = ((0.9, -0.6 * size, 0.3 * size), (0.9, 0.6 * size, 0.3 * size))
    bones.append(Bone("head", 0, (1.35, 0), 0.0, 0.14, (size, size), 0.25, u(0, 6), 3, 2, eyes=eyes))
    for side in (-1, 1):
        bones.append(Bone(f"feeler {side}", 2, (1, 0.4 * side * size), 0.6 * side, 0.35, (0.04, 0.03), 0.3, side, 0, 3))
        for i, along in enumerate((0.05, 0.5, 0.95)):
            angles = (side * (2.2 - 0.65 * i), side * -u(0.3, 0.9))
            beat = np.pi * ((i + (side > 0)) % 2)
            _limb(bones, f"leg {side} {i}", 0, (along, 0.6 * side * thick), angles, (leg, leg), (0.09, 0.075, 0.05),
                  (0.35, 0.3), beat, depth=0, skin=3)  # fmt: skip
    return bones


def fish(rng: np.random.Generator) -> list[Bone]:
    """A chain of five from head to tail that bends like a wave, tail fin of two, back, belly and side fins."""
    u = rng.uniform
    thick = u(0.2, 0.34)
    eye = ((0.35, -0.3 * thick, 0.17 * thick),)
    bones = [Bone("head", -1, (0, 0), np.pi, 0.3, (thick * 0.8, thick), 0.06, 0, 5, 1, eyes=eye)]
    for i, (a, b) in enumerate(((1, 0.9), (0.9, 0.7), (0.7, 0.45), (0.45, 0.3))):
        radii, swing = (thick * a, thick * b), 0.12 + 0.04 * i
        bones.append(Bone(f"trunk {i}", i, (0.9, 0), 0.0, 0.26, radii, swing, -0.8 * (i + 1), 4 - i))
    for side in (-1, 1):
        edge = (0.2, side * thick * 0.6)
        bones += [
            Bone(f"tail fin {side}", 4, (1, 0), side * u(0.4, 0.8), u(0.25, 0.5), (0.07, 0.1), 0.25, -4, -1, 2),
            Bone(f"fin {side}", 2, edge, side * u(0.4, 1.0), u(0.3, 0.5), (0.12, 0.05), 0.2, 1, -1, 2),
        ]
    bones.append(Bone("side fin", 1, (0.5, 0.3 * thick), u(-0.6, 0.1) - 0.4, u(0.2, 0.35), (0.06, 0.09), 0.5, 2, 6, 2))
    return bones


def blob(rng: np.random.Generator) -> list[Bone]:
    """One capsule: a stone, a bush, a pole. It distracts or hides."""
    r = rng.uniform(0.15, 0.6)
    return [Bone("blob", -1, (0, 0), rng.uniform(-0.3, 0.3) - np.pi / 2, 1.0, (r, r * rng.uniform(0.6, 1.0)), 0.05)]


ACTIONS = {  # name -> (how far the right arm is raised, amplitude of arms, of legs)
    "walk": (0.15, 0.55, 0.45),
    "wave": (2.4, 0.5, 0.12),
    "jump": (0.8, 0.8, 0.35),
    "kick_ball": (0.4, 0.35, 0.75),
}


def person(rng: np.random.Generator, action: str = "walk") -> list[Bone]:
    """A clothed puppet facing us, with VIP's classes on its bones and a bone under every joint of JHMDB."""
    u = rng.uniform
    raised, arms, legs = ACTIONS[action]
    dress, trousers, hat = rng.random() < 0.2, rng.random() < 0.6, rng.random() < 0.4
    broad, arm, leg = u(0.15, 0.21), u(0.24, 0.31), u(0.29, 0.37)
    top = VIP["dress"] if dress else VIP["upper-clothes"]
    cap = VIP["hat"] if hat else VIP["hair"]
    waist = (1, top) if dress else (2, VIP["pants"])
    eyes = ((0.55, -0.045, 0.022), (0.55, 0.045, 0.022))
    bones = [
        Bone("torso", -1, (0, 0), -np.pi / 2, 0.58, (broad * 0.85, broad), 0.08, u(0, 6), 2, 1, top),
        Bone("head", 0, (1.25, 0), 0.0, 0.2, (0.115, 0.135), 0.15, u(0, 6), 5, 0, VIP["face"], eyes=eyes),
        Bone("cap", 1, (1.2, -0.09), np.pi / 2, 0.18, (0.1, 0.1), 0, 0, 6, 4, cap, bulge=0.03),
        Bone("hips", 0, (-0.05, -0.06), np.pi / 2, 0.12, (broad * 0.8, broad * 0.8), 0, 0, 1, *waist),
    ]
    for side, name in ((-1, "right"), (1, "left")):
        lift = raised if side < 0 else 0.2 + 0.3 * raised * (action == "jump")
        phase = 0.0 if side < 0 else np.pi
        n = len(bones)
        bones.append(Bone(f"{name} upper arm", 0, (0.93, side * broad * 1.05), side * (np.pi - lift - 0.15), arm,
                          (0.08, 0.066), arms, phase + np.pi, 3, 0, VIP[f"{name}-arm"]))  # fmt: skip
        bones.append(Bone(f"{name} forearm", n, (1, 0), -side * u(0.1, 0.7), arm * 1.05, (0.066, 0.058),
                          arms * 0.9, phase + 2.4, 4, 0, VIP[f"{name}-arm"]))  # fmt: skip
        part, skin = (VIP["pants"], 2) if trousers and not dress else (VIP[f"{name}-leg"], 0)
        thigh = (part, skin) if dress else (VIP["pants"], 2)
        bones.append(Bone(f"{name} thigh", 0, (-0.05, side * broad * 0.55), side * (np.pi - 0.1), leg, (0.11, 0.09),
                          legs, phase, 0, thigh[1], thigh[0]))  # fmt: skip
        bones.append(Bone(f"{name} shin", n + 2, (1, 0), 0.05 * side, leg, (0.088, 0.066), legs * 0.7, phase - 1.2, -1,
                          skin, part))  # fmt: skip
        bones.append(Bone(f"{name} shoe", n + 3, (1.05, 0), -side * u(0.8, 1.3), 0.14, (0.075, 0.06), 0.1, phase, 0, 3,
                          VIP[f"{name}-shoe"]))  # fmt: skip
    return bones


CREATURES = (quadruped, bird, bug, fish)
