"""The two training loops, one visible loop each: resumable, logged, whole checkpoints."""

import csv
import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader
from tqdm import tqdm

from stt_core.files import InputError, written_whole
from stt_core.resnet import Encoder
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training_data import EpochBatches, FramePairs, Images
from stt_core.weights import save_weights

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision of every run


def cosine_rate(step: int, *, lr: float, steps: int, warmup: int = 0, floor: float = 1e-3) -> float:
    """Learning rate at `step`: linear warm-up, then a cosine from `lr` to `floor * lr` (paper section 2)."""
    if step < warmup:
        return lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def train_spatial(
    settings: SpatialSettings, images: Images, out: str | Path, *, workers: int = 0, save_every: int = 100
) -> Path:
    """Step one: train MoCo on `images`; write `weights.pth`, `metrics.csv` and (while running) `checkpoint.pt` in `out`.

    A run that was stopped goes on from its last checkpoint and ends with the same weights.

    Returns:
        The path of `weights.pth`: the query encoder, torchvision's names.

    Raises:
        InputError: the queue is longer than an epoch (at the border of two, some of an image's own keys remain in it), a checkpoint is broken or of other settings, or
            the loss is not finite.
    """
    if settings.queue + settings.batch > len(images):
        raise InputError(
            f"a queue of {settings.queue} and a batch of {settings.batch} hold more keys than there are images "
            f"({len(images)}), which would be their own negatives; choose a smaller queue or batch."
        )
    fabric = Fabric(accelerator="auto", devices=1, precision=settings.precision)
    torch.manual_seed(settings.seed)
    model = MoCo(settings)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        settings.lr,
        momentum=0.9,
        weight_decay=settings.weight_decay,
    )
    run = Run(Path(out), settings, model, optimizer, save_every)
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    for step, batch in run.steps(_batches(images, settings, run.start, workers)):
        rate = set_rate(optimizer, step, settings)
        loss, accuracy = model(batch.to(fabric.device))
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        run.log(step, loss=loss.item(), accuracy=accuracy.item(), lr=rate)
    return run.finish(model.encoder_q, settings.input)


def train_temporal(
    settings: TemporalSettings,
    pairs: FramePairs,
    out: str | Path,
    *,
    initial: str | Path | None,
    teacher: str | Path | None,
    workers: int = 0,
    save_every: int = 50,
) -> Path:
    """Step two: train on frame pairs; files as in `train_spatial`.

    Args:
        initial: weights the student starts from; None = from scratch.
        teacher: weights of the frozen encoder; None is allowed where the global weight is 0.

    Returns:
        The path of `weights.pth`: the student, torchvision's names.
    """
    fabric = Fabric(accelerator="auto", devices=1, precision=settings.precision)
    torch.manual_seed(settings.seed)
    model = SpatialThenTemporal(settings, initial, teacher)
    optimizer = torch.optim.Adam(model.student.parameters(), settings.lr, betas=(0.9, 0.999))
    run = Run(Path(out), settings, model, optimizer, save_every)
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    for step, batch in run.steps(_batches(pairs, settings, run.start, workers)):
        rate = set_rate(optimizer, step, settings)
        channel = 1 + int(torch.randint(2, ()))  # a or b, one for the whole batch
        losses = model(batch.to(fabric.device), channel)
        loss = sum(losses.values())
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        run.log(step, loss=loss.item(), **{name: value.item() for name, value in losses.items()}, lr=rate)
    return run.finish(model.student, "lab")


def set_rate(optimizer: torch.optim.Optimizer, step: int, settings: Any) -> float:
    """Set every group's learning rate for `step` and return it."""
    rate = cosine_rate(step, lr=settings.lr, steps=settings.steps, warmup=settings.warmup)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _batches(dataset: Images | FramePairs, settings: Any, start: int, workers: int) -> DataLoader:
    if len(dataset) == 0:
        raise InputError("the training set is empty.")
    sampler = EpochBatches(len(dataset), settings.batch, settings.steps, start=start, seed=settings.seed)
    return DataLoader(dataset, batch_sampler=sampler, num_workers=workers, pin_memory=torch.cuda.is_available())


class Run:
    """A training run's folder: where it starts, what it logs, what it leaves."""

    def __init__(self, out: Path, settings: Any, model: torch.nn.Module, optimizer: Any, save_every: int) -> None:
        self.out, self.settings, self.model, self.optimizer = out, settings, model, optimizer
        self.save_every, self.start, self.rows, self.seconds = save_every, 0, [], 0.0
        self.checkpoint = out / "checkpoint.pt"
        out.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._restore()

    def _restore(self) -> None:
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"{self.checkpoint} cannot be read ({error}); delete it to start this run anew.") from None
        if state["settings"] != asdict(self.settings):
            raise InputError(f"{self.checkpoint} is of a run with other settings; delete it or choose another --out.")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.start, self.rows, self.seconds = state["step"], state["rows"], state["seconds"]

    def steps(self, batches: Iterable) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield (step, batch) with progress; checkpoint after every `save_every` steps that were run."""
        self.model.train()
        begun, before = time.perf_counter(), self.seconds
        bar = tqdm(batches, initial=self.start, total=self.settings.steps, desc=self.out.name, disable=None)
        for step, batch in enumerate(bar, start=self.start):
            # Reseeded at every step, so that a resumed run draws what an uninterrupted one would.
            torch.manual_seed(self.settings.seed * 1_000_003 + step)
            yield step, batch
            self.seconds = before + time.perf_counter() - begun
            bar.set_postfix(loss=f"{self.rows[-1]['loss']:.3f}")
            if (step + 1) % self.save_every == 0:
                self.save(step + 1)

    def log(self, step: int, **values: float) -> None:
        if not math.isfinite(values["loss"]):
            raise InputError(
                f"{self.out}: the loss is {values['loss']} at step {step}; lower lr or use precision 32-true."
            )
        self.rows.append({"step": step, **values})

    def save(self, step: int) -> None:
        state = {
            "step": step,
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rows": self.rows,
            "seconds": self.seconds,
        }
        with written_whole(self.checkpoint) as temporary:
            torch.save(state, temporary)
        self.write_metrics()

    def write_metrics(self) -> None:
        with written_whole(self.out / "metrics.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def finish(self, encoder: Encoder, input: str) -> Path:
        """Write metrics and weights, drop the checkpoint, return the weights' path."""
        self.write_metrics()
        path = self.out / "weights.pth"
        save_weights(path, encoder, input=input)
        self.checkpoint.unlink(missing_ok=True)
        return path
