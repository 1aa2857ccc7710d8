"""Batch statistics where a batch is cut: over processes, or into parts.

Normalising by a batch's own statistics makes a result depend on how the batch is cut. So what is cut, and what is put
together again, is said here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stt_core.distributed import SumOverProcesses, averaged, count


class SplitNorm(nn.BatchNorm2d):
    """Batch normalisation of a batch's parts, each by its own statistics, as if each were on a process of its own."""

    parts = 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same; running statistics take in the mean of the parts'."""
        if not self.training:
            return super().forward(x)
        done = []
        for index, part in enumerate(x.chunk(self.parts)):
            with part_of_batch(self, index, self.parts):
                done.append(super().forward(part))
        return torch.cat(done)


def split_norms(module: nn.Module, parts: int) -> None:
    """Let every batch normalisation in a module see a batch in so many parts; one part changes nothing."""
    for norm in norms(module) if parts > 1 else ():
        norm.__class__ = SplitNorm
        norm.parts = parts


def norms(module: nn.Module) -> list[_BatchNorm]:
    """Every batch normalisation in a module."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


class SyncedNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of all processes' batches, on any device; PyTorch's own needs a GPU.

    Every process must have a batch of the same size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) of x's type; statistics in that of the weights."""
        if not self.training or count() == 1:
            return super().forward(x)
        # In two passes: a mean of squares minus a squared mean would lose digits.
        values, over = x.to(self.weight.dtype), (0, 2, 3)
        number = values[:, 0].numel() * count()
        mean = SumOverProcesses.apply(values.sum(over)) / number  # (C)
        centred = values - mean[:, None, None]
        variance = SumOverProcesses.apply(centred.square().sum(over)) / number  # (C)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)  # kept unbiased, as PyTorch does
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def synchronise(module: nn.Module, device: torch.device) -> None:
    """Let every batch normalisation in a module take its statistics from all processes; one process: nothing to do."""
    if count() == 1:
        return
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                new = nn.SyncBatchNorm if device.type == "cuda" else SyncedNorm
                synced = new(child.num_features, child.eps, child.momentum)
                synced._parameters, synced._buffers = child._parameters, child._buffers  # the same tensors
                setattr(parent, name, synced)


def average_statistics(module: nn.Module) -> None:
    """Make every process's running statistics their mean over processes.

    They are running means of what each process saw, so this is the running mean of what all saw.
    """
    for norm in norms(module):
        if not norm.training:
            continue  # a frozen teacher's
        norm.running_mean.copy_(averaged(norm.running_mean))
        norm.running_var.copy_(averaged(norm.running_var))


@contextmanager
def part_of_batch(module: nn.Module, index: int, parts: int) -> Iterator[None]:
    """Within, running statistics take in part `index` of a batch so that after all parts they have taken in the mean.

    With momentum m, a batch moves a running value r to (1 - m) r + m s. Parts with statistics s_0, s_1, … are to move
    it to (1 - m) r + m mean(s_i). Taken one by one, part i has to come in with the weight (m / n) / (1 - m + m (i + 1) / n).
    """
    if parts == 1:
        yield
        return
    usual = [(norm, norm.momentum) for norm in norms(module)]
    for norm, m in usual:
        norm.momentum = (m / parts) / (1 - m + m * (index + 1) / parts)
    try:
        yield
    finally:
        for norm, m in usual:
            norm.momentum = m
