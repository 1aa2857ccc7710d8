"""Which context cells could be among the top-k: told by bfloat16 matrix units, several times as fast as float32 products.

A vector of length 1 is split in two bfloat16 parts, x = high + low + rest. One product gives
high.high + low.high + high.low - 1 - OFFSET, which misses the cosine (less 1 + OFFSET) by at most `error`, and is stored in
bfloat16. Near the top, where cosines are close to 1, the stored number is close to 0 and so its rounding is small.
What a shortlist left out is thus known to lie below a bound; who has k exact cosines above it has the true top-k.
"""

import torch
from torch import Tensor

WORTHWHILE = 1_500_000  # measured: about 10 frames of 25 x 25 cells of 256 channels break even
OFFSET = 2.0**-9  # keeps every stored number negative, see `largest`


def pays(device: torch.device, work: int) -> bool:
    """Whether a shortlist saves time; the result is the same either way.

    It does on processors that multiply bfloat16 matrices in units of their own (AMX), and if there is enough to multiply.

    Args:
        work: context cells that a query sees times channels.
    """
    return device.type == "cpu" and work >= WORTHWHILE and bool(torch.cpu.get_capabilities().get("amx_bf16"))


def split(cells: Tensor, out: Tensor) -> Tensor:
    """Write vectors (..., C) float32 as rows (..., `length(C)`) bfloat16: high parts, low parts, 1, 1, 0 …"""
    channels = cells.shape[-1]
    out[..., 2 * channels :] = 0
    out[..., 2 * channels : 2 * channels + 2] = 1
    for vectors, rows in zip(cells, out, strict=True):  # some at a time: they stay in the processor's cache
        rest = vectors.clone(memory_format=torch.contiguous_format)
        high = rows[..., :channels].copy_(rest)
        rows[..., channels : 2 * channels] = rest.sub_(high)
    return out


def length(channels: int) -> int:
    """Of the rows that stand for vectors of `channels`: two parts and the offset, in whole units of 32."""
    return -(-(2 * channels + 2) // 32) * 32


def similarity(context: Tensor, query: Tensor, out: Tensor) -> None:
    """out (L, M) = cosines less 1 + OFFSET, in bfloat16: context (L, `length(C)`) of `split`, query (M, C) float32."""
    queries, channels = query.shape
    high, low, tail = split(query[None], context.new_empty(1, queries, context.shape[1]))[0].split(
        [channels, channels, context.shape[1] - 2 * channels], dim=1
    )
    tail[:, 0], tail[:, 1] = -1, -OFFSET
    rest = torch.cat([high, high, tail], dim=1)
    torch.mm(context[:, :channels], low.T, out=out)  # small numbers: rounding them costs 2^-16
    torch.addmm(out, context, rest.T, out=out)


def largest(similarity: Tensor, dim: int) -> Tensor:
    """Maximum over `dim` of negative bfloat16 numbers, as float32: as integers, their order is the reverse."""
    return similarity.view(torch.int16).amin(dim).view(torch.bfloat16).float()


def error(channels: int) -> float:
    """How far a product may be from its cosine less 1 + OFFSET, before it is stored; must stay below OFFSET.

    What the split leaves out (low.low and the rests, 2^-16 each: |low| <= 2^-8, |rest| <= 2^-16), the rounding of the
    first summand (2^-16), that of the float32 sums (their length times 2^-24 times the sum of magnitudes, which is below
    2.02), and that of the float32 cosine it is compared with.
    """
    return 5 * 2.0**-16 + (channels + length(channels)) * 2.02 * 2.0**-24 + channels * 2.0**-24


def upper_bound(stored: Tensor, channels: int) -> Tensor:
    """The largest cosine of pairs whose stored number is `stored` or less; -inf stays.

    Rounding to bfloat16 costs at most 2^-8 of a number, everything else `error`.
    """
    return stored * (1 - 2.0**-8 - 2.0**-15) + (1 + OFFSET + error(channels))
