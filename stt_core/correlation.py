"""Correlation between two feature maps: which reference cell does each query cell come from (paper section 2).

Computed in float32 even under autocast: in bfloat16, products of some hundreds would be off by whole units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BAND = 4  # query rows that share their references; fewer waste less, more make fewer and larger products


def full_precision(like: Tensor) -> torch.autocast:
    """Context in which autocast is off, on the device of `like`."""
    return torch.autocast(like.device.type, enabled=False)


def products(query: Tensor, reference: Tensor) -> Tensor:
    """Unscaled dot product of every query cell with every reference cell, both in row-major order.

    (B, C, Hq, Wq) and (B, C, Hr, Wr) -> (B, Hq Wq, Hr Wr) float32 (float64 if the features are); ValueError for others.
    """
    if query.ndim != 4 or reference.ndim != 4 or query.shape[:2] != reference.shape[:2]:
        raise ValueError(f"not (B, C, H, W) with equal B and C: {tuple(query.shape)} and {tuple(reference.shape)}.")
    with full_precision(query):
        query, reference = (f if f.dtype == torch.float64 else f.float() for f in (query, reference))
        return query.flatten(2).transpose(1, 2) @ reference.flatten(2)  # (B, Nq, C) @ (B, C, Nr)


def window_mask(height: int, width: int, radius: int, device: torch.device | str | None = None) -> Tensor:
    """(H W, H W) bool, [query, reference]: |dy| <= radius and |dx| <= radius, in cells of the grid that both share."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    near_y = (rows[:, None] - rows).abs() <= radius  # (H, H)
    near_x = (columns[:, None] - columns).abs() <= radius  # (W, W)
    near = near_y[:, None, :, None] & near_x[None, :, None, :]  # (H, W, H, W)
    return near.reshape(height * width, height * width)


def correlation(
    query: Tensor, reference: Tensor, temperature: float | None = None, radius: int | None = None
) -> Tensor:
    """Softmax over reference cells of query . reference / temperature (paper section 2).

    Args:
        query: (B, C, Hq, Wq), not normalised by this function.
        reference: (B, C, Hr, Wr).
        temperature: None = sqrt(C).
        radius: cells; only references in this square window count, the others get 0. None = all references.

    Returns:
        (B, Hq Wq, Hr Wr) in [0, 1], every row sums to 1.

    Example:
        >>> correlation(torch.rand(1, 64, 8, 16), torch.rand(1, 64, 8, 16), radius=6).shape
        torch.Size([1, 128, 128])

    Raises:
        ValueError: shapes that do not fit; with a radius, both maps must have one grid.
    """
    logits = products(query, reference) / (query.shape[1] ** 0.5 if temperature is None else temperature)
    if radius is not None:
        if query.shape != reference.shape:
            raise ValueError(f"a window needs maps of one size, got {query.shape[2:]} and {reference.shape[2:]}.")
        outside = ~window_mask(query.shape[2], query.shape[3], radius, query.device)
        logits = logits.masked_fill_(outside, -torch.inf)  # in place: these maps are the largest of all
    return logits.softmax(dim=2)


@dataclass(frozen=True)
class BandedCorrelation:
    """A correlation within a window without most of its zeros: bands of query rows, each with the reference rows near.

    `banded @ values` is `dense @ values` for the (B, N, N) of `correlation`, with values (N, K) or (B, N, K).
    """

    bands: list[tuple[slice, Tensor]]  # reference cells, and the rows' (B, queries, references)

    def __matmul__(self, values: Tensor) -> Tensor:
        return torch.cat([band @ values[..., near, :] for near, band in self.bands], dim=-2)


def banded_correlation(query: Tensor, reference: Tensor, radius: int) -> BandedCorrelation:
    """`correlation(query, reference, radius=radius)` in bands, for maps much larger than their windows."""
    if query.shape != reference.shape or query.ndim != 4:
        raise ValueError(f"not (B, C, H, W) of one size: {tuple(query.shape)} and {tuple(reference.shape)}.")
    (height, width), bands = query.shape[2:], []
    with full_precision(query):
        query, reference = (f if f.dtype == torch.float64 else f.float() for f in (query, reference))
        inside = window_mask(height, width, radius, query.device)  # (N, N)
        reach = radius + radius % 2  # whole blocks of 2x2 cells, for `pool_correlation`
        for row in range(0, height, BAND):
            own = slice(row * width, min(row + BAND, height) * width)
            near = slice(max(row - reach, 0) * width, min(row + BAND + reach, height) * width)
            queries, references = query.flatten(2)[..., own].transpose(1, 2), reference.flatten(2)[..., near]
            outside = query.new_zeros(inside[own, near].shape).masked_fill_(~inside[own, near], -torch.inf)
            logits = torch.baddbmm(outside, queries, references, alpha=query.shape[1] ** -0.5)
            bands.append((near, logits.softmax(dim=2)))
    return BandedCorrelation(bands)


def local_volume(query: Tensor, reference: Tensor, radius: int) -> Tensor:
    """Unscaled products of each query with the window around it; cells beyond the border are 0 (paper, Selection).

    Maps (B, C, H, W), radius in cells -> (B, H W, (2 radius + 1)^2), window cells in row-major order.
    """
    height, width = query.shape[2:]
    # Gathered from the full product: unfolding the reference would hold C times as much.
    full = products(query, reference).unflatten(2, (height, width))  # (B, N, H, W)
    padded, side = F.pad(full, [radius] * 4).unflatten(1, (height, width)), 2 * radius + 1  # (B, H, W, H + 2r, W + 2r)
    windows = padded.unfold(3, side, 1).unfold(4, side, 1)  # (B, H, W, H, W, side, side), of every query each window
    own = windows.diagonal(dim1=1, dim2=3).diagonal(dim1=1, dim2=2)  # (B, side, side, H, W), its own
    return own.permute(0, 3, 4, 1, 2).reshape(len(query), height * width, side * side)


def pool_correlation(fine: Tensor | BandedCorrelation, height: int, width: int, *, rows: str = "one") -> Tensor:
    """A fine correlation on a grid of half the size: 2x2 queries averaged, 2x2 references added up or averaged.

    Args:
        fine: (B, H W, H W), dense or banded; `height` and `width` are even, or a ValueError is raised.
        rows: "one" adds up 2x2 references: rows still sum to 1; "quarter" averages them, as released: they sum to 1/4.

    Returns:
        (B, H W / 4, H W / 4).
    """
    if height % 2 or width % 2 or (isinstance(fine, Tensor) and fine.shape[1:] != (height * width,) * 2):
        raise ValueError(f"the correlation cannot be pooled 2x2 on a grid of {height} x {width} cells.")
    cells, pooled = height * width, []
    bands = [(slice(0, cells), fine)] if isinstance(fine, Tensor) else fine.bands
    # (width, width / 2): which pair of columns one lies in; a small product is quicker than a sum over columns.
    pairs = bands[0][1].new_full((width // 2,), 1 if rows == "one" else 0.25).diag().repeat_interleave(2, dim=0)
    with full_precision(pairs):
        for near, band in bands:
            band = band.unflatten(1, (-1, 2, width // 2, 2)).mean(dim=2).mean(dim=3).flatten(1, 2)  # over queries
            band = (band.unflatten(2, (-1, 2, width)).sum(dim=3) @ pairs).flatten(2)  # over references
            pooled.append(F.pad(band, (near.start // 4, (cells - near.stop) // 4)))
    return torch.cat(pooled, dim=1)
