"""The two training loops, one visible loop each: resumable, logged, on one process or many."""

import logging
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from stt_core import processes
from stt_core.files import InputError
from stt_core.norms import part_of_batch, synchronise
from stt_core.out_of_memory import TRAINING, out_of_memory
from stt_core.recompute import recompute
from stt_core.scale import ALONE, Scale, start
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.stopping import pass_over_signals
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training_data import EpochBatches, FramePairs, Images
from stt_core.training_run import Run

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision of every run


def cosine_rate(step: int, *, lr: float, steps: int, warmup: int = 0, floor: float = 1e-3) -> float:
    """Learning rate at `step`: linear warm-up, then a cosine from `lr` to `floor * lr` (paper section 2)."""
    if step < warmup:
        return lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


@out_of_memory(TRAINING.format(step="spatial"))
def train_spatial(
    settings: SpatialSettings,
    images: Images,
    out: str | Path,
    *,
    scale: Scale = ALONE,
    save_every: int = 100,
    origin: dict | None = None,
) -> Path:
    """Step one: train MoCo on `images`; write `weights.pth`, `metrics.csv`, `run.json` and, while running, `checkpoint.pt`.

    A run that was stopped goes on from its last checkpoint and ends with the same weights. So does, but for rounding,
    one on another number of processes, since batch statistics and shuffled keys belong to the settings' `shards`.

    Args:
        out: folder of those files.
        scale: how it is spread; under `torchrun` over the processes that were started.
        origin: what the data are, for `run.json`.

    Returns:
        The path of `weights.pth`: the query encoder, torchvision's names.

    Raises:
        InputError: the queue is longer than an epoch (at the border of two, some of an image's own keys remain in it), the
            batch can't be divided, a checkpoint is broken or of other settings, or the loss is not finite.
    """
    if settings.queue + settings.batch > len(images):
        raise InputError(
            f"a queue of {settings.queue} and a batch of {settings.batch} hold more keys than there are images "
            f"({len(images)}), which would be their own negatives; choose a smaller queue or batch."
        )
    fabric = start(settings.precision, scale)
    if settings.shards % processes.count():
        raise InputError(
            f"{processes.count()} processes can't share {settings.shards} shards of a batch; set spatial.shards to a "
            f"multiple of {processes.count()} (MoCo's own training has 8)."
        )
    _check_division(settings.batch, settings.shards, "spatial.shards")
    torch.manual_seed(settings.seed)
    model = MoCo(settings)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        settings.lr,
        momentum=0.9,
        weight_decay=settings.weight_decay,
    )
    run = Run(Path(out), settings, model, optimizer, fabric, save_every, origin=origin, tensorboard=scale.tensorboard)
    _trade(model.encoder_q, scale)
    moco = model
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    model.mark_forward_method("contrast")
    for step, batch in run.steps(_batches(images, settings, run.start, scale.workers)):
        rate = set_rate(optimizer, step, settings)
        with fabric.autocast():
            parts = moco.prepare(batch.to(fabric.device))
        optimizer.zero_grad()
        total = torch.zeros(2, device=fabric.device)  # loss, accuracy
        for part in range(parts):
            with fabric.no_backward_sync(model, enabled=part + 1 < parts) if parts > 1 else nullcontext():
                with part_of_batch(moco.encoder_q, part, parts), fabric.autocast():
                    loss, accuracy = model.contrast(part)
                fabric.backward(loss / parts)
            total += torch.stack([loss.detach(), accuracy]) / parts
        optimizer.step()
        moco.enqueue()
        run.log(step, rate, loss=total[0], accuracy=total[1])
    return run.finish(moco.encoder_q, settings.input)


@out_of_memory(TRAINING.format(step="temporal"))
def train_temporal(
    settings: TemporalSettings,
    pairs: FramePairs,
    out: str | Path,
    *,
    initial: str | Path | None,
    teacher: str | Path | None,
    scale: Scale = ALONE,
    save_every: int = 50,
    origin: dict | None = None,
) -> Path:
    """Step two: train on frame pairs; files as in `train_spatial`.

    Batch statistics are those of all processes together (SyncBN, paper section 2), so that their number changes nothing but
    rounding. With `accumulate`, each part of the batch has its own, as on a device that holds no more.

    Args:
        initial: weights the student starts from; None = from scratch.
        teacher: weights of the frozen encoder; None is allowed where the global weight is 0.

    Returns:
        The path of `weights.pth`: the student, torchvision's names.
    """
    fabric = start(settings.precision, scale)
    parts = settings.accumulate
    _check_division(settings.batch, parts * processes.count(), "temporal.accumulate times processes")
    torch.manual_seed(settings.seed)
    model = SpatialThenTemporal(settings, initial, teacher)
    optimizer = torch.optim.Adam(model.student.parameters(), settings.lr, betas=(0.9, 0.999))
    run = Run(Path(out), settings, model, optimizer, fabric, save_every, origin=origin, tensorboard=scale.tensorboard)
    synchronise(model.student, fabric.device)
    _trade(model.student, scale)
    student = model.student
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    for step, batch in run.steps(_batches(pairs, settings, run.start, scale.workers, parts)):
        rate = set_rate(optimizer, step, settings)
        channel = 1 + int(torch.randint(2, ()))  # a or b, one for the whole batch
        optimizer.zero_grad()
        totals: dict[str, torch.Tensor] = {}
        for part, pairs_of_part in enumerate(batch.to(fabric.device).chunk(parts)):
            with fabric.no_backward_sync(model, enabled=part + 1 < parts) if parts > 1 else nullcontext():
                with part_of_batch(student, part, parts):
                    losses = model(pairs_of_part, channel)
                loss = sum(losses.values())
                fabric.backward(loss / parts)
            for name, value in {"loss": loss, **losses}.items():
                totals[name] = totals.get(name, 0) + value.detach() / parts
        optimizer.step()
        run.log(step, rate, **totals)
    return run.finish(student, "lab")


def set_rate(optimizer: torch.optim.Optimizer, step: int, settings: Any) -> float:
    """Set every group's learning rate for `step` and return it."""
    rate = cosine_rate(step, lr=settings.lr, steps=settings.steps, warmup=settings.warmup)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _check_division(batch: int, number: int, name: str) -> None:
    if batch % number:
        raise InputError(f"a batch of {batch} can't be divided by {number} ({name}); choose another batch or number.")


def _trade(encoder: torch.nn.Module, scale: Scale) -> None:
    if scale.recompute:
        recompute(encoder)
    if scale.compile:
        encoder.compile()


def _batches(dataset: Images | FramePairs, settings: Any, start: int, workers: int, parts: int = 1) -> DataLoader:
    if len(dataset) == 0:
        raise InputError("the training set is empty.")
    share = {"rank": processes.rank(), "ranks": processes.count(), "parts": parts}
    sampler = EpochBatches(len(dataset), settings.batch, settings.steps, start=start, seed=settings.seed, **share)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=pass_over_signals,
    )
