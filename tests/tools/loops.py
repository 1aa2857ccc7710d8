"""Resizing and propagation written as loops over pixels and cells, which tests compare with; random inputs."""

import itertools
import math

import numpy as np
import torch


def random(*shape, seed=0):
    """Normal float64 numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_sample(image, x, y):
    """(h, w) at one place between its pixels, clamped to the picture."""
    height, width = image.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    top = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
    bottom = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
    return top * (1 - (y - y0)) + bottom * (y - y0)


def naive_bilinear(image, size):
    """(h, w) -> (H, W): pixel centres at (i + 0.5) * h / H - 0.5."""
    (height, width), result = image.shape, np.zeros(size)
    for i, j in itertools.product(range(size[0]), range(size[1])):
        place = (j + 0.5) * width / size[1] - 0.5, (i + 0.5) * height / size[0] - 0.5
        result[i, j] = naive_sample(image, *place)
    return result


def seen(dy, dx, radius, window):
    return math.hypot(dy, dx) < radius if window == "circle" else max(abs(dy), abs(dx)) <= radius


def naive_propagation(
    features,
    first_labels,
    num_preceding,
    radius,
    topk,
    temperature,
    with_first=True,
    window="square",
    first_windowed=True,
    first_twice=True,
):
    """One query at a time, candidates in a list. Also the smallest gap between the last kept and the first left out."""
    features = features.double().numpy()
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    frames, _, height, width = features.shape
    labels = [first_labels.double().numpy()]
    smallest_gap = np.inf
    for t in range(1, frames):
        context = [0] * with_first + list(range(max(0, t - num_preceding), t))
        context = context if first_twice else sorted(set(context))
        propagated = np.zeros_like(labels[0])
        for y, x in itertools.product(range(height), range(width)):
            candidates = []
            for place, i, j in itertools.product(range(len(context)), range(height), range(width)):
                s = context[place]
                # All of frame 0 is seen once; among the preceding frames it is like the others.
                if seen(i - y, j - x, radius, window) or (place == 0 and not first_windowed):
                    candidates.append((features[t, :, y, x] @ features[s, :, i, j], s, i, j))
            candidates.sort(reverse=True)
            kept = candidates[:topk]
            if len(candidates) > topk and candidates[topk][1:] != kept[-1][1:]:  # frame 0 twice is no tie that matters
                smallest_gap = min(smallest_gap, kept[-1][0] - candidates[topk][0])
            weights = [math.exp(value / temperature) for value, *_ in kept]
            total = sum(weights)
            for weight, (_, s, i, j) in zip(weights, kept, strict=True):
                propagated[:, y, x] += weight / total * labels[s][:, i, j]
        labels.append(propagated)
    return np.stack(labels), smallest_gap
