"""Several processes: started on this machine for a training, or joined under `torchrun` for work that shares files."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from stt_core.errors import InputError
from stt_core.signals import Stopped, stopped_by_signals

PATIENCE = timedelta(hours=12)  # that one process waits for another: sequences of a benchmark differ in length


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


def spread(processes: int, function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """What `function(*arguments, **keywords)` returns in the first of so many processes, as `torchrun` starts them.

    One process is this one, as in a `torchrun` from outside; 0 = one for every GPU. Raises any's InputError.
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
            said: Any = error.get_first_failure()[1].message  # of an exception, a dict with "kind: text"
            kind, _, text = (said["message"] if isinstance(said, dict) else said).partition(": ")
            if kind == InputError.__name__:
                raise InputError(text) from None
            raise


def _child(function: Callable, arguments: tuple, keywords: dict) -> Any:
    return function(*arguments, **keywords)
