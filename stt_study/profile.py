"""A profile: every setting of a run, from one small YAML file that papermill takes as it is."""

import types
import typing
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from stt_core.distributed import Scale
from stt_core.encoder import INFERENCE
from stt_core.errors import InputError
from stt_core.propagation import Inference
from stt_core.ranges import check_above, check_choice, check_least
from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_study.benchmarks.registry import PRESETS
from stt_study.speed.bench import BenchSettings
from stt_study.world.synthetic import World

PROFILES = Path(__file__).resolve().parents[1] / "notebooks" / "profiles"


@dataclass(frozen=True)
class Folders:
    """Where each kind of data lies below the data folder: the first of these names that exists is taken."""

    images: tuple[str, ...] = ("imagenet",)
    videos: tuple[str, ...] = ("youtube-vos",)
    davis: tuple[str, ...] = ("davis",)
    vip: tuple[str, ...] = ("vip",)
    jhmdb: tuple[str, ...] = ("jhmdb",)
    badja: tuple[str, ...] = ("badja",)


@dataclass(frozen=True)
class Published:
    """Weights of step one that others have trained, from the repository's root; "" = this study trains its own."""

    student: str = ""  # of the profile's depth and width, best on Lab input
    student_input: str = "lab"  # colours of the file, where it doesn't say
    teacher: str = ""  # of any depth
    teacher_input: str = "rgb"

    def __post_init__(self) -> None:
        check_choice(self, student_input=("lab", "rgb"), teacher_input=("lab", "rgb"))


@dataclass(frozen=True)
class Evaluation:
    """How features are measured: stride of res4, and the settings of propagation for each task."""

    stride: int = 8
    davis: Inference = PRESETS["davis_s8"]
    vip: Inference = PRESETS["vip_s8"]
    jhmdb: Inference = PRESETS["jhmdb_s8"]
    badja: Inference = PRESETS["badja_s8"]
    real: Inference = Inference(resize=240, radius=6)  # DAVIS at half its size and half the window

    def __post_init__(self) -> None:
        check_choice(self, stride=tuple(INFERENCE))
        for field in fields(self):
            inference = getattr(self, field.name)
            if isinstance(inference, Inference):
                try:
                    inference.check()
                except InputError as error:
                    raise InputError(f"{field.name}: {error}") from None


@dataclass(frozen=True)
class Profile:
    """Everything that a run depends on, but for its seed and its code."""

    profile: str
    description: str = ""
    data: str = ""  # folder; "" = the shipped world, made where it is missing
    world: World = World()
    folders: Folders = Folders()
    weights_of: str = (
        ""  # profile in whose folder the weights lie, for another measurement of the same ones; "" = its own
    )
    published: Published = Published()
    scale: Scale = Scale()
    teacher: str = "lab"  # colours of the frozen step-one encoder: "lab" (the student's own start) or "rgb" (one more)
    spatial: SpatialSettings = SpatialSettings()
    temporal: TemporalSettings = TemporalSettings()
    scratch_lr: float = 1e-3  # step two from random weights
    max_gap: int = 1  # listed frames between the two of a training pair
    aspect: tuple[float, float] = (1.5, 2.0)  # width over height of a training crop; the paper's suits frames of 16:9
    carry_weights: bool = False  # derive the distillations' weights for a smaller geometry, see `balance`
    rows: str = "headline"  # which of `variants.VARIANTS` are trained: "headline", or "all" (`make ablations`)
    seeds: int = 1  # of every row that is trained
    rates: tuple[float, ...] = ()  # learning rates compared on validation clips, see notebook 03
    rate_steps: int = 200  # of each of those trainings
    real: tuple[str, ...] = ("data/DAVIS",)  # real video, from the repository's root
    supervised: tuple[str, ...] = ("data/resnet18*.pth",)  # torchvision's weights for a row of the tables, likewise
    evaluation: Evaluation = Evaluation()
    bench: BenchSettings = BenchSettings()  # notebook 13

    def __post_init__(self) -> None:
        check_choice(self, teacher=("lab", "rgb"), rows=("headline", "all"))
        check_least(self, max_gap=1, seeds=1, rate_steps=1)
        check_above(self, scratch_lr=0)
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise InputError(f"aspect is {self.aspect}; give the least and the largest width over height of a crop.")
        if any(not rate > 0 for rate in self.rates):
            raise InputError(f"rates are {self.rates}; give numbers above 0.")


def load_profile(profile: str, settings: dict | None = None) -> Profile:
    """Read a profile and lay `settings` over it.

    Args:
        profile: a name in `notebooks/profiles`, the path of such a YAML file, or a new name if `settings` say it all.
        settings: fields of `Profile`; a nested dict changes only the fields it names.

    Raises:
        InputError: there is no such profile, or it has a field that does not exist or is of another type.
    """
    path = Path(profile) if profile.endswith((".yaml", ".yml")) else PROFILES / f"{profile}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not settings:
            known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
            raise InputError(f"there is no profile {path}; the profiles are {known}.") from None
        content = {"profile": profile, "settings": {}}
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no UTF-8, a date that is none, a tower of lists
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict) or set(content) != {"profile", "settings"}:
        raise InputError(f"{path} must have two entries, profile (its name) and settings.")
    own = content["settings"] or {}
    if not isinstance(own, dict):
        raise InputError(f"{path}: settings must be a mapping, not {own!r}.")
    values = _merged(own, settings or {})
    return _build(Profile, {"profile": content["profile"], **values}, str(path))


def _merged(base: dict, extra: dict) -> dict:
    result = dict(base)
    for name, value in extra.items():
        nested = isinstance(value, dict) and isinstance(base.get(name), dict)
        result[name] = _merged(base[name], value) if nested else value
    return result


def _build(kind: type, values: dict, where: str) -> Any:
    """A frozen dataclass out of nested dicts; an unknown name is an error, a number is checked for its type."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(map(str, set(values) - {field.name for field in fields(kind)}))
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]}; {kind.__name__} has {', '.join(hints)}.")
    converted = {name: _convert(hints[name], value, f"{where}: {name}") for name, value in values.items()}
    try:
        return kind(**converted)
    except InputError as error:  # of a value out of its range
        raise InputError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a mapping, not {value!r}.")
        return _build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} must be a list, not {value!r}.")
        (inner, *others) = typing.get_args(hint)  # float, … or int, int
        if others != [...] and len(value) != 1 + len(others):
            raise InputError(f"{where} must be {1 + len(others)} values, not {value!r}.")
        return tuple(_convert(inner, item, where) for item in value)
    if isinstance(hint, types.UnionType):  # int | tuple[int, int] | None
        if value is None:
            return None
        some = isinstance(value, list | tuple)
        return _convert(next(h for h in typing.get_args(hint) if (h is not int) == some), value, where)
    try:
        converted = hint(value) if hint in (int, float) and not isinstance(value, bool) else value
        whole = hint is not int or (not isinstance(value, bool) and converted == float(value))
    except (TypeError, ValueError, OverflowError):
        converted = whole = None
    # YAML reads 1e-3 as a string, so numbers are converted; 3.5 steps are refused. A bool would pass for an int.
    if hint in (int, float, str, bool) and not (whole and isinstance(converted, hint)):
        raise InputError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return converted
