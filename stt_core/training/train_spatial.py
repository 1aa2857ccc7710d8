"""Step one: the training loop (paper section 1). Resumable, logged, on one process or many."""

from dataclasses import replace
from pathlib import Path

import torch

from stt_core import distributed as processes
from stt_core.distributed import ALONE, Scale, chosen_precision, start
from stt_core.errors import TRAINING, InputError, out_of_memory
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.training.images import Images
from stt_core.training.loop import batches_of, check_division
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
    """Train step one (MoCo) on `images`; return the path of `weights.pth`, the query encoder in torchvision's names.

    Beside it are `metrics.csv`, `run.json` and, while running, `checkpoint.pt`.
    A stopped run continues from its last checkpoint and, on as many processes, ends with the same weights.

    Args:
        out: folder of those files.
        scale: device, processes and workers; under `torchrun` the processes that were started are used.
        origin: what the data are, for `run.json`.

    Example:
        >>> settings = SpatialSettings(width=0.25, size=32, load_size=40, batch=2, queue=4, steps=1)
        >>> train_spatial(settings, Images(photos, 40), folder / "one", scale=Scale(device="cpu")).name
        'weights.pth'

    Raises:
        InputError: too long a queue, an indivisible batch, a broken checkpoint or one of other settings, a loss of NaN.
    """
    if settings.queue + settings.batch > len(images):
        sizes = f"a queue of {settings.queue} and a batch of {settings.batch}"
        raise InputError(f"{sizes} hold more keys than {len(images)} images give; choose a smaller queue or batch.")
    settings = replace(settings, precision=chosen_precision(settings.precision, scale.device))
    fabric = start(settings.precision, scale)
    shards = max(1, settings.shards // processes.count()) * processes.count()
    check_division(settings.batch, shards, "spatial.shards")
    torch.manual_seed(settings.seed)
    model = MoCo(settings)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, settings.lr, momentum=0.9, weight_decay=settings.weight_decay)
    run = Run(Path(out), settings, model, optimizer, fabric, save_every, origin=origin, tensorboard=scale.tensorboard)
    if scale.compile:
        model.encoder_q.compile()
    encoder = model.encoder_q
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    for step, batch in run.steps(batches_of(images, settings, run.start, scale.workers)):
        loss, accuracy = model(batch.to(fabric.device))
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        run.log(step, loss=loss, accuracy=accuracy)
    return run.finish(encoder, settings.input)
