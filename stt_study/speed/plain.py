"""The plain schemes that speed and results are compared with, written after the descriptions of the released code and of
the official DAVIS-2017 evaluation: nothing else calls them."""

import cv2
import numpy as np
import torch
from torch import Tensor

from stt_study.evenly import evenly

TOPK, TEMPERATURE = 10, 0.07


def released_scheme(
    query: Tensor, context: Tensor, labels: Tensor, radius: int, chunks: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The released code's way: 32 queries at a time against all context cells, masked, top-k, softmax, weighted sum.

    Args:
        query: (H, W, C), L2-normalised.
        context, labels: (S, H, W, C) and (S, H, W, K).
        chunks: how many of all chunks to do, evenly spread; None does all.

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


def official_scheme(prediction: np.ndarray, annotation: np.ndarray) -> tuple[float, float]:
    """J and F of whole masks (H, W) bool by the steps of the official evaluation, with its void pixels (none here)."""
    void = np.zeros_like(annotation)
    masks = [mask & np.logical_not(void) for mask in (prediction, annotation)]
    inside, union = np.sum(masks[0] & masks[1]), np.sum(masks[0] | masks[1])
    radius = int(np.ceil(0.008 * np.linalg.norm(annotation.shape)))
    steps = np.arange(-radius, radius + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)
    edges = []
    for mask in masks:
        padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
        edges.append(mask ^ padded[:-1, 1:] | mask ^ padded[1:, :-1] | mask ^ padded[1:, 1:])
    ours, theirs = edges
    near_theirs, near_ours = (cv2.dilate(edge.astype(np.uint8), disk) for edge in (theirs, ours))
    if not ours.any() or not theirs.any():
        f = float(ours.any() == theirs.any())
    else:
        precision, recall = np.sum(ours * near_theirs) / np.sum(ours), np.sum(theirs * near_ours) / np.sum(theirs)
        f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return float(inside / union) if union else 1.0, float(f)
