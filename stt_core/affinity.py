"""Affinity: for each cell of a frame, the most similar cells of the context frames and their weights (section 3)."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor

# Queries of a matrix product, rows and columns: smaller wastes less of the halo, larger multiplies faster.
TILES = {"cpu": (8, 16), "cuda": (16, 32)}
CHUNK = 1024  # queries of a product with a whole frame


@torch.no_grad()
@torch.autocast("cpu", enabled=False)  # an outer autocast would round the products
@torch.autocast("cuda", enabled=False)
def affinity(
    query: Tensor,
    context: Tensor,
    *,
    radius: int,
    topk: int,
    temperature: float,
    first_twice: bool = False,
    window: str = "square",
    first_windowed: bool = True,
) -> tuple[Tensor, Tensor]:
    """The `topk` context cells nearest to each query cell, and their weights. No N x N array is ever formed.

    Per tile of queries: one matrix product with the tile's halo (the cells within `radius` of the tile, clipped to the
    map) of all context frames, and the top-k of it. Cost grows with N radius^2.

    Args:
        query, context: (H, W, C) and (S, H, W, C) float32, channels last, L2-normalised.
        radius, window: cells seen of each frame: "square" |dy|, |dx| <= radius, or "circle" dy^2 + dx^2 < radius^2.
        topk: cells kept of all context frames together; where fewer exist, all of them.
        temperature: of the softmax over the kept cosine similarities, > 0.
        first_twice: context frame 0 counts as two frames.
        first_windowed: False: all of context frame 0 is seen; through the window where it counts again.

    Returns:
        indices: (k, N) int64, N = H W; index (s H + y) W + x of a context cell. k <= `topk`.
        weights: (k, N) float32 in [0, 1], sum 1 over k; 0 where a query has fewer than k cells (the index is then any).
    """
    height, width, _ = query.shape
    # A first frame that is seen whole, but counts twice, is seen through the window the second time.
    start = 0 if first_windowed or first_twice else 1
    value, index = _windowed(query, context[start:], radius, topk, window)
    index += start * height * width
    if not first_windowed:
        first = context[0].flatten(0, 1).T  # (C, N)
        whole = [(rows @ first).topk(min(topk, height * width)) for rows in query.flatten(0, 1).split(CHUNK)]
        value = torch.cat([value, torch.cat([top.values for top in whole])], dim=1)
        index = torch.cat([index, torch.cat([top.indices for top in whole])], dim=1)
    elif first_twice:
        value = torch.cat([value, value.masked_fill(index >= height * width, -torch.inf)], dim=1)
        index = torch.cat([index, index], dim=1)
    value, which = value.topk(min(topk, value.shape[1]))  # (N, k)
    return index.gather(1, which).T, (value / temperature).softmax(1).T


def _windowed(query: Tensor, context: Tensor, radius: int, topk: int, window: str) -> tuple[Tensor, Tensor]:
    """The most similar cells in the window, best first: cosines (N, k), -inf where there are fewer; indices (N, k)."""
    (height, width, channels), frames, device = query.shape, len(context), query.device
    if not frames:
        return query.new_empty(height * width, 0), torch.empty(height * width, 0, dtype=torch.int64, device=device)
    largest = min(height, 2 * radius + 1) * min(width, 2 * radius + 1)  # cells of the largest window there is
    kept = min(topk, frames * largest)
    tile_height, tile_width = TILES.get(device.type, TILES["cuda"])
    ys, xs = torch.arange(height, device=device), torch.arange(width, device=device)
    values = query.new_full((height, width, kept), -torch.inf)
    indices = torch.zeros(height, width, kept, dtype=torch.int64, device=device)

    def strips(starts: Iterator[int]) -> None:
        """Compute columns of tiles until none is left."""
        # Reused by all tiles: on a CPU, fresh pages for arrays of this size are slow to come by.
        widest, tallest = min(width, tile_width + 2 * radius), min(height, tile_height + 2 * radius)
        strip_buffer = query.new_empty(height * widest * frames * channels)
        product_buffer = query.new_empty(tallest * widest * frames * tile_height * tile_width)
        for x0 in starts:
            x1 = min(x0 + tile_width, width)
            left, right = max(x0 - radius, 0), min(x1 + radius, width)
            size = (height, right - left, frames, channels)
            # The frames inmost: the halo of each tile is then one matrix. (S, H, w, C) -> (H, w, S, C)
            strip = strip_buffer[: math.prod(size)].view(size).copy_(context[:, :, left:right].permute(1, 2, 0, 3))
            for y0 in range(0, height, tile_height):
                y1 = min(y0 + tile_height, height)
                top, bottom = max(y0 - radius, 0), min(y1 + radius, height)
                tile = query[y0:y1, x0:x1].reshape(-1, channels)  # (th, tw, C) -> (M, C)
                outside = _outside(ys[y0:y1], xs[x0:x1], ys[top:bottom], xs[left:right], radius, window)  # (M, L)
                halo = strip[top:bottom].flatten(0, 2)  # (hh, hw, S, C) -> (L S, C)
                product = product_buffer[: len(halo) * len(tile)].view(len(halo), len(tile))
                torch.mm(halo, tile.T, out=product)
                value, cell, frame = _top_pairs(product.view(-1, frames, len(tile)), outside, kept)
                y, x = top + cell // (right - left), left + cell % (right - left)
                values[y0:y1, x0:x1, : value.shape[1]] = value.view(y1 - y0, x1 - x0, -1)
                index = (frame * height + y) * width + x
                indices[y0:y1, x0:x1, : value.shape[1]] = index.view(y1 - y0, x1 - x0, -1)

    _shared(strips, range(0, width, tile_width), device)
    return values.flatten(0, 1), indices.flatten(0, 1)


def _shared(work: Callable[[Iterator[int]], None], starts: range, device: torch.device) -> None:
    """Run `work` in as many threads as PyTorch uses; each takes the next of `starts` until none is left.

    Small operations scale badly over threads that wait for each other after each one; whole strips side by side don't.
    """
    everyone, shared = torch.get_num_threads(), iter(starts)
    threads = min(everyone, len(starts))
    if device.type != "cpu" or threads < 2:
        work(shared)
        return
    inference = torch.is_inference_mode_enabled()  # which each thread has to be told

    def alone(starts: Iterator[int]) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            work(starts)

    torch.set_num_threads(1)  # of each operation
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(alone, [shared] * threads))
    finally:
        torch.set_num_threads(everyone)


def _outside(qy: Tensor, qx: Tensor, y: Tensor, x: Tensor, radius: int, window: str) -> Tensor:
    """(M, L) bool: cells at rows y, columns x outside of the windows of the queries at rows qy, columns qx."""
    dy, dx = (qy[:, None] - y)[:, None, :, None], (qx[:, None] - x)[None, :, None, :]
    outside = dy**2 + dx**2 >= radius**2 if window == "circle" else (dy.abs() > radius) | (dx.abs() > radius)
    return outside.flatten(2).flatten(0, 1)  # (th, tw, hh, hw) -> (M, L)


def _top_pairs(similarity: Tensor, outside: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` best pairs of similarity (L, S, M): value (best first, -inf where too few), cell, frame, each (M, n).

    Maximum over frames, the best cells by it, the best pairs of these cells: were a top pair's cell not among the
    `count` best, each of these would hold a pair at least as good.
    """
    cells, frames, _ = similarity.shape
    best = similarity.amax(1).T.masked_fill(outside, -torch.inf)  # (M, L)
    best, cell = best.topk(min(count, cells))  # (M, c)
    pairs = similarity.gather(0, cell.T[:, None].expand(-1, frames, -1)).permute(2, 0, 1)  # (c, S, M) -> (M, c, S)
    pairs = pairs.masked_fill(best[:, :, None] == -torch.inf, -torch.inf).flatten(1)  # (M, c S)
    value, pair = pairs.topk(min(count, pairs.shape[1]))
    return value, cell.gather(1, pair // frames), pair % frames


@torch.no_grad()
def apply_affinity(indices: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    """Weighted sum of context labels: indices, weights (k, N) of `affinity`, labels (S, H, W, K) float32 -> (N, K)."""
    return F.embedding_bag(indices.T, labels.flatten(0, 2), mode="sum", per_sample_weights=weights.T)
