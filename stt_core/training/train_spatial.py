"""Step one: the training loop (paper section 1). Resumable, logged, on one process or many."""

from contextlib import nullcontext
from pathlib import Path

import torch

from stt_core import distributed as processes
from stt_core.batch_norm import part_of_batch
from stt_core.distributed import ALONE, Scale, start
from stt_core.errors import TRAINING, InputError, out_of_memory
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.training.images import Images
from stt_core.training.loop import apply_scale, batches_of, check_division, set_rate
from stt_core.training.run import Run


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
    check_division(settings.batch, settings.shards, "spatial.shards")
    torch.manual_seed(settings.seed)
    model = MoCo(settings)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        settings.lr,
        momentum=0.9,
        weight_decay=settings.weight_decay,
    )
    run = Run(Path(out), settings, model, optimizer, fabric, save_every, origin=origin, tensorboard=scale.tensorboard)
    apply_scale(model.encoder_q, scale)
    moco = model
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    model.mark_forward_method("contrast")
    for step, batch in run.steps(batches_of(images, settings, run.start, scale.workers)):
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
