"""What a training costs on the device at hand: some real steps are timed, on random data and with a random teacher."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from stt_core.distributed import ALONE, Scale, chosen_device
from stt_core.encoder import STANDARD, Encoder, random_encoder
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal

Settings = SpatialSettings | TemporalSettings
MOST = 2e11  # operations of a measured step on a processor: seconds. Of a larger step, a part of the batch is measured.
WARM_UP, STEPS = 1, 5  # steps that don't count, and that do


def operations(loss: Callable[[], Tensor]) -> int:
    """Operations, of a loss's convolutions and matrix products and their gradients (a sum is one, too); none is run."""
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        loss().backward()
    return counter.get_total_flops()


def step_operations(settings: Settings) -> int:
    """Operations of a training step on the whole batch, without random crops and colours and the optimizer."""
    size = (3, settings.size, settings.size)
    with torch.random.fork_rng(devices=[]):
        if isinstance(settings, SpatialSettings):
            moco = MoCo(replace(settings, shards=1))
            moco.augment = nn.Identity()
            return operations(lambda: moco(torch.empty(settings.batch, *size, dtype=torch.uint8))[0])
        model = SpatialThenTemporal(settings, teacher=_random_teacher(settings)).train()
        batch = (settings.batch, 2, *size)
        return operations(lambda: sum(model(torch.empty(batch, dtype=torch.uint8), channel=1).values()))


def training_cost(settings: Settings, scale: Scale = ALONE) -> dict[str, float]:
    """Costs of one of the training's processes; of a step's operations, the share "measured" was timed."""
    processes = scale.processes or max(1, torch.cuda.device_count())
    on_gpu = chosen_device(scale.device) == "cuda"
    whole = step_operations(settings) / processes
    part = 1 / processes if on_gpu else min(1, MOST / whole) / processes
    run = settings if part == 1 else _smaller(settings, part)
    measured = whole if part == 1 else step_operations(run)
    run = replace(run, steps=WARM_UP + STEPS + 1, warmup=0)  # the last one ends the one before
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    times = _times(run, replace(scale, processes=1, workers=0, tensorboard=False))[WARM_UP:]
    seconds, fastest, slowest = (f(times) * whole / measured for f in (statistics.median, min, max))
    return {
        "TFLOP a step": whole / 1e12,
        "measured": measured / whole,
        "seconds a step": seconds,
        "fastest": fastest,
        "slowest": slowest,
        "GFLOP/s": whole / seconds / 1e9,
        "peak, GB": torch.cuda.max_memory_allocated() / 1e9 if on_gpu else math.nan,
        "steps": settings.steps,
        "hours": settings.steps * seconds / 3600,
    }


class RandomItems(Dataset):
    """A random image or pair, as often as asked; it notes when, and a step asks for its batch first."""

    def __init__(self, settings: Settings) -> None:
        one = isinstance(settings, SpatialSettings)
        shape = (3, settings.load_size, settings.load_size) if one else (2, 3, settings.size, settings.size)
        self.item = torch.randint(256, shape, dtype=torch.uint8)
        self.length = settings.batch + (settings.queue if one else 0)
        self.asked: list[float] = []  # s

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, address: tuple[int, int]) -> Tensor:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.asked.append(time.perf_counter())
        return self.item


def _times(settings: Settings, scale: Scale) -> list[float]:
    """Seconds of all steps but the last, in the training function itself."""
    data = RandomItems(settings)
    with TemporaryDirectory() as out:
        if isinstance(settings, SpatialSettings):
            train_spatial(settings, data, out, scale=scale)
        else:
            train_temporal(settings, data, out, initial=None, teacher=_random_teacher(settings), scale=scale)
    return [after - before for before, after in pairwise(data.asked[:: settings.batch])]


def _random_teacher(settings: TemporalSettings) -> Encoder:
    return random_encoder(settings.depth, settings.width, strides=STANDARD[0], pool=STANDARD[1])


def _smaller(settings: Settings, part: float) -> Settings:
    """The same with a part of the batch, divided as far as it can be."""
    batch = max(2, round(part * settings.batch))
    if isinstance(settings, SpatialSettings):
        return replace(settings, batch=batch, shards=math.gcd(batch, max(1, round(part * settings.shards))))
    return replace(settings, batch=batch, accumulate=math.gcd(batch, settings.accumulate))
