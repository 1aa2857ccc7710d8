"""How fast (`stt bench`): propagation and the encoder beside the released scheme, medians of interleaved repeats."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from stt_core.affinity import affinity, apply_affinity
from stt_core.encoder import INFERENCE, folded, random_encoder
from stt_core.provenance import processor
from stt_core.settings import checked
from stt_study.evenly import evenly

TOPK, TEMPERATURE = 10, 0.07


@checked
class BenchSettings:
    """What is measured. The sizes are those of DAVIS at 480p."""

    repeats: int = Field(5, ge=1)  # half as many at stride 4
    height: int = Field(480, ge=1)  # px of the frame; features have a stride-th of it
    width: int = Field(854, ge=1)
    channels: int = Field(256, ge=1)
    context: int = Field(21, ge=1)  # frames
    radius: int = Field(12, ge=0)  # cells at stride 8
    radius_fine: int = Field(35, ge=0)  # cells at stride 4; 0 leaves stride 4 out
    chunks: int = Field(12, ge=1)  # of 32 queries: where the reference takes minutes, so many are timed


def run_bench(settings: BenchSettings = BenchSettings(), progress: Callable[[str], None] = lambda text: None) -> dict:
    """Measure everything; `progress` is told what comes next.

    "cases" are records of a case and way: `seconds`, `error` (largest, to the case's first way) and, of propagation,
    `work` (operations of the windows) and `projected` (from a part of the queries).
    """
    torch.manual_seed(0)
    cases = []
    for stride, radius in [(8, settings.radius)] + [(4, settings.radius_fine)] * (settings.radius_fine > 0):
        progress(f"propagation, stride {stride}")
        cases += propagation_case(settings, stride, radius)
    progress("encoder")
    cases += encoder_case(settings)
    return {"machine": machine(), "settings": asdict(settings), "cases": cases}


def machine() -> dict:
    """What the times depend on; rates in GFLOP/s, of products of 2048 x 2048 matrices."""
    rates = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = torch.randn(2, 2048, 2048).to(dtype)
        seconds = interleaved({"product": lambda a=a, b=b: a @ b}, 5)["product"]
        rates[name] = 2 * 2048**3 / statistics.median(seconds) / 1e9
    return {"processor": processor(), "threads": torch.get_num_threads(), "rates": rates, "torch": torch.__version__}


def interleaved(ways: dict[str, Callable], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, taken in turns, after a first round that isn't counted."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if round_:
                times[name].append(time.perf_counter() - start)
    return times


def released_scheme(
    query: Tensor, context: Tensor, labels: Tensor, radius: int, chunks: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The released code's way: 32 queries (H, W, C) at a time, of so many chunks, against all context (S, H, W, C).

    Labels (n, K), by how much the last pair kept beats the first left out (n,), and indices (n,) of the queries.
    """
    height, width, channels = query.shape
    keys, values = context.reshape(-1, channels), labels.flatten(0, 2)  # (S H W, C), (S H W, K)
    parts = torch.arange(height * width).split(32)
    parts = evenly(parts, chunks) if chunks else parts
    y, x = torch.arange(height * width) // width, torch.arange(height * width) % width
    found, gaps = [], []
    for cells in parts:
        similarity = keys @ query.flatten(0, 1)[cells].T  # (S H W, 32)
        outside = ((y[:, None] - y[cells]).abs() > radius) | ((x[:, None] - x[cells]).abs() > radius)  # (H W, 32)
        similarity.view(len(context), -1, len(cells)).masked_fill_(outside, -torch.inf)
        best, index = similarity.topk(TOPK + 1, dim=0)  # (k + 1, 32)
        gaps.append(best[-2] - best[-1])
        best, index = best[:-1], index[:-1]
        found.append((values[index] * (best / TEMPERATURE).softmax(0)[..., None]).sum(0))
    return torch.cat(found), torch.cat(gaps), torch.cat(parts)


def propagation_case(settings: BenchSettings, stride: int, radius: int) -> list[dict]:
    """One frame's propagation: the released scheme, at stride 4 of a part of the queries, and ours."""
    cells = -(-settings.height // stride), -(-settings.width // stride)  # (H, W) of the features
    in_part = stride == 4
    # Vectors of length 1 in random directions: (S + 1, H, W, C).
    features = F.normalize(torch.randn(settings.context + 1, *cells, settings.channels), dim=3)
    query, context, labels = features[-1], features[:-1], torch.rand(settings.context, *cells, 4)
    released = partial(released_scheme, query, context, labels, radius, settings.chunks if in_part else None)
    how = {"radius": radius, "topk": TOPK, "temperature": TEMPERATURE}
    ways = {"released scheme": released, "tiles": lambda: apply_affinity(*affinity(query, context, **how), labels)}
    repeats = (settings.repeats + 1) // 2 if in_part else settings.repeats  # stride 4 takes minutes
    times = interleaved(ways, repeats)
    expected, gap, done = released()
    clear = gap > 1e-6  # elsewhere rounding may choose another pair, which is as good
    error = float((ways["tiles"]()[done] - expected)[clear].abs().max())
    # Exact windows, multiply and add: cells within the radius, clipped at the borders, for every query and frame.
    window = math.prod(sum(min(i, radius) + min(n - 1 - i, radius) + 1 for i in range(n)) for n in cells)
    work = {"work": 2.0 * window * settings.context * settings.channels}
    reference, ours = _records(f"propagation, stride {stride}", times, {"released scheme": 0.0, "tiles": error})
    reference["seconds"] *= math.prod(cells) / len(done)
    return [reference | work | {"projected": in_part}, ours | work]


@torch.inference_mode()
def encoder_case(settings: BenchSettings) -> list[dict]:
    """ResNet-18 at stride 8 on one frame: as released, which computes res5 and drops it; folded, to res4 only."""
    strides, pool = INFERENCE[8]
    encoder = random_encoder(18, settings.channels / 256, strides=strides, pool=pool).eval()
    fast = folded(encoder).to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, settings.height, settings.width)
    ways = {
        "released scheme": lambda: encoder(image, ("res4", "res5"))["res4"],
        "to res4": lambda: encoder(image)["res4"],
        "to res4, folded, channels last": lambda: fast(image.contiguous(memory_format=torch.channels_last))["res4"],
        "the same in bfloat16": torch.autocast("cpu", torch.bfloat16)(lambda: fast(image)["res4"].float()),
    }
    expected = ways["released scheme"]()
    errors = {way: float((run() - expected).abs().max() / expected.abs().max()) for way, run in ways.items()}
    return _records("ResNet-18 to res4, stride 8", interleaved(ways, settings.repeats), errors)


def _records(case: str, times: dict[str, list[float]], errors: dict[str, float]) -> list[dict]:
    medians = {way: statistics.median(times[way]) for way in errors}
    return [{"case": case, "way": way, "seconds": medians[way], "error": error} for way, error in errors.items()]


def machine_text(machine: dict) -> str:
    """What a bench ran on, in one line; `machine` of `run_bench`."""
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in machine["rates"].items())
    where = f"{machine['processor']}, {machine['threads']} threads"
    return f"{where}; matrix products of {rates} GFLOP/s; PyTorch {machine['torch']}"


def speed_table(bench: dict) -> pd.DataFrame:
    """`run_bench` as a table, a row a case and way; "times as fast" and "error" are against the case's first way."""
    rows = {}
    for record in bench["cases"]:
        first = next(other for other in bench["cases"] if other["case"] == record["case"])
        rows[record["case"], record["way"]] = {
            "ms": 1e3 * record["seconds"],
            "times as fast": first["seconds"] / record["seconds"],
            "error": math.nan if record is first else record["error"],
            # What the windows' products alone would take in float32 at the machine's rate.
            "floor, ms": record.get("work", math.nan) / bench["machine"]["rates"]["float32"] / 1e6,
            "timed": "in part" if record.get("projected") else "whole",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["case", "way"])
