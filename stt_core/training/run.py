"""A training run and its folder: resuming, logs, checkpoints, weights."""

import csv
import math
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from stt_core import distributed as processes
from stt_core.checkpoints import save_weights
from stt_core.distributed import average_statistics
from stt_core.encoder import Encoder
from stt_core.errors import InputError
from stt_core.files import clear_unfinished, write_json, write_tensors, written_whole
from stt_core.provenance import provenance
from stt_core.signals import Stopped, asked_to_stop
from stt_core.training.loop import cosine_rate


class Run:
    """One training: its steps, resumed if there is a checkpoint, and its files, which the first process writes.

    They are `metrics.csv` (a row a step), `run.json` (settings, and what each session ran with: commit, versions,
    machine, processes, data), `weights.pth` at the end and, until then, `checkpoint.pt`. Model and optimizer are given
    before they are wrapped for several processes, as they are saved. InputError for a checkpoint that is broken or of
    other settings (a frozen dataclass), or without TensorBoard where events are wanted.
    """

    def __init__(
        self,
        out: Path,
        settings: Any,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        fabric: Fabric,
        save_every: int,
        *,
        origin: dict | None = None,
        tensorboard: bool = False,
    ) -> None:
        self.out, self.settings, self.model, self.optimizer, self.fabric = out, settings, model, optimizer, fabric
        self.save_every, self.start, self.seconds, self.stop = save_every, 0, 0.0, 0
        self.rows: list[dict] = []
        self.sessions: list[dict] = []
        self.checkpoint = out / "checkpoint.pt"
        precision = fabric.strategy.precision  # the scale of 16-bit losses
        self.parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "precision": precision}
        self.writes = processes.rank() == 0
        out.mkdir(parents=True, exist_ok=True)
        # Before a checkpoint is loaded: the optimizer's state follows the weights' type and device then, not later.
        precision.convert_module(model).to(fabric.device)
        if self.checkpoint.exists():
            self._restore()
        if self.writes:  # a killed run may have been writing
            for path in (self.checkpoint, out / "weights.pth", out / "metrics.csv", out / "run.json"):
                clear_unfinished(path)
        ran = {"processes": processes.count(), "threads": torch.get_num_threads(), "data": origin or {}}
        self.sessions.append({"from step": self.start, **provenance(), **ran})
        self.events = _events(out, self.start) if tensorboard and self.writes else None

    def _restore(self) -> None:
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            if state["settings"] != asdict(self.settings):
                raise InputError(f"{self.checkpoint} is from other settings; delete it or choose another --out.")
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            self.start, self.rows = int(state["step"]), list(state["rows"])
            self.seconds, self.sessions = float(state["seconds"]), list(state["sessions"])
        except (InputError, MemoryError):
            raise
        except Exception as error:  # broken bytes raise nearly every kind
            if isinstance(error, OSError) and error.filename is not None:
                raise  # of the disk, not of what the file holds
            kind = type(error).__name__
            raise InputError(f"{self.checkpoint} cannot be read ({kind}); delete it to start this run anew.") from None

    def steps(self, batches: Iterable) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield (step, batch) at each step's learning rate; checkpoint after every `save_every` steps that were run.

        On SIGTERM or Ctrl-C the current step is finished and saved before `Stopped` is raised.
        """
        self.model.train()
        begun, before, total = time.perf_counter(), self.seconds, self.settings.steps
        hidden = None if self.writes else True  # None: shown on a terminal
        bar = tqdm(batches, initial=self.start, total=total, desc=self.out.name, disable=hidden)
        with asked_to_stop() as self.asked:
            for step, batch in enumerate(bar, start=self.start):
                # Reseeded at every step, so that a resumed run draws what an uninterrupted one would.
                torch.manual_seed(self.settings.seed * 1_000_003 + step)
                rate = cosine_rate(step, lr=self.settings.lr, steps=total, warmup=self.settings.warmup)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                yield step, batch
                done, self.seconds = step + 1, before + time.perf_counter() - begun
                bar.set_postfix(loss=f"{self.rows[-1]['loss']:.3f}")
                stop = self.stop and done < total
                if stop or done % self.save_every == 0:
                    self.save()
                if stop:
                    bar.close()
                    raise Stopped(self.stop, f"stopped after {done} of {total} steps")

    def log(self, step: int, **values: torch.Tensor) -> None:
        """Record a step's scalars (of this process's share; their mean over processes) and learning rate."""
        values = {name: value.detach().float() for name, value in values.items()}
        self.stop = self.asked.number
        if processes.count() > 1:
            # A signal may reach one process a step before the others: all stop where the first has heard of it.
            stop = torch.tensor(float(self.stop), device=self.fabric.device)
            *means, stop = processes.averaged(torch.stack([*values.values(), stop]))
            values, self.stop = dict(zip(values, means, strict=True)), (self.stop or signal.SIGTERM) if stop else 0
        row = {name: value.item() for name, value in values.items()}
        if not math.isfinite(row["loss"]):
            said = f"the loss is {row['loss']} at step {step}"
            raise InputError(f"{self.out}: {said}; lower lr or use precision 32-true.")
        row["lr"] = self.optimizer.param_groups[0]["lr"]
        self.rows.append({"step": step, **row})
        if self.events:
            for name, value in row.items():
                self.events.add_scalar(name, value, step)

    def save(self) -> None:
        """Write `metrics.csv`, `run.json` and a checkpoint from which the run can be resumed."""
        average_statistics(self.model)
        if not self.writes:
            return
        record = {"settings": asdict(self.settings), "step": len(self.rows)}
        record |= {"seconds": self.seconds, "sessions": self.sessions}
        state = {name: part.state_dict() for name, part in self.parts.items()}
        write_tensors(self.checkpoint, {**record, **state, "rows": self.rows})
        with written_whole(self.out / "metrics.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        write_json(self.out / "run.json", record)
        if self.events:
            self.events.flush()

    def finish(self, encoder: Encoder, input: str) -> Path:
        """Save, write the weights, delete the checkpoint; return the path of the weights."""
        self.save()
        path = self.out / "weights.pth"
        if self.writes:
            save_weights(path, encoder, input=input)
            self.checkpoint.unlink(missing_ok=True)
        processes.wait()
        return path


def _events(out: Path, start: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("TensorBoard isn't installed: pip install 'stt-core[logs]', or set tensorboard off.") from None
    return SummaryWriter(str(out / "events"), purge_step=start)  # what a killed run logged beyond start is dropped
