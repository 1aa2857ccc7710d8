"""A profile: every setting of a run, from one small YAML file that papermill takes as it is."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from stt_core.distributed import Scale
from stt_core.errors import InputError
from stt_core.propagation import Inference
from stt_core.settings import checked
from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_study.benchmarks.registry import PRESETS
from stt_study.parameters import PROFILES, merged, read_mapping
from stt_study.speed.bench import BenchSettings
from stt_study.world.synthetic import World


@checked
class Folders:
    """Where each kind of data lies below the data folder: the first of these names that exists is taken."""

    images: tuple[str, ...] = ("imagenet",)
    videos: tuple[str, ...] = ("youtube-vos",)
    davis: tuple[str, ...] = ("davis",)
    vip: tuple[str, ...] = ("vip",)
    jhmdb: tuple[str, ...] = ("jhmdb",)
    badja: tuple[str, ...] = ("badja",)


@checked
class Published:
    """Weights of step one that others have trained, from the repository's root; "" = this study trains its own."""

    student: str = ""  # of the profile's depth and width, best on Lab input
    student_input: Literal["lab", "rgb"] = "lab"  # colours of the file, where it doesn't say
    teacher: str = ""  # of any depth
    teacher_input: Literal["lab", "rgb"] = "rgb"


@checked
class Evaluation:
    """How features are measured: stride of res4, and the settings of propagation for each task."""

    stride: Literal[8, 4] = 8
    davis: Inference = PRESETS["davis_s8"]
    vip: Inference = PRESETS["vip_s8"]
    jhmdb: Inference = PRESETS["jhmdb_s8"]
    badja: Inference = PRESETS["badja_s8"]
    real: Inference = Inference(resize=240, radius=6)  # DAVIS at half its size and half the window

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            try:
                if isinstance(value, Inference):
                    value.check()
            except InputError as error:
                raise InputError(f"{name}: {error}") from None


@checked
class Profile:
    """Everything that a run depends on, but for its seed and its code."""

    profile: str
    description: str = ""
    data: str = ""  # folder; "" = the shipped world, made where it is missing
    world: World = World()
    folders: Folders = Folders()
    weights_of: str = ""  # profile in whose folder the weights lie, to measure them another way; "" = its own
    published: Published = Published()
    scale: Scale = Scale()
    teacher: Literal["lab", "rgb"] = "lab"  # colours of the frozen encoder: the student's own start, or one more
    spatial: SpatialSettings = SpatialSettings()
    temporal: TemporalSettings = TemporalSettings()
    scratch_lr: float = Field(1e-3, gt=0)  # step two from random weights
    min_gap: int = Field(1, ge=1)  # listed frames from the first to the second of a training pair
    max_gap: int = Field(1, ge=1)
    aspect: tuple[float, float] = (1.5, 2.0)  # width over height of a training crop; the paper's suits frames of 16:9
    carry_weights: bool = False  # derive the distillations' weights for a smaller geometry, see `balance`
    rows: Literal["headline", "all", "teacher"] = "headline"  # of `variants.ROWS`, those that are trained
    seeds: int = Field(1, ge=1)  # of every row that is trained
    rates: tuple[PositiveFloat, ...] = ()  # learning rates compared on validation clips, see notebook 03
    real: tuple[str, ...] = ("data/DAVIS",)  # real video, from the repository's root
    fine: tuple[str, ...] = ()  # variants and baselines measured on real video at stride 4, too: 16 times the affinity
    supervised: tuple[str, ...] = ("data/resnet18*.pth",)  # torchvision's weights for a row of the tables, likewise
    evaluation: Evaluation = Evaluation()
    bench: BenchSettings = BenchSettings()  # notebook 13

    @property
    def real_video(self) -> str:
        """The task whose videos are real at the profile's stride."""
        return "davis" if self.data else "real"

    def __post_init__(self) -> None:
        if self.min_gap > self.max_gap:
            raise InputError(f"min_gap is {self.min_gap}, max_gap {self.max_gap}; give the least and the largest gap.")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise InputError(f"aspect is {self.aspect}; give the least and the largest width over height of a crop.")


def load_profile(profile: str, settings: dict | None = None) -> Profile:
    """A profile with `settings` laid over it: a name in `notebooks/profiles`, a YAML file, or new if they say all."""
    path = Path(profile) if profile.endswith((".yaml", ".yml")) else PROFILES / f"{profile}.yaml"
    content = {"profile": profile, "settings": {}} if settings and not path.exists() else read_mapping(path)
    if set(content) != {"profile", "settings"}:
        raise InputError(f"{path} must have two entries, profile (its name) and settings.")
    own = content["settings"] or {}
    if not isinstance(own, dict):
        raise InputError(f"{path}: settings must be a mapping, not {own!r}.")
    values = {"profile": content["profile"], **merged(own, settings or {})}
    try:
        return Profile(**{str(name): value for name, value in values.items()})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
