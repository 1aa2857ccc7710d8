"""Training on one process or many: communication under `torchrun`, device, precision, and batch statistics."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from pydantic import Field
from torch import Tensor, nn
from torch.distributed._functional_collectives import all_gather_single_autograd
from torch.nn.modules.batchnorm import _BatchNorm

from stt_core.errors import InputError
from stt_core.settings import Chosen, Precision, checked


def count() -> int:
    """Number of processes that work together; 1 outside of `torchrun`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among them, 0 to count - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def wait() -> None:
    """Wait until every process has come to this point."""
    if count() > 1:
        dist.barrier()


@torch.no_grad()
def gathered(own: Tensor) -> Tensor:
    """Concatenate the tensors (B, ...) of all processes: (count B, ...), without gradient."""
    if count() == 1:
        return own
    parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(count())]
    dist.all_gather(parts, own.contiguous())
    return torch.cat(parts)


@torch.no_grad()
def averaged(values: Tensor) -> Tensor:
    """Mean over processes of a floating-point tensor that has the same shape in each, without gradient."""
    if count() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / count()


@checked
class Scale:
    """Settings of a training's speed and memory; they do not change its result, except for rounding."""

    processes: int = Field(1, ge=0)  #: that are started here for a training, a GPU each; 0 = as many as there are GPUs
    workers: int = Field(0, ge=0)  #: that decode, of every process; 0 = itself, and decoded images stay in memory
    compile: bool = False  #: torch.compile of the student or the query encoder
    tensorboard: bool = False  #: events for TensorBoard beside metrics.csv
    device: Literal["auto", "cuda", "cpu"] = "auto"  #: that trains; auto = what there is
    deterministic: bool = False  #: slower algorithms of CUDA that give the same bits each time, where there are some


ALONE = Scale()


def start(precision: Precision, scale: Scale = ALONE) -> Fabric:
    """Set up device, precision and, under `torchrun`, the group of processes, each with one device.

    InputError for a device that isn't here, 16-mixed without CUDA, or more processes than GPUs where there are any.
    """
    on_gpu = chosen_device(scale.device) == "cuda"
    accelerator, own = scale.device, chosen_precision(precision, scale.device)  # "auto" may find others, too
    if own == "16-mixed" and not on_gpu:
        raise InputError("precision 16-mixed needs a GPU; set it to bf16-mixed or 32-true.")
    if on_gpu and scale.deterministic:
        # Warnings for what has no such algorithm: PyTorch names cross-entropy, which step one ends in.
        torch.use_deterministic_algorithms(True, warn_only=True)
    processes, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if processes == 1:
        return Fabric(accelerator=accelerator, devices=1, precision=own)
    if on_gpu and torch.cuda.device_count() < local:
        raise InputError(f"{local} processes need as many GPUs, but this machine has {torch.cuda.device_count()}.")
    # Buffers aren't broadcast: each process has its own statistics (step one), or all have the same (step two).
    strategy = DDPStrategy(process_group_backend="nccl" if on_gpu else "gloo", forward_sync_buffers=False)
    nodes = processes // local
    fabric = Fabric(accelerator=accelerator, devices=local, num_nodes=nodes, strategy=strategy, precision=own)
    fabric.launch()
    return fabric


def chosen_device(device: str = "auto") -> str:
    """Resolve a setting that may be "auto" to "cuda" or "cpu"; InputError for CUDA where PyTorch finds none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but PyTorch finds no GPU here; choose cpu, or install PyTorch for CUDA.")
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def chosen_precision(precision: Precision, device: str = "auto") -> Chosen:
    """Resolve "auto": bf16-mixed on a device with units for its products, else 32-true; others are unchanged.

    Without AMX, processors take longer in bfloat16 than in float32, even those with instructions for it. The device is
    asked what it has, not timed: a result must not depend on what else ran in that second.
    """
    if precision != "auto":
        return precision
    if chosen_device(device) == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu.get_capabilities().get("amx_bf16", False)
    return "bf16-mixed" if fast else "32-true"


def norms(module: nn.Module) -> list[Any]:
    """Every batch normalisation in a module."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


@contextmanager
def part_of_batch(module: nn.Module, index: int, parts: int) -> Iterator[None]:
    """In the block, running statistics take in part `index` of a batch; after all parts they have taken in the mean.

    With momentum m, a batch moves a running value r to (1 - m) r + m s. Parts with statistics s_0, s_1, … are to move
    it to (1 - m) r + m mean(s_i). Taken one by one, part i has to come in with (m / n) / (1 - m + m (i + 1) / n).
    """
    usual = [(norm, norm.momentum) for norm in norms(module)]
    for norm, m in usual:
        norm.momentum = (m / parts) / (1 - m + m * (index + 1) / parts)
    try:
        yield
    finally:
        for norm, m in usual:
            norm.momentum = m


class SplitNorm(nn.BatchNorm2d):
    """Batch normalisation of each part of a batch by its own statistics, as if each part were on its own process."""

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
    """Make every batch normalisation in a module treat a batch in this many parts; one part changes nothing."""
    for norm in norms(module) if parts > 1 else ():
        norm.__class__ = SplitNorm
        norm.parts = parts


class SyncedNorm(nn.BatchNorm2d):
    """Batch normalisation by the batch of all processes, gathered in each process; PyTorch's needs a GPU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        if not self.training or count() == 1:
            return super().forward(x)
        everyone = all_gather_single_autograd(x.contiguous(), 0, dist.group.WORLD)  # type: ignore[arg-type]
        return super().forward(everyone)[rank() * len(x) : (rank() + 1) * len(x)]


def synchronise(module: nn.Module, device: torch.device) -> None:
    """Make every batch normalisation in a module take its statistics from all processes."""
    if count() > 1 and device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
    elif count() > 1:
        for norm in norms(module):
            norm.__class__ = SyncedNorm


def average_statistics(module: nn.Module) -> None:
    """Average running statistics over processes, but for those of a frozen teacher."""
    for norm in norms(module):
        if norm.training:
            norm.running_mean.copy_(averaged(norm.running_mean))
            norm.running_var.copy_(averaged(norm.running_var))
