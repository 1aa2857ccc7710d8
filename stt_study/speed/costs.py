"""What a training step costs one GPU: operations and memory, counted on the project's own models at their true size.

Random crops and colour changes of step one are not counted, nor is the optimizer's arithmetic: a percent of the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from stt_core.checkpoints import save_weights
from stt_core.encoder import INFERENCE, STANDARD, folded, random_encoder
from stt_core.errors import InputError
from stt_core.propagation import Inference
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_core.training.train_temporal import temporal_model
from stt_study.one_stage import OneStage, OneStageSettings
from stt_study.speed.meter import Op, metered

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.bfloat16}  # float16 is of the same size
FLOAT = 4  # bytes; weights and what the optimizer keeps are of 32 bits in every precision


@dataclass(frozen=True)
class Cost:
    """One training step on one GPU; memory in bytes."""

    items: int  # images, or frame pairs
    ops: tuple[Op, ...]
    weights: int  # all that the model holds: trained and frozen weights, MoCo's key encoder and queue
    gradients: int
    optimizer: int  # what it keeps of every weight
    kept: int  # what the forward pass leaves for the backward pass, and the batch itself
    peak: int  # the most that a step's results hold at a time, gradients among them

    @property
    def flops(self) -> float:
        """Floating-point operations of convolutions and matrix products, forward and backward."""
        return sum(op.flops for op in self.ops)

    @property
    def memory(self) -> int:
        """Bytes that are needed at least: CUDA's own memory, workspaces and gaps come on top."""
        return self.weights + self.optimizer + self.peak


def share(batch: int, gpus: int, parts: int = 1) -> int:
    """Items of each GPU, of each of `parts` of a batch.

    Raises:
        InputError: the batch can't be divided so.
    """
    if batch % (gpus * parts):
        into = f"{gpus} GPUs" if parts == 1 else f"{gpus} GPUs times {parts} parts"
        raise InputError(f"a batch of {batch} can't be divided by {into}; choose another number of GPUs, or batch.")
    return batch // (gpus * parts)


@lru_cache(maxsize=64)
def spatial_cost(settings: SpatialSettings, gpus: int = 1) -> Cost:
    """Step one: two views of every image, query and key, and the queue."""
    parts = max(1, settings.shards // gpus)
    items = parts * share(settings.batch, gpus, parts)
    model = _quietly(lambda: MoCo(replace(settings, batch=items, shards=parts)))
    model.augment = nn.Identity()

    def losses() -> Iterator[Tensor]:
        images = torch.empty(items, 3, settings.size, settings.size, dtype=torch.uint8)
        yield model(images)[0]

    return _counted(model, items, losses, settings.precision, moments=1)  # SGD's momentum


@lru_cache(maxsize=64)
def temporal_cost(settings: TemporalSettings, gpus: int = 1, teacher: tuple[int, float] | None = None) -> Cost:
    """Step two: the student on both frames, the frozen teacher where a weight asks for one, and the losses.

    Args:
        teacher: its depth and width; None = the student's.
    """
    items = share(settings.batch, gpus, settings.accumulate)
    with TemporaryDirectory() as folder:
        path = random_teacher(settings, Path(folder), teacher)
        model = _quietly(lambda: temporal_model(settings, None, path))

    def losses() -> Iterator[Tensor]:
        pairs = torch.empty(items, 2, 3, settings.size, settings.size, dtype=torch.uint8)
        yield sum(model(pairs, 1).values())

    cost = _counted(model, items, losses, settings.precision, moments=2)  # Adam's
    return replace(cost, items=items * settings.accumulate, ops=cost.ops * settings.accumulate)


@lru_cache(maxsize=8)
def one_stage_cost(spatial: SpatialSettings, temporal: TemporalSettings) -> Cost:
    """Both steps at once, which runs on one GPU; items are frame pairs."""
    model = _quietly(lambda: OneStage(OneStageSettings(spatial, temporal, 1, 0, 1e-3)))
    model.spatial.augment = nn.Identity()

    def losses() -> Iterator[Tensor]:
        images = torch.empty(spatial.batch, 3, spatial.size, spatial.size, dtype=torch.uint8)
        pairs = torch.empty(temporal.batch, 2, 3, temporal.size, temporal.size, dtype=torch.uint8)
        yield sum(model(images, pairs, 1).values())

    return _counted(model, temporal.batch, losses, temporal.precision, moments=2)


def random_teacher(settings: TemporalSettings, folder: Path, teacher: tuple[int, float] | None = None) -> Path | None:
    """Untrained weights for the frozen encoder, written to `folder`; None where nothing asks for one."""
    if not (settings.weight_global or settings.weight_forget):
        return None
    depth, width = teacher or (settings.depth, settings.width)
    encoder = random_encoder(depth, width, strides=STANDARD[0], pool=STANDARD[1])
    save_weights(folder / "teacher.pth", encoder, input="lab" if settings.weight_forget else "rgb")
    return folder / "teacher.pth"


@lru_cache(maxsize=16)
def frame_ops(height: int, width: int, stride: int, depth: int = 18, factor: float = 1.0) -> tuple[Op, ...]:
    """Operations of one frame's features in an evaluation: the folded encoder to res4, in 32 bits.

    Args:
        height, width: px.
        factor: on the number of channels, the encoder's width.
    """
    strides, pool = INFERENCE[stride]
    encoder = folded(random_encoder(depth, factor, strides=strides, pool=pool))
    with metered() as meter, torch.no_grad():
        encoder(torch.empty(1, 3, height, width))
    return tuple(meter.ops)


def affinity_flops(height: int, width: int, channels: int, inference: Inference) -> float:
    """Operations of one frame's products with its context: exact windows, clipped at the borders.

    Args:
        height, width: of the features, cells.
        channels: of the features.
    """
    reach = inference.radius
    window = 1
    for extent in (height, width):
        window *= sum(min(at, reach) + min(extent - 1 - at, reach) + 1 for at in range(extent))
    return 2.0 * window * (inference.num_preceding + inference.with_first) * channels


def _quietly(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # nobody's random numbers change
        return build().train()


def _counted(
    model: nn.Module, items: int, losses: Callable[[], Iterator[Tensor]], precision: str, moments: int
) -> Cost:
    if precision not in AUTOCAST:
        raise InputError(f"the cost of precision {precision} isn't known; choose one of {', '.join(AUTOCAST)}.")
    dtype, kept = AUTOCAST[precision], 0
    with torch.random.fork_rng(devices=[]), metered() as meter:
        with torch.autocast("cpu", dtype) if dtype else nullcontext():
            for loss in losses():
                kept = max(kept, meter.live)
                with torch.autocast("cpu", enabled=False):  # as in training, where it ends with the forward pass
                    loss.backward()
                del loss
        ops, peak = tuple(meter.ops), meter.peak
    held = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}.values()
    trained = {id(p): p.numel() for p in model.parameters() if p.grad is not None}.values()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in held)
    return Cost(items, ops, weights, FLOAT * sum(trained), FLOAT * moments * sum(trained), kept, peak)
