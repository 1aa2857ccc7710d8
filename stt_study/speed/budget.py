"""What a profile asks for before anyone spends a GPU-hour: memory, hours of every training, operations of every benchmark."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from stt_core.checkpoints import open_weights
from stt_core.encoder import Encoder
from stt_core.errors import InputError
from stt_study.profile import Profile
from stt_study.speed.costs import Cost, affinity_flops, frame_ops, one_stage_cost, spatial_cost, temporal_cost
from stt_study.speed.gpus import REACHED, Gpu, seconds
from stt_study.trainings import ROOT
from stt_study.variants import HEADLINE, VARIANTS, variant_settings

# Benchmarks at the sizes that their frames mostly have: (height, width) in px, and frames where they are known.
FRAMES = {"davis": ((480, 854), 1999), "vip": ((560, 560), None), "jhmdb": ((320, 320), None)}
HOUR = 3600  # s


@dataclass(frozen=True)
class Job:
    """A training of a profile."""

    title: str
    cost: Cost  # of a step on one GPU
    steps: int
    gpus: int = 1

    def hours(self, on: Gpu, reached: float) -> float:
        """From start to end, on all its GPUs at once."""
        return self.steps * seconds(self.cost.ops, on, reached) / HOUR


class Budget:
    """The trainings of a profile, spread over GPUs.

    Args:
        gpus: that share every batch.
        rows: "headline" or "all" ways to train; None = the profile's.

    Raises:
        InputError: a number of GPUs or rows that doesn't exist, or a batch that can't be divided.
    """

    def __init__(self, profile: Profile, gpus: int = 1, rows: str | None = None) -> None:
        self.rows = rows or profile.rows
        if self.rows not in ("headline", "all"):
            raise InputError(f"--rows is {self.rows}; give headline or all.")
        if gpus < 1:
            raise InputError(f"--gpus is {gpus}; give 1 or more.")
        self.profile, self.gpus = profile, gpus

    @cached_property
    def teacher(self) -> tuple[int, float]:
        """Depth and width of the frozen encoder: of the published weights if they are there, else step one's own."""
        path, own = self.profile.published.teacher, self.profile.spatial
        if path and (ROOT / path).is_file():
            found = open_weights(ROOT / path, input=self.profile.published.teacher_input)
            return found.depth, found.width
        return own.depth, own.width

    def step_one(self) -> Job:
        """Step one for the student."""
        spatial = self.profile.spatial
        return Job("step one, Lab", spatial_cost(spatial, self.gpus), spatial.steps, self.gpus)

    def step_two(self, variant: str = "full") -> Job:
        """Step two of a variant of `VARIANTS`; both at once for the one that sums them."""
        way = VARIANTS[variant]
        temporal = variant_settings(self.profile, variant, 0, None)
        if way.steps == "summed":
            spatial = replace(self.profile.spatial, shards=1)  # all it can
            return Job(way.title, one_stage_cost(spatial, temporal), max(spatial.steps, temporal.steps))
        own = self.profile.spatial
        teacher = (own.depth, own.width) if temporal.weight_forget else self.teacher
        # Rate and share change no operation: variants that differ in them are counted once.
        alike = replace(temporal, lr=1.0, local=replace(temporal.local, share=0.7))
        cost = temporal_cost(alike, self.gpus, teacher)
        return Job(way.title, cost, temporal.steps, self.gpus)

    def jobs(self) -> list[Job]:
        """Every training of one seed: step one once, for the teacher, too, if it sees other colours; then each way."""
        published, jobs = self.profile.published, []
        if not published.student:
            jobs.append(self.step_one())
        if not published.teacher and self.profile.teacher != "lab":
            jobs.append(replace(self.step_one(), title="step one, RGB, the teacher"))
        names = HEADLINE if self.rows == "headline" else tuple(VARIANTS)
        return jobs + [self.step_two(name) for name in names if VARIANTS[name].steps != "one"]


def step_table(jobs: Iterable[Job]) -> pd.DataFrame:
    """What one step costs one GPU, a row a training; memory in GB (10^9 bytes)."""
    rows = {}
    for job in jobs:
        cost = job.cost
        sizes = {
            "weights": cost.weights,
            "gradients": cost.gradients,
            "optimizer": cost.optimizer,
            "kept for backward": cost.kept,
            "peak": cost.memory,
        }
        step = {
            "items a GPU": cost.items,
            "TFLOP": cost.flops / 1e12,
            "GB moved": sum(op.bytes for op in cost.ops) / 1e9,
        }
        rows[job.title] = {**step, **{f"{name}, GB": size / 1e9 for name, size in sizes.items()}}
    return pd.DataFrame.from_dict(rows, orient="index")


def assumed(reached: tuple[float, float], seeds: int = 1) -> tuple[float, float]:
    """The smaller and the larger share of what is possible.

    Raises:
        InputError: no shares, or no seeds.
    """
    if seeds < 1:
        raise InputError(f"--seeds is {seeds}; give 1 or more.")
    slow, fast = sorted(reached)
    if not 0 < slow <= fast <= 1:
        raise InputError(f"--reached is {reached[0]:g} {reached[1]:g}; give two shares above 0 and at most 1.")
    return slow, fast


def time_table(jobs: Iterable[Job], on: Gpu, seeds: int = 1, reached: tuple[float, float] = REACHED) -> pd.DataFrame:
    """Hours of every training, from the faster estimate to the slower one; the last row adds all up.

    Columns: "steps"; "ms a step", "hours" and "GPU-hours", each as "… from" and "… to"; "of 16-bit peak", the share of the
    peak arithmetic rate that the slower estimate means. GPU-hours are of all seeds.
    """
    slow, fast = assumed(reached, seeds)
    rows = []
    for job in jobs:
        row = {"training": job.title, "steps": job.steps}
        for end, part in (("from", fast), ("to", slow)):
            time = seconds(job.cost.ops, on, part)
            row |= {f"ms a step {end}": 1e3 * time, f"hours {end}": job.hours(on, part)}
            row |= {f"GPU-hours {end}": seeds * job.gpus * job.hours(on, part)}
            row |= {f"of 16-bit peak {end}": job.cost.flops / time / (on.half * 1e12)}
        rows.append(row)
    table = pd.DataFrame(rows).set_index("training")
    total = table[["GPU-hours from", "GPU-hours to"]].sum()
    return pd.concat([table, total.to_frame("together").T])


def evaluation_table(profile: Profile, on: Gpu, reached: tuple[float, float] = REACHED) -> pd.DataFrame:
    """What label propagation costs a frame of each benchmark, in 32 bits, at the profile's settings.

    Columns: "px", "GFLOP, features", "GFLOP, affinity" (exact windows; tiles compute more), "frames" of the whole
    benchmark where their number is known, and seconds of those "from" and "to": arithmetic alone, without reading and scoring.
    """
    own, rows = profile.spatial, {}
    stride = profile.evaluation.stride
    channels = Encoder(own.depth, own.width).out_channels["res4"]
    for task, (size, frames) in FRAMES.items():
        inference = getattr(profile.evaluation, task)
        height, width = _resized(size, inference.resize)
        ops = frame_ops(height, width, stride, own.depth, own.width)
        cells = (-(-height // stride), -(-width // stride))
        affinity = affinity_flops(*cells, channels, inference)
        least = sum(op.flops for op in ops) + affinity
        times = [least * (frames or float("nan")) / (on.single * 1e12) / part for part in sorted(reached, reverse=True)]
        rows[task] = {
            "px": f"{height} x {width}",
            "GFLOP, features": sum(op.flops for op in ops) / 1e9,
            "GFLOP, affinity": affinity / 1e9,
            "frames": frames,
            "seconds from": times[0],
            "seconds to": times[1],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def over_gpus(profile: Profile, counts: Iterable[int]) -> pd.DataFrame:
    """Both steps on one GPU to many, one row each: "step", "gpus", "items" a GPU, "GB", and the "job"."""
    rows = []
    for gpus in counts:
        budget = Budget(profile, gpus)
        for step, job in (("step one", budget.step_one()), ("step two", budget.step_two())):
            size = {"items": job.cost.items, "GB": job.cost.memory / 1e9}
            rows.append({"step": step, "gpus": gpus, **size, "job": job})
    return pd.DataFrame(rows)


def as_ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Columns "… from" and "… to" as one of text, such as "1.2 to 2.4"."""
    table = table.copy()
    for name in [column.removesuffix(" from") for column in table if column.endswith(" from")]:
        place = list(table).index(f"{name} from")
        low, high = table.pop(f"{name} from"), table.pop(f"{name} to")
        form = (lambda v: f"{v:.0%}") if "peak" in name else brief
        text = [
            "" if pd.isna(a) else " to ".join(dict.fromkeys((form(min(a, b)), form(max(a, b)))))
            for a, b in zip(low, high, strict=True)
        ]
        table.insert(place, name, text)
    return table


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as `brief` text; missing ones are empty."""
    return table.map(lambda v: v if isinstance(v, str) else "" if pd.isna(v) else brief(v))


def brief(value: float) -> str:
    """A number with three digits that count, or as many as its whole part has."""
    decimals = 0 if value == int(value) else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def _resized(size: tuple[int, int], to: int | tuple[int, int] | None) -> tuple[int, int]:
    if isinstance(to, tuple):
        return to
    factor = to / min(size) if to else 1.0
    return round(size[0] * factor), round(size[1] * factor)
