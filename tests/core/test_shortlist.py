"""The cheap look at affinities: its bound against float64 products, and the top-k it leads to against all cosines."""

import pytest
import torch
import torch.nn.functional as F

from stt_core import shortlist
from stt_core.affinity import affinity


def vectors(kind: str, count: int, channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(channels)
    noise = torch.randn(count, channels, generator=generator)
    if kind == "alike":  # what untrained encoders give: all cosines near 1
        noise = noise * 0.02 + torch.randn(channels, generator=generator)
    if kind == "sparse":
        noise = noise * (torch.rand(count, channels, generator=generator) < 0.05) + 1e-6
    return F.normalize(noise, dim=1)


@pytest.mark.parametrize("kind", ["noise", "alike", "sparse"])
@pytest.mark.parametrize("channels", [1, 3, 31, 64, 256, 512])
def test_the_bound_holds_for_every_pair_and_is_tight(kind: str, channels: int) -> None:
    query, context = vectors(kind, 60, channels), vectors(kind, 90, channels).flip(0)
    stored = torch.empty(90, 60, dtype=torch.bfloat16)
    rows = torch.empty(1, 90, shortlist.length(channels), dtype=torch.bfloat16)
    shortlist.similarity(shortlist.split(context[None], rows)[0], query, out=stored)
    assert (stored < 0).all()  # `largest` relies on it
    cosine = context.double() @ query.double().T
    bound = shortlist.upper_bound(stored.float(), channels).double()
    assert (cosine <= bound).all()
    slack = 2.1 * (stored.double().abs() * 2**-8 + 2e-4)
    assert (bound - cosine <= slack).all()


def test_the_largest_of_negative_numbers() -> None:
    numbers = -torch.rand(7, 5, 6, generator=torch.Generator().manual_seed(0)).bfloat16() - 2**-9
    assert shortlist.largest(numbers, 1).equal(numbers.float().amax(1))


@pytest.mark.parametrize("kind", ["noise", "alike", "flat"])
@pytest.mark.parametrize("count", [1, 4, 40])
def test_top_k_equals_all_cosines_sorted(kind: str, count: int) -> None:
    """`flat` are cells that differ by less than any bound: only the last resort, float32, can tell them apart."""
    if kind == "flat":
        steps = torch.arange(4 * 9 * 20).view(4, 9, 20, 1) * 3e-4
        cells = torch.cat([torch.cos(steps), torch.sin(steps), torch.zeros(4, 9, 20, 6)], dim=3)
    else:
        cells = vectors(kind, 4 * 9 * 20, 8).view(4, 9, 20, 8)
    query, context = cells[3], cells[:3]
    settings = dict(radius=3, topk=count, temperature=0.1)
    _, weights = affinity(query, context, rough=True, **settings)
    for y, x in ((0, 0), (4, 11), (8, 19), (3, 16)):
        window = context[:, max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].double()
        best = (window @ query[y, x].double()).flatten().sort(descending=True).values[:count]
        torch.testing.assert_close(weights[:, y * 20 + x].double(), (best / 0.1).softmax(0), rtol=0, atol=1e-5)
