"""What both training loops share: learning rates and batches."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from stt_core import distributed as processes
from stt_core.errors import InputError
from stt_core.signals import pass_over_signals

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision of every run


def cosine_rate(step: int, *, lr: float, steps: int, warmup: int = 0) -> float:
    """Learning rate at `step`: a cosine from `lr` at step 0 to a thousandth of it at the end (paper section 2).

    During the warm-up it is multiplied by what rises linearly from a thousandth to 1 (released code).
    """
    floor = 1e-3
    rate = lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps)))
    return rate * (1 - (1 - step / warmup) * (1 - floor)) if step < warmup else rate


def check_division(batch: int, number: int, name: str) -> None:
    if batch % number:
        raise InputError(f"a batch of {batch} can't be divided by {number} ({name}); choose another batch or number.")


def batches_of(dataset: Any, settings: Any, start: int, workers: int, parts: int = 1) -> DataLoader:
    share = {"rank": processes.rank(), "ranks": processes.count(), "parts": parts}
    sampler = EpochBatches(len(dataset), settings.batch, settings.steps, start=start, seed=settings.seed, **share)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=pass_over_signals,
    )


class EpochBatches(Sampler):
    """Batches of (epoch, index), `steps` of them: every epoch its own permutation, its last, short batch left out.

    A sampler that starts at step n yields what one that starts at 0 yields from its n-th batch on. A batch larger than
    the data set of `length` items wraps around. It is cut into `parts`, one after another, and each of them is shared
    among the processes, of which this one is `rank` of `ranks`.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        steps: int,
        *,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        parts: int = 1,
    ) -> None:
        self.length, self.batch_size, self.steps, self.start, self.seed = length, batch_size, steps, start, seed
        # (parts, ranks, items) -> this process's places in a batch
        self.own = np.arange(batch_size).reshape(parts, ranks, -1)[:, rank].ravel()

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        per_epoch = max(1, self.length // self.batch_size)
        order, ordered = np.empty(0, int), -1
        for step in range(self.start, self.steps):
            epoch, batch = divmod(step, per_epoch)
            if epoch != ordered:
                order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
                order, ordered = np.resize(order, max(self.length, self.batch_size)), epoch
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size][self.own]
            yield [(epoch, int(index)) for index in chosen]
