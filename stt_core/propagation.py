"""Label propagation: carry the labels of frame 0 through a video by feature affinity (paper, section on inference).

Frame by frame, each cell of a query frame looks at the context frames' cells within a square window, keeps the `topk`
most similar ones of all context frames together, and takes their (soft, propagated) labels, weighted by a softmax.
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

TILE_HEIGHT, TILE_WIDTH = 8, 16  # queries per matrix product: smaller wastes less of the halo, larger multiplies faster


@torch.no_grad()
def affinity(
    query: Tensor, context: Tensor, *, radius: int, topk: int, temperature: float, first_twice: bool = False
) -> tuple[Tensor, Tensor]:
    """The `topk` context cells nearest to each query cell, and their weights. No N x N array is ever formed.

    Per tile of queries: one matrix product with the tile's halo (the cells within `radius` of the tile, clipped to the
    map) of every context frame; maximum over context frames; cells outside a query's own window masked; top-k cells.
    The top-k (frame, cell) pairs lie in these cells: were a pair's cell not among them, each of the k cells would hold
    a pair at least as good.

    Args:
        query: (H, W, C) float, channels last, L2-normalised.
        context: (S, H, W, C), of the same kind. A view of part of a larger array will do: it isn't copied as a whole.
        radius: window in cells; cell (y, x) sees |dy| <= radius and |dx| <= radius in each context frame.
        topk: cells kept of all context frames together; where fewer exist, all of them.
        temperature: of the softmax over the kept cosine similarities, > 0.
        first_twice: context frame 0 counts as two frames.

    Returns:
        indices: (k, N) int64, N = H W; index (s H + y) W + x of a context cell. k <= `topk`.
        weights: (k, N) float32 in [0, 1], sum 1 over k; 0 where a query has fewer than k cells (the index is then any).
    """
    (height, width, channels), frames, device = query.shape, len(context), query.device
    halo_height, halo_width = min(height, TILE_HEIGHT + 2 * radius), min(width, TILE_WIDTH + 2 * radius)
    cells = min(topk, min(height, 2 * radius + 1) * min(width, 2 * radius + 1))  # the largest window there is
    ys, xs = torch.arange(height, device=device), torch.arange(width, device=device)
    rows_apart = torch.zeros(height, height, device=device).masked_fill_((ys[:, None] - ys).abs() > radius, -torch.inf)
    columns_apart = torch.zeros(width, width, device=device).masked_fill_((xs[:, None] - xs).abs() > radius, -torch.inf)
    # Reused by all tiles: on a CPU, fresh pages for arrays of this size are slow to come by.
    strip_buffer = query.new_empty(frames * height * halo_width * channels)
    similarity_buffer = query.new_empty(frames * TILE_HEIGHT * TILE_WIDTH * halo_height * halo_width)
    best_cells = torch.zeros(height, width, cells, dtype=torch.int64, device=device)
    candidates = query.new_full((frames + first_twice, height, width, cells), -torch.inf)

    for x0 in range(0, width, TILE_WIDTH):
        x1 = min(x0 + TILE_WIDTH, width)
        left, right = max(x0 - radius, 0), min(x1 + radius, width)
        # Copied once per strip of tiles, so that the halo of each tile is a plain matrix per frame.
        strip = strip_buffer[: frames * height * (right - left) * channels].view(frames, height, right - left, channels)
        strip.copy_(context[:, :, left:right])
        for y0 in range(0, height, TILE_HEIGHT):
            y1 = min(y0 + TILE_HEIGHT, height)
            top, bottom = max(y0 - radius, 0), min(y1 + radius, height)
            tile = query[y0:y1, x0:x1].reshape(-1, channels)  # (th, tw, C) -> (M, C)
            halo = strip[:, top:bottom].flatten(1, 2)  # (S, hh, hw, C) -> (S, L, C), a view
            size = (frames, len(tile), halo.shape[1])
            similarity = similarity_buffer[: size[0] * size[1] * size[2]].view(size)  # (S, M, L)
            torch.bmm(tile.expand(frames, -1, -1), halo.transpose(1, 2), out=similarity)

            best = similarity.amax(0).view(y1 - y0, x1 - x0, bottom - top, right - left)  # (M, L) -> (th, tw, hh, hw)
            best += rows_apart[y0:y1, None, top:bottom, None]
            best += columns_apart[None, x0:x1, None, left:right]
            kept = min(cells, size[2])  # the halo of a small tile in a corner may hold fewer
            value, cell = best.view(size[1:]).topk(kept, sorted=False)  # (M, kept)
            chosen = similarity.gather(2, cell.expand(frames, -1, -1))  # (S, M, kept)
            chosen.masked_fill_(value == -torch.inf, -torch.inf)
            candidates[:frames, y0:y1, x0:x1, :kept] = chosen.view(frames, y1 - y0, x1 - x0, kept)
            y, x = cell // (right - left) + top, cell % (right - left) + left
            best_cells[y0:y1, x0:x1, :kept] = (y * width + x).view(y1 - y0, x1 - x0, kept)

    if first_twice:
        candidates[frames] = candidates[0]
    # (S, H, W, cells) -> (N, S cells)
    value, which = candidates.permute(1, 2, 0, 3).flatten(2).flatten(0, 1).topk(min(topk, len(candidates) * cells))
    frame, cell = which // cells % frames, best_cells.view(-1, cells).gather(1, which % cells)
    return (frame * (height * width) + cell).T, (value / temperature).softmax(1).T


@torch.no_grad()
def apply_affinity(indices: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    """Weighted sum of context labels: indices, weights (k, N) of `affinity`, labels (S, H, W, K) float32 -> (N, K)."""
    return F.embedding_bag(indices.T, labels.flatten(0, 2), mode="sum", per_sample_weights=weights.T)


@torch.no_grad()
def propagate_frames(
    features: Iterable[Tensor],
    first_labels: Tensor,
    *,
    num_preceding: int = 20,
    radius: int = 12,
    topk: int = 10,
    temperature: float = 0.07,
    with_first: bool = True,
) -> Iterator[Tensor]:
    """`propagate` for a stream: features (C, H, W) one frame at a time -> labels (K, H, W) one frame at a time.

    Keeps frame 0 and the `num_preceding` preceding frames only, so memory doesn't grow with the video. Errors as for
    `propagate`, raised when the first frame (or the frame of another shape) is asked for.
    """
    if radius < 0 or topk < 1 or not temperature > 0:
        raise ValueError(f"radius >= 0, topk >= 1, temperature > 0 are needed, not {radius}, {topk}, {temperature}.")
    if num_preceding < (0 if with_first else 1):
        raise ValueError(f"No context: num_preceding is {num_preceding} and with_first is {with_first}.")
    ring = ring_labels = None
    for t, frame in enumerate(features):
        if ring is None:
            if frame.ndim != 3 or first_labels.ndim != 3 or frame.shape[1:] != first_labels.shape[1:]:
                raise ValueError(
                    f"Features (C, H, W) and first_labels (K, H, W) must be maps of the same size, not "
                    f"{tuple(frame.shape)} and {tuple(first_labels.shape)}."
                )
            # Slot 0 keeps frame 0, slots 1.. are the ring. Channels last: halos are then runs of whole vectors.
            slots, (channels, height, width) = num_preceding + 1, frame.shape
            ring = frame.new_empty(slots, height, width, channels, dtype=torch.float32)
            ring_labels = frame.new_empty(slots, height, width, len(first_labels), dtype=torch.float32)
        if frame.shape != (channels, height, width):
            raise ValueError(f"Frame {t} has features {tuple(frame.shape)}, not {(channels, height, width)}.")
        query = F.normalize(frame.float(), dim=0).permute(1, 2, 0).contiguous()  # (C, H, W) -> (H, W, C)
        if t == 0:
            labels = first_labels.to(frame.device, torch.float32).permute(1, 2, 0).contiguous()  # -> (H, W, K)
        else:
            first_precedes = t <= num_preceding
            used = slice(0 if with_first or first_precedes else 1, min(t, slots))
            indices, weights = affinity(
                query,
                ring[used],
                radius=radius,
                topk=topk,
                temperature=temperature,
                first_twice=with_first and first_precedes,
            )
            labels = apply_affinity(indices, weights, ring_labels[used]).view(height, width, -1)
        slot = 1 + (t - 1) % num_preceding if t and num_preceding else 0
        if t == 0 or slot:
            ring[slot], ring_labels[slot] = query, labels
        yield labels.permute(2, 0, 1).clone(memory_format=torch.contiguous_format)  # (H, W, K) -> (K, H, W)


def propagate(
    features: Tensor,
    first_labels: Tensor,
    *,
    num_preceding: int = 20,
    radius: int = 12,
    topk: int = 10,
    temperature: float = 0.07,
    with_first: bool = True,
) -> Tensor:
    """Propagate the labels of frame 0 through a clip.

    The context of frame t is frame 0 (`with_first`) and the frames t - `num_preceding` .. t - 1. As in the released
    code, frame 0 counts twice while it is also one of the latter, and its window is the same as theirs. Float32
    throughout, also under autocast (on CUDA, TF32 products must be off, which is the default of PyTorch).

    Args:
        features: (T, C, H, W) float of any scale: affinity is cosine.
        first_labels: (K, H, W) label maps of frame 0, any real values or bool.
        num_preceding: preceding frames in the context; 0 (only frame 0) needs `with_first`.
        radius: half window in cells, >= 0; half the neighbour range of the released code.
        topk: context cells kept per query over all context frames, >= 1.
        temperature: of the softmax over the kept cosine similarities, > 0.
        with_first: keep frame 0 in the context for the whole clip.

    Returns:
        (T, K, H, W) float32 on the features' device; frame 0 is `first_labels`.

    Raises:
        ValueError: shapes that don't fit together, or a setting out of its range.
    """
    if features.ndim != 4 or not len(features):
        raise ValueError(f"Features must be (T, C, H, W) with at least one frame, not {tuple(features.shape)}.")
    settings = dict(radius=radius, topk=topk, temperature=temperature, with_first=with_first)
    num_preceding = min(num_preceding, max(len(features) - 1, 1))  # a short clip needs no longer ring
    return torch.stack(list(propagate_frames(features, first_labels, num_preceding=num_preceding, **settings)))
