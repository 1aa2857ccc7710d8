"""One process or many: the few things that code needs to know of its fellows under `torchrun`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from pydantic import Field
from torch import Tensor
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from stt_core.errors import InputError
from stt_core.settings import checked
from stt_core.signals import Stopped, stopped_by_signals

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


@checked
class Scale:
    """What changes a training's speed and memory, not its result (but for rounding)."""

    processes: int = Field(1, ge=0)  # that are started here for a training, a GPU each; 0 = as many as there are GPUs
    workers: int = Field(0, ge=0)  # that decode, of every process; 0 = itself, and decoded images stay in memory
    compile: bool = False  # torch.compile of the student or the query encoder
    tensorboard: bool = False  # events for TensorBoard beside metrics.csv
    device: Literal["auto", "cuda", "cpu"] = "auto"  # that trains; auto = what there is
    deterministic: bool = False  # on CUDA: slower algorithms that give the same bits each time, where there are some


ALONE = Scale()


def start(precision: str, scale: Scale = ALONE) -> Fabric:
    """Device, precision and, under `torchrun`, the group of processes, each with one device.

    Args:
        precision: as Lightning Fabric names it: "32-true", "bf16-mixed", "16-mixed" (with scaled losses, on CUDA).
        scale: for `device` and `deterministic`.

    Raises:
        InputError: no such device here, 16-mixed without CUDA, or more processes than this machine has GPUs (where it has
            any).
    """
    on_gpu = chosen_device(scale.device) == "cuda"
    accelerator = scale.device  # "auto" may find others, too
    if precision == "16-mixed" and not on_gpu:
        raise InputError("precision 16-mixed needs a GPU; set it to bf16-mixed or 32-true.")
    if on_gpu and scale.deterministic:
        # Warnings for what has no such algorithm: PyTorch names cross-entropy, which step one ends in.
        torch.use_deterministic_algorithms(True, warn_only=True)
    processes, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if processes == 1:
        return Fabric(accelerator=accelerator, devices=1, precision=precision)
    if on_gpu and torch.cuda.device_count() < local:
        raise InputError(f"{local} processes need as many GPUs, but this machine has {torch.cuda.device_count()}.")
    # Buffers aren't broadcast: each process has its own statistics (step one), or all have the same (step two).
    strategy = DDPStrategy(process_group_backend="nccl" if on_gpu else "gloo", forward_sync_buffers=False)
    nodes = processes // local
    fabric = Fabric(accelerator=accelerator, devices=local, num_nodes=nodes, strategy=strategy, precision=precision)
    fabric.launch()
    return fabric


def spread(processes: int, function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """`function(*arguments, **keywords)` in so many new processes on this machine, as `torchrun` would start them.

    One process is this one, and so is every process of a `torchrun` from outside.

    Args:
        processes: 0 = one for every GPU, or one where there is none.
        function: of a module, so that other processes find it; its arguments must be picklable.

    Returns:
        What the first process's call returns.

    Raises:
        InputError: as the function raised it in any of the processes.
        Stopped: by a signal.
    """
    processes = processes or max(1, torch.cuda.device_count())
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return function(*arguments, **keywords)
    with TemporaryDirectory(prefix="stt-") as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
            max_restarts=0, start_method="spawn", run_id="stt", logs_specs=DefaultLogsSpecs(log_dir=logs),
        )  # fmt: skip
        try:
            with stopped_by_signals():  # which gives the handlers back that the launcher leaves in their place
                return elastic_launch(config, _child)(function, arguments, keywords)[0]
        except SignalException as error:  # by now the processes have saved and ended
            raise Stopped(error.sigval) from None
        except ChildFailedError as error:
            kind, _, text = _message(error).partition(": ")
            if kind == InputError.__name__:
                raise InputError(text) from None
            raise


def _message(error: ChildFailedError) -> str:
    """What the first process to fail left in its error file: "kind: text"."""
    left = error.get_first_failure()[1].error_file_data.get("message", "")
    return left.get("message", "") if isinstance(left, dict) else left


def _child(function: Callable, arguments: tuple, keywords: dict) -> Any:
    return function(*arguments, **keywords)


def chosen_device(device: str = "auto") -> str:
    """Of "auto", "cuda" and "cpu": "cuda" or "cpu".

    Raises:
        InputError: another word, or CUDA is asked for where PyTorch finds none.
    """
    if device not in ("auto", "cuda", "cpu"):
        raise InputError(f"there is no device {device!r}; choose auto, cuda or cpu.")
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise InputError(
            "device is cuda, but PyTorch finds no GPU here; choose cpu, or install a driver and a PyTorch built for CUDA."
        )
    return device if device != "auto" else "cuda" if found else "cpu"
