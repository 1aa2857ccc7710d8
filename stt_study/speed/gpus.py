"""How long counted operations take on a GPU: between what its maker's figures allow and a part of that.

Nearly everything around a ResNet's convolutions waits for memory, so operations per second alone would promise too much. Each
operation is given the longer of two times: its arithmetic at the full rate, its inputs and outputs at the full bandwidth.
Their sum is the least a step can take. A real one reaches a part of that rate (`REACHED`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torchvision.models import resnet50

from stt_core.errors import InputError
from stt_study.speed.meter import Op, metered

# An assumption. What NVIDIA measured of a ResNet-50 (`calibration`) lies near the upper end; the lower one leaves room for
# augmentation, synchronised batch statistics and exchanged gradients, none of which is counted.
REACHED = (0.3, 0.6)
LAUNCH = 1e-5  # s, an assumption, too: what PyTorch takes to start one operation. Small batches wait for that.


@dataclass(frozen=True)
class Gpu:
    """A GPU by its maker's figures."""

    title: str
    half: float  # TFLOP/s of matrix units at 16 bits, dense, sums of 32 bits
    single: float  # TFLOP/s at 32 bits; not TF32, which PyTorch doesn't use for matrix products unless told to
    bandwidth: float  # TB/s
    memory: float  # GB


# From the makers' data sheets.
GPUS = {
    "h100": Gpu("H100 SXM", 989, 67, 3.35, 80),
    "a100": Gpu("A100 SXM 80 GB", 312, 19.5, 2.039, 80),
    "a100-40": Gpu("A100 SXM 40 GB", 312, 19.5, 1.555, 40),
    "l40s": Gpu("L40S", 362, 91.6, 0.864, 48),
    "rtx4090": Gpu("RTX 4090", 165, 82.6, 1.008, 24),
    "v100": Gpu("V100 SXM2 32 GB", 125, 15.7, 0.9, 32),  # float16: it has no bfloat16
}

# Images a second and GPU of NVIDIA's training of a ResNet-50 in mixed precision with PyTorch, batches of 256 at 224 px:
# github.com/NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets/resnet50v1.5, "Training performance results".
PUBLISHED = {"a100": 2470, "v100": 1156}


def gpu(name: str) -> Gpu:
    """A GPU of `GPUS`.

    Raises:
        InputError: it isn't there.
    """
    if name not in GPUS:
        raise InputError(f"there is no GPU {name} in the table; choose one of {', '.join(GPUS)}.")
    return GPUS[name]


def op_seconds(op: Op, on: Gpu) -> float:
    """The least that an operation can take: the longer of its arithmetic and its way to memory and back."""
    rate = on.half if op.half else on.single
    return max(op.flops / (rate * 1e12), op.bytes / (on.bandwidth * 1e12))


def least_seconds(ops: Iterable[Op], on: Gpu) -> float:
    """The least that operations one after another can take."""
    return sum(op_seconds(op, on) for op in ops)


def seconds(ops: tuple[Op, ...], on: Gpu, reached: float) -> float:
    """What they are expected to take at a part of the full rates, if PyTorch starts them fast enough."""
    return max(least_seconds(ops, on) / reached, len(ops) * LAUNCH)


def by_kind(ops: Iterable[Op], on: Gpu) -> pd.DataFrame:
    """Where operations and time go: convolutions, matrix products, and all that moves more than it computes.

    Returns:
        One row a kind; columns "TFLOP", "GB moved", and "time", the share of the least time.
    """
    rows: dict[str, list[float]] = {name: [0.0, 0.0, 0.0] for name in ("convolutions", "matrix products", "all else")}
    for op in ops:
        kind = "convolutions" if "convolution" in op.name else "matrix products" if op.flops else "all else"
        for column, value in enumerate((op.flops / 1e12, op.bytes / 1e9, op_seconds(op, on))):
            rows[kind][column] += value
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["TFLOP", "GB moved", "time"])
    return table.assign(time=table["time"] / table["time"].sum())


def calibration(batch: int = 256) -> pd.DataFrame:
    """How much of the least time's rate NVIDIA's own training of a ResNet-50 reached.

    Returns:
        One row a GPU; columns "published, images/s", "at most, images/s" by the same count as ours, "reached" (their ratio)
        and "of the 16-bit peak" (arithmetic alone).
    """
    with torch.random.fork_rng(devices=[]):
        model = resnet50()
    with metered() as meter:
        images, labels = torch.empty(batch, 3, 224, 224), torch.zeros(batch, dtype=torch.long)
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
    flops, rows = sum(op.flops for op in meter.ops) / batch, {}
    for name, rate in PUBLISHED.items():
        on = GPUS[name]
        most = batch / least_seconds(meter.ops, on)
        rows[on.title] = {
            "published, images/s": rate,
            "at most, images/s": most,
            "reached": rate / most,
            "of the 16-bit peak": rate * flops / (on.half * 1e12),
        }
    return pd.DataFrame.from_dict(rows, orient="index")
