"""How long training steps take on the device at hand: some real ones, by the training functions themselves, on random data."""

import statistics
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stt_core.distributed import Scale
from stt_core.errors import InputError
from stt_core.files import read_json
from stt_core.provenance import processor
from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal
from stt_study.speed.budget import Budget
from stt_study.speed.costs import Cost, random_teacher
from stt_study.study import Study

# Of a measured step on a processor; a larger share of a batch is measured on a part of it. A GPU takes the whole.
MOST_FLOPS = 2e11
MOST_BYTES = 3e9
WARM_UP = 1  # steps that don't count


@dataclass(frozen=True)
class Measured:
    """What steps of a GPU's or a processor's share of a batch took, in this run."""

    device: str
    items: int  # that were measured in a step
    of: int  # items of a whole step
    times: tuple[float, ...]  # s, of every step that was measured
    flops: float  # of a whole step, see `Cost`

    @property
    def seconds(self) -> float:
        """Of a whole step: the median, in proportion to the items."""
        return statistics.median(self.times) * self.of / self.items

    @property
    def rate(self) -> float:
        """FLOP/s that were reached, convolutions and matrix products over all of the time."""
        return self.flops / self.seconds

    def summary(self, steps: int) -> dict[str, float]:
        """As a table's row, with the hours of a training of so many steps."""
        whole = self.of / self.items
        return {
            "items measured": self.items,
            "of": self.of,
            "seconds a step": self.seconds,
            "fastest": min(self.times) * whole,
            "slowest": max(self.times) * whole,
            "hours": steps * self.seconds / 3600,
            "GFLOP/s": self.rate / 1e9,
        }


def measure(
    settings: SpatialSettings | TemporalSettings,
    cost: Cost,
    *,
    steps: int = 5,
    teacher: tuple[int, float] | None = None,
) -> Measured:
    """Time steps of step one or two, augmentation included, reading and decoding not, on one process.

    Args:
        cost: what `costs` counted of them; its items are a whole step.
        steps: that are timed, after one that isn't.
        teacher: depth and width of the frozen encoder; None = the student's.

    Raises:
        InputError: fewer than one step; as `train` does.
    """
    if steps < 1:
        raise InputError(f"{steps} steps can't be measured; give 1 or more.")
    on_gpu = torch.cuda.is_available()
    items = cost.items if on_gpu else fitting(cost)
    run = replace(settings, batch=items, steps=WARM_UP + steps + 1, warmup=0)  # the last one ends the one before
    scale = Scale()
    with TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        if isinstance(settings, SpatialSettings):
            data = RandomItems((3, settings.load_size, settings.load_size), items, settings.queue + items)
            # A smaller batch can't always be divided as the whole one is; with one shard, keys aren't shuffled.
            train_spatial(replace(run, shards=1), data, out, scale=scale)
        else:
            data = RandomItems((2, 3, settings.size, settings.size), items, items)
            path = random_teacher(settings, Path(folder), teacher)
            run = replace(run, accumulate=1)
            train_temporal(run, data, out, initial=None, teacher=path, scale=scale)
    begun = data.begun[WARM_UP:]
    times = tuple(after - before for before, after in pairwise(begun))
    device = torch.cuda.get_device_name() if on_gpu else f"{processor()}, threads: {torch.get_num_threads()}"
    return Measured(device, items, cost.items, times, cost.flops)


def fitting(cost: Cost) -> int:
    """The largest part of a step's items that a processor computes in seconds and little memory, 2 at least."""
    allowed = cost.items * min(1.0, MOST_FLOPS / cost.flops, MOST_BYTES / cost.peak)
    parts = [n for n in range(2, cost.items + 1) if cost.items % n == 0 and n <= allowed]
    return max(parts, default=min(2, cost.items))


class RandomItems(Dataset):
    """One random picture, `length` times; it takes down when a batch begins, since a step asks for its batch first.

    Args:
        shape: of an item, uint8.
        batch: items of a batch.
    """

    def __init__(self, shape: tuple[int, ...], batch: int, length: int) -> None:
        self.item = torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        self.batch, self.length = batch, length
        self.begun: list[float] = []  # s
        self.asked = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, address: tuple[int, int]) -> Tensor:
        if self.asked % self.batch == 0:
            self.begun.append(time.perf_counter())
        self.asked += 1
        return self.item


def beside_trainings(study: Study, steps: int = 5) -> pd.DataFrame:
    """What steps measured now promise for the run's own trainings, and what those took; on one process.

    Returns:
        Rows "step one" and "step two", columns of `Measured.summary`, "promised, s" and "took, s" (missing where that wasn't
        taken down), and "took / promised".
    """
    budget, rows = Budget(study.profile), {}
    for name, job, settings, weights in (
        ("step one", budget.step_one(), study.profile.spatial, study.spatial()),
        ("step two", budget.step_two(), study.profile.temporal, study.weights("full")),
    ):
        found = measure(settings, job.cost, steps=steps, teacher=budget.teacher)
        noted = weights.parent / "seconds.json"
        took = read_json(noted)["seconds"] if noted.exists() else float("nan")
        promised = job.steps * found.seconds
        rows[name] = found.summary(job.steps) | {"promised, s": promised, "took, s": took}
        rows[name]["took / promised"] = took / promised
    return pd.DataFrame.from_dict(rows, orient="index")
