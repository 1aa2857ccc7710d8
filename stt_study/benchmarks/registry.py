"""The benchmarks by name, and their settings of propagation; a new one is a file of its own and a line here."""

from stt_core.errors import InputError
from stt_core.propagation import Inference
from stt_study.benchmarks.badja import BADJA
from stt_study.benchmarks.davis import DAVIS
from stt_study.benchmarks.jhmdb import JHMDB
from stt_study.benchmarks.vip import VIP

BENCHMARKS = {benchmark.name: benchmark for benchmark in (DAVIS, VIP, JHMDB, BADJA)}
# What a study measures: "real" is DAVIS in the folder that a profile's `real` names, whatever its other data; "fine" is
# real video, "real" or "davis", at stride 4.
TASKS = BENCHMARKS | {"real": DAVIS, "fine": DAVIS}
PRESETS = {f"{b.name}_{preset}": settings for b in BENCHMARKS.values() for preset, settings in b.presets.items()}
"""Name -> settings. `<task>_s<stride>` are the paper's."""


def chosen(task: str, preset: str | None = None, stride: int | None = None) -> tuple[Inference, int]:
    """Settings and stride for a task: those of the preset, or else the paper's for the stride, or else for stride 8."""
    name = preset or f"{task}_s{stride or 8}"
    if name not in PRESETS:
        raise InputError(f"there is no preset {name}; the presets are {', '.join(PRESETS)}.")
    own = {"s8": 8, "s4": 4}.get(name.rsplit("_", 1)[1])
    if own and stride and own != stride:
        raise InputError(f"--preset {name} is for stride {own}, not {stride}; leave one of them out.")
    return PRESETS[name], stride or own or 8
