"""One process or many: the few things that code needs to know of its fellows under `torchrun`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=12)  # that one process waits for another: sequences of a benchmark differ in length


def count() -> int:
    """Processes that work together; 1 outside of `torchrun`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among them, 0 to count - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        dist.barrier()


@torch.no_grad()
def gathered(own: Tensor) -> Tensor:
    """Every process's tensors (B, ...), one after another: (count B, ...), without gradient."""
    if count() == 1:
        return own
    parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(count())]
    dist.all_gather(parts, own.contiguous())
    return torch.cat(parts)


@torch.no_grad()
def averaged(values: Tensor) -> Tensor:
    """Mean over processes of a floating-point tensor of one shape everywhere, without gradient."""
    if count() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / count()


class SumOverProcesses(torch.autograd.Function):
    """Sum over processes of a tensor; so is its gradient, since every process's loss depends on every summand."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


@contextmanager
def together() -> Iterator[None]:
    """Join the processes of `torchrun` for work that shares files, not gradients; nothing happens outside of it."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
