"""A run of one profile: its data and its trained weights. What is missing is made; nothing is made twice."""

import time
from collections.abc import Callable
from copy import copy
from dataclasses import asdict, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Self

from stt_core.checkpoints import file_hash, open_weights, save_weights
from stt_core.distributed import chosen_precision
from stt_core.encoder import STANDARD, random_encoder
from stt_core.errors import InputError
from stt_core.files import write_json
from stt_core.pictures import VideoFrame
from stt_core.temporal import TemporalSettings
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal
from stt_study.balance import carried_weights, forget_weight
from stt_study.one_stage import OneStageSettings, train_one_stage
from stt_study.processes import spread
from stt_study.profile import Profile, load_profile
from stt_study.store import ROOT, code_key, computed, folder_fingerprint, hash_of, made
from stt_study.variants import BASELINES, TEACHERS, VARIANTS, variant_settings
from stt_study.world import synthetic
from stt_study.world.oracle import OraclePairs

LEARNED_FROM = ("images", "videos")  # kinds of data
LONGER = 4  # times as many steps, of the teacher that is trained longer


class Trainings:
    """A run of one profile with one seed; InputError for an unknown profile or field.

    Args:
        profile: a name in `notebooks/profiles`, or a YAML file.
        seed: of the trainings; the shipped data have their own.
        data: folder of the data; "" = the profile's.
        runs: where everything that the run makes goes, in a folder of the profile's name.
        settings: fields of `Profile` to change, nested as in the file.
    """

    def __init__(
        self, profile: str = "laptop", *, seed: int = 0, data: str = "", runs: str = "", settings: dict | None = None
    ) -> None:
        loaded = load_profile(profile, settings)
        self.profile: Profile = replace(loaded, data=data) if data else loaded
        for unknown in sorted({*self.profile.fine} - {*VARIANTS, *BASELINES}):
            raise InputError(f"fine names {unknown}, which is neither a variant nor a baseline; take it out.")
        self.seed = seed
        self.out = Path(runs or ROOT / "runs") / self.profile.profile
        # Of the folder of a kind of training data, taken once: a large one takes a while.
        self.fingerprint = cache(lambda kind: folder_fingerprint(self.folder(kind)))
        self.learned_from = cache(lambda kind: self.images(1).paths if kind == "images" else self.pairs(1).videos)

    @property
    def trained_on(self) -> set[str]:
        """Names of the training videos."""
        first = [frames[0] for frames in self.learned_from("videos") if frames]
        return {frame.path.stem if isinstance(frame, VideoFrame) else frame.parent.name for frame in first}

    @property
    def seeds(self) -> range:
        """The seeds that comparisons take: this run's, and as many after it as the profile's `seeds` say."""
        return range(self.seed, self.seed + self.profile.seeds)

    def with_seed(self, seed: int) -> Self:
        """The same run with another seed of the trainings."""
        other = copy(self)
        other.seed = seed
        return other

    @cached_property
    def data(self) -> Path:
        """The data folder; the shipped world is made on first use."""
        if self.profile.data:
            folder = ROOT / self.profile.data  # a relative one is meant from there, wherever a notebook runs
            if not folder.is_dir():
                raise InputError(f"the data folder {self.profile.data} does not exist; give DATA=… or unpack it there.")
            return folder
        world = self.profile.world
        folder = ROOT / "data" / ("synthetic" if world == synthetic.World() else f"synthetic-{hash_of(world)}")
        return synthetic.write_world(folder, world)  # at once if it is there

    def folder(self, kind: str) -> Path:
        """Folder of "images", "videos" or a task below the data folder (of "real", anywhere), or InputError."""
        kind = self.profile.real_video if kind == "fine" else kind
        own = self.profile
        root, names = (ROOT, own.real) if kind == "real" else (self.data, getattr(own.folders, kind))
        for folder in (root / name for name in names):
            if folder.is_dir():
                return folder
        raise InputError(f"{root} has no {kind} folder; it should be called {' or '.join(names)}.")

    def has(self, kind: str) -> bool:
        """Whether this kind of data is at hand: not everyone has real video, parts or poses."""
        if not self.profile.data and kind in (*LEARNED_FROM, *synthetic.LABELLED):
            return True  # of the world, which need not be made to know it
        try:
            self.folder(kind)
        except InputError:
            return False
        return True

    def spatial(self, input: str = "lab", **changes: Any) -> Path:
        """Step-one weights for "lab" or "rgb" input; `changes` are fields of `SpatialSettings`."""
        if self.profile.published.student and input == "lab" and not changes:  # what the student starts from
            return self._published("student")
        settings = self._precise(replace(self.profile.spatial, input=input, seed=self.seed, **changes))
        key = [asdict(settings), self.fingerprint("images"), code_key(train_spatial.__module__)]
        return self.trained(f"step-one-{input}", key, partial(self._spread, train_spatial, settings, Images))

    @property
    def teacher(self) -> Path:
        """Weights of the frozen encoder."""
        if self.profile.published.teacher:
            return self._published("teacher")
        return self.spatial(self.profile.teacher)

    def teacher_of(self, variant: str) -> Path:
        """Weights of a variant's frozen encoder; the oracle needs none, so it has the profile's, which isn't asked."""
        own, which = self.profile.spatial, VARIANTS[variant].teacher
        if which == "longer":
            return self.spatial(self.profile.teacher, steps=LONGER * own.steps)
        if which != "untrained":
            return self.teacher

        def save(out: Path) -> None:
            save_weights(out / "weights.pth", random_encoder(own.depth, own.width, self.seed), input="lab")

        key = [own.depth, own.width, self.seed, code_key(random_encoder.__module__)]
        return self.trained("step-one-untrained", key, save)

    def _published(self, role: str) -> Path:
        """Weights of step one that the profile names, in our own form, which says its colours."""
        name, colours = (getattr(self.profile.published, field) for field in (role, f"{role}_input"))
        key = [file_hash(ROOT / name), colours, code_key(open_weights.__module__)] if (ROOT / name).is_file() else []

        def convert(out: Path) -> None:
            found = open_weights(ROOT / name, input=colours)
            own = self.profile.spatial
            if role == "student" and (found.depth, found.width) != (own.depth, own.width):
                theirs = f"{name} is a ResNet-{found.depth} of width {found.width:g}"
                raise InputError(f"{theirs}; the profile has ResNet-{own.depth} of width {own.width:g}.")
            save_weights(out / "weights.pth", found.encoder(*STANDARD), input=found.input)
            write_json(out / "run.json", {"published": name, "found": found.note})

        return self.trained(f"published-{role}", key, convert)

    def begin(self) -> None:
        """Train what all variants of this seed wait for: step one, the teacher, the weights of the distillations."""
        _ = self.spatial(), self.teacher
        if self.profile.rows == "teacher":
            _ = [self.teacher_of(name) for name in TEACHERS]
        if self.profile.carry_weights:
            self.balance()

    def balance(self) -> dict:
        """How the distillations' weights were carried to this profile's geometry, see `balance.carried_weights`."""
        settings = replace(self.profile.temporal, seed=self.seed)
        initial, teacher = self.spatial(), self.teacher
        key = [asdict(settings), file_hash(initial), file_hash(teacher), self._pairs_key()]
        place = self.out / "balance" / f"seed{self.seed}"
        return computed(place, key, lambda: carried_weights(settings, self.pairs, initial, teacher))

    def settings(self, variant: str, **changes: Any) -> TemporalSettings:
        """Step-two settings of a variant of `VARIANTS`; `changes` are fields of `TemporalSettings`."""
        carried = self.balance()["weights"] if self.profile.carry_weights else None
        settings = variant_settings(self.profile, variant, self.seed, carried, **changes)
        if settings.weight_forget:
            in_place_of, initial = self.settings("full").weight_global, self.spatial()
            key = [asdict(settings), in_place_of, file_hash(initial), self._pairs_key()]
            place = self.out / "balance" / f"forget-seed{self.seed}"
            weight = computed(place, key, lambda: forget_weight(settings, self.pairs, initial, in_place_of))
            settings = replace(settings, weight_forget=weight * settings.weight_forget)
        return self._precise(settings)

    def _precise(self, settings: Any) -> Any:
        """With the precision that "auto" is here, so that the weights' key says it."""
        return replace(settings, precision=chosen_precision(settings.precision, self.profile.scale.device))

    def weights(self, variant: str, **changes: Any) -> Path:
        """Weights of a variant, trained where they are missing; `changes` are fields of `TemporalSettings`."""
        steps = VARIANTS[variant].steps
        if steps == "one":
            return self.spatial()
        settings = self.settings(variant, **changes)
        if steps == "summed":
            return self._one_stage(variant, settings)
        initial = self.spatial() if steps == "both" else None
        teacher = self.teacher_of(variant) if settings.weight_global else initial if settings.weight_forget else None
        kind = OraclePairs if VARIANTS[variant].teacher == "oracle" else FramePairs
        key = [asdict(settings), [path and file_hash(path) for path in (initial, teacher)], self._pairs_key(kind)]
        train = partial(self._spread, train_temporal, settings, kind, initial=initial, teacher=teacher)
        return self.trained(variant, key, train)

    def _one_stage(self, variant: str, temporal: TemporalSettings) -> Path:
        """On one process, in one part, with no fewer steps of either than two steps give."""
        own = self._precise(replace(self.profile.spatial, input="lab", seed=self.seed, shards=1))
        steps = max(own.steps, temporal.steps)
        both = vars(temporal) | {"accumulate": 1, "steps": steps, "spatial": replace(own, steps=steps)}
        settings = OneStageSettings(**both)
        key = [asdict(settings), self.fingerprint("images"), self._pairs_key(), code_key(train_one_stage.__module__)]

        def train(out: Path) -> None:
            data = self.images(settings.spatial.load_size), self.pairs(settings.size)
            origin = {kind: self.fingerprint(kind) for kind in LEARNED_FROM}
            train_one_stage(settings, *data, out, scale=self.profile.scale, origin=origin)

        return self.trained(variant, key, train)

    def images(self, load_size: int) -> Images:
        """The training images, their short side of `load_size` px; kept in memory unless other processes decode."""
        return Images(self.folder("images"), load_size, seed=self.seed, cache=not self.profile.scale.workers)

    def pairs(self, size: int, kind: type[FramePairs] = FramePairs) -> FramePairs:
        """The training pairs at a size in px, kept as `images` are."""
        own, cache = self.profile, not self.profile.scale.workers
        how = {"min_gap": own.min_gap, "max_gap": own.max_gap, "aspect": own.aspect}
        return kind(self.folder("videos"), size=size, **how, seed=self.seed, cache=cache)

    def _spread(self, train: Callable, settings: Any, kind: type, out: Path, **starts: Any) -> None:
        data = self.images(settings.load_size) if kind is Images else self.pairs(settings.size, kind)
        name = "images" if kind is Images else "videos"
        scale, origin = self.profile.scale, {name: self.fingerprint(name)}
        spread(scale.processes, train, settings, data, out, scale=scale, origin=origin, **starts)

    def _pairs_key(self, kind: type[FramePairs] = FramePairs) -> list:
        # The first imports all that trains on pairs.
        code = code_key(carried_weights.__module__, kind.__module__)
        return [self.profile.min_gap, self.profile.max_gap, self.profile.aspect, self.fingerprint("videos"), code]

    def trained(self, name: str, key: list, train: Callable[[Path], Any]) -> Path:
        """The weights in the folder that `key` names, trained if they are missing."""
        profile = self.profile.weights_of or self.profile.profile

        def timed(path: Path) -> None:
            begun = time.perf_counter()
            train(path.parent)
            write_json(path.with_name("seconds.json"), {"seconds": time.perf_counter() - begun})

        return made(self.out.parent / profile / "weights" / f"{name}-seed{self.seed}", key, timed, "/weights.pth")
