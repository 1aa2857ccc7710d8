"""Settings of label propagation, by name: the paper's for each benchmark, other methods' protocols (paper section 3)."""

from dataclasses import replace

from stt_core.errors import InputError
from stt_core.propagation import Inference

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
