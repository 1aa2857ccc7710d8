"""The plain scheme that speed and results are compared with, after the released code's description; nothing else calls it."""

import torch
from torch import Tensor

from stt_study.evenly import evenly

TOPK, TEMPERATURE = 10, 0.07


def released_scheme(
    query: Tensor, context: Tensor, labels: Tensor, radius: int, chunks: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The released code's way: 32 queries at a time against all context cells, masked, top-k, softmax, weighted sum.

    L2-normalised query (H, W, C), context (S, H, W, C), labels (S, H, W, K); `chunks` of all, evenly spread, or None.

    Returns:
        Labels (n, K) of the queries done; by how much the last pair kept beats the first left out (n,), where rounding may
        decide; and the queries' indices (n,).
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
