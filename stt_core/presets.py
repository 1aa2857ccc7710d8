"""Settings of label propagation, by name: the paper's for each benchmark, other methods' protocols (paper section 3)."""

from dataclasses import dataclass, replace

from stt_core.files import InputError
from stt_core.ranges import check_above, check_choice, check_least


@dataclass(frozen=True)
class Inference:
    """Settings of label propagation. The defaults are the paper's on DAVIS-2017 at stride 8."""

    resize: int | tuple[int, int] | None = 480  # short side, or (height, width), in px; None = as it is
    num_preceding: int = 20  # frames
    radius: int = 12  # cells, neighbour range // 2
    topk: int = 10
    temperature: float = 0.07
    with_first: bool = True  # frame 0 stays in the context
    window: str = "square"  # |dy|, |dx| <= radius; or "circle": dy^2 + dx^2 < radius^2
    first_windowed: bool = True  # False: a query sees all of frame 0, though only a window of the others
    first_twice: bool = True  # frame 0 counts twice while it is among the preceding frames

    def __post_init__(self) -> None:
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        if any(side is not None and side < 1 for side in sides):
            raise InputError(f"resize is {self.resize}; give 1 px or more.")
        check_least(self, num_preceding=0, radius=0, topk=1)
        check_above(self, temperature=0)
        check_least(self, temperature=1e-30)  # less, and float32 has no cosine / temperature
        check_choice(self, window=("square", "circle"))
        if self.window == "circle" and not self.radius:
            raise InputError("radius is 0, which leaves nothing of a circle; give 1 or more, or the window square.")

    def check(self) -> None:
        """InputError for settings that don't go together: a slip in a profile or on a command line.

        A `topk` that no query can ever find is one. Propagation itself takes all there are, which a study of it may want.
        """
        if not (self.with_first or self.num_preceding):
            raise InputError("num_preceding is 0 and with_first is off, which leaves no context; give 1 or more.")
        if not (self.first_windowed or self.with_first):
            raise InputError("first_windowed is off, but so is with_first: there is no first frame to be seen whole.")
        most = self.cells * (self.num_preceding + self.with_first)
        if self.first_windowed and self.topk > most:
            raise InputError(
                f"topk is {self.topk}, but the windows of all context frames hold no more than {most} cells; lower it, or "
                "give a larger radius or num_preceding."
            )

    @property
    def cells(self) -> int:
        """Of a whole window, or 31,000 of a large circle's."""
        if self.window == "square":
            return (2 * self.radius + 1) ** 2
        radius = min(self.radius, 100)  # enough for any `topk`; a slip of the pen shall not take minutes
        reach = range(-radius, radius + 1)
        return sum(dy**2 + dx**2 < radius**2 for dy in reach for dx in reach)

    def propagation(self) -> dict:
        """The arguments of `propagation.propagate_frames`."""
        return {name: value for name, value in vars(self).items() if name != "resize"}


_DAVIS = Inference()
PRESETS = {
    "davis_s8": _DAVIS,
    "davis_s4": Inference(radius=35),
    "vip_s8": Inference(resize=(560, 560), radius=16),
    "vip_s4": Inference(resize=(560, 560), radius=35),
    "jhmdb_s8": Inference(resize=(320, 320), radius=5),
    "jhmdb_s4": Inference(resize=(320, 320), radius=12),
    # BADJA isn't in the paper: its videos are DAVIS's, so it takes DAVIS's settings.
    "badja_s8": _DAVIS,
    "badja_s4": Inference(radius=35),
    # Other methods' protocols on DAVIS at stride 8, for any features.
    "davis_crw": replace(_DAVIS, temperature=0.05, window="circle", first_windowed=False),
    "davis_vfs": replace(_DAVIS, window="circle"),
    "davis_dino": replace(_DAVIS, num_preceding=7, topk=5, temperature=0.1, first_twice=False),
}
"""Name -> settings. `<task>_s<stride>` are the paper's."""


def chosen(task: str, preset: str | None = None, stride: int | None = None) -> tuple[Inference, int]:
    """Settings and stride for a task: those of the preset, or else the paper's for the stride, or else for stride 8.

    Raises:
        InputError: there is no such preset, or its name says another stride.
    """
    name = preset or f"{task}_s{stride or 8}"
    if name not in PRESETS:
        raise InputError(f"there is no preset {name}; the presets are {', '.join(PRESETS)}.")
    own = {"s8": 8, "s4": 4}.get(name.rsplit("_", 1)[1])
    if own and stride and own != stride:
        raise InputError(f"--preset {name} is for stride {own}, not {stride}; leave one of them out.")
    return PRESETS[name], stride or own or 8
