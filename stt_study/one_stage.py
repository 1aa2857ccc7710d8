"""Both steps at once, from scratch: the contrastive and the temporal losses summed (an ablation of the two steps)."""

from pathlib import Path

import torch
from torch import Tensor, nn

from stt_core import distributed as processes
from stt_core.distributed import ALONE, Scale, start
from stt_core.errors import TRAINING, InputError, out_of_memory
from stt_core.settings import checked
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.images import Images
from stt_core.training.loop import batches_of
from stt_core.training.pairs import FramePairs
from stt_core.training.run import Run


@checked
class OneStageSettings(TemporalSettings):
    """Step two's settings, without global distillation, and step one's of as many steps and the same seed."""

    spatial: SpatialSettings = SpatialSettings()


class OneStage(nn.Module):
    """MoCo and the temporal losses on one set of weights; running statistics are of the pairs, as in step two."""

    def __init__(self, settings: OneStageSettings) -> None:
        super().__init__()
        self.spatial = MoCo(settings.spatial)
        self.temporal = SpatialThenTemporal(settings)
        encoder = self.spatial.encoder_q
        for ours, theirs in zip(self.temporal.student.modules(), encoder.modules(), strict=True):
            ours._parameters = theirs._parameters  # they differ in strides and pooling, not in weights

    def forward(self, images: Tensor, pairs: Tensor, channel: int) -> dict[str, Tensor]:
        """Losses of images (B, 3, H, W) and pairs (P, 2, 3, h, w), uint8: "contrastive" and the temporal ones."""
        contrastive, _ = self.spatial(images)
        return {"contrastive": contrastive, **self.temporal(pairs, channel)}


@out_of_memory(TRAINING.format(step="temporal"))
def train_one_stage(
    settings: OneStageSettings,
    images: Images,
    pairs: FramePairs,
    out: str | Path,
    *,
    scale: Scale = ALONE,
    save_every: int = 50,
    origin: dict | None = None,
) -> Path:
    """Train on a batch of images and one of pairs a step, in one process; files are as in `train_spatial`."""
    fabric = start(settings.precision, scale)
    if processes.count() > 1:
        raise InputError("both steps at once runs on one process; start it without torchrun.")
    torch.manual_seed(settings.seed)
    model = OneStage(settings)
    trained = [p for p in model.parameters() if p.requires_grad]  # shared weights are listed once
    optimizer = torch.optim.Adam(trained, settings.lr)
    run = Run(Path(out), settings, model, optimizer, fabric, save_every, origin=origin, tensorboard=scale.tensorboard)
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    parts = (images, settings.spatial), (pairs, settings)
    loaders = [batches_of(data, own, run.start, scale.workers) for data, own in parts]
    for step, (image_batch, pair_batch) in run.steps(zip(*loaders, strict=True)):
        channel = 1 + int(torch.randint(2, ()))  # a or b, one for the whole batch
        losses = model(image_batch.to(fabric.device), pair_batch.to(fabric.device), channel)
        loss = sum(losses.values())
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        run.log(step, loss=loss, **losses)
    return run.finish(model.temporal.student, "lab")
