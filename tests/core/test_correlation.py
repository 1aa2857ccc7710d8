"""Correlation, against loops over every pair of cells."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from loops import random

from stt_core.correlation import banded_correlation, correlation, local_volume, pool_correlation, products

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "losses.npz"


def naive_correlation(query, reference, temperature, radius):
    (batch, channels, height, width), (rows, columns) = query.shape, reference.shape[2:]
    out = torch.zeros(batch, height, width, rows, columns, dtype=query.dtype)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                total = 0.0
                for v in range(rows):
                    for u in range(columns):
                        if radius is None or max(abs(v - y), abs(u - x)) <= radius:
                            dot = sum(float(query[b, c, y, x] * reference[b, c, v, u]) for c in range(channels))
                            out[b, y, x, v, u] = math.exp(dot / temperature)
                            total += math.exp(dot / temperature)
                out[b, y, x] /= total
    return out.view(batch, height * width, rows * columns)


@pytest.mark.parametrize(
    ("temperature", "radius"), [(None, None), (0.5, None), (None, 0), (None, 1), (2.0, 2), (None, 9)]
)
def test_correlation_agrees_with_loops(temperature, radius):
    query, reference = random(2, 3, 3, 4, seed=1), random(2, 3, 3, 4, seed=2)
    expected = naive_correlation(query, reference, math.sqrt(3) if temperature is None else temperature, radius)
    torch.testing.assert_close(correlation(query, reference, temperature, radius), expected)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("equal B and C", lambda: products(torch.zeros(1, 3, 3, 3), torch.zeros(1, 4, 3, 3))),
        ("equal B and C", lambda: products(torch.zeros(1, 3, 3, 3), torch.zeros(2, 3, 3, 3))),
        ("one size", lambda: correlation(torch.zeros(1, 3, 2, 3), torch.zeros(1, 3, 4, 2), radius=1)),
        ("of one size", lambda: banded_correlation(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 6), radius=1)),
        ("cannot be pooled", lambda: pool_correlation(torch.zeros(1, 24, 24), 3, 8)),
        ("cannot be pooled", lambda: pool_correlation(torch.zeros(1, 24, 24), 4, 4)),
    ],
)
def test_maps_that_do_not_fit_are_refused(words, call):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("radius", [0, 1, 4])
def test_local_volume_agrees_with_loops(radius):
    query, reference = random(2, 3, 3, 4, seed=3), random(2, 3, 3, 4, seed=4)
    volume = local_volume(query, reference, radius)
    side = 2 * radius + 1
    assert volume.shape == (2, 12, side * side)
    for b in range(2):
        for i in range(12):
            for j in range(side * side):
                y, x = i // 4 + j // side - radius, i % 4 + j % side - radius
                inside = 0 <= y < 3 and 0 <= x < 4
                expected = float(query[b, :, i // 4, i % 4] @ reference[b, :, y, x]) if inside else 0.0
                assert float(volume[b, i, j]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rows", ["one", "quarter"])
def test_pool_agrees_with_loops(rows):
    fine = random(2, 24, 24, seed=5).softmax(dim=2)  # 4 x 6 cells
    pooled = pool_correlation(fine, 4, 6, rows=rows)
    assert pooled.shape == (2, 6, 6)
    blocks = [[(2 * (i // 3) + dy) * 6 + 2 * (i % 3) + dx for dy in (0, 1) for dx in (0, 1)] for i in range(6)]
    for i, queries in enumerate(blocks):
        for j, references in enumerate(blocks):
            total = sum(fine[1, q, r] for q in queries for r in references)
            assert float(pooled[1, i, j]) == pytest.approx(float(total) / (4 if rows == "one" else 16))
    expected = 1.0 if rows == "one" else 0.25
    torch.testing.assert_close(pooled.sum(dim=2), torch.full((2, 6), expected, dtype=fine.dtype))


@pytest.mark.parametrize("radius", [0, 2, 3, 20])
@pytest.mark.parametrize("grid", [(2, 4), (10, 6), (16, 4)])
def test_bands_are_the_dense_correlation(grid, radius):
    """The same products, pooled maps and gradients, where the last band is whole, short or the only one."""
    features = [random(2, 3, *grid, seed=seed) for seed in (8, 9)]
    cells, found = grid[0] * grid[1], []
    values, weights = random(2, cells, 2, seed=10), random(2, cells // 4, cells // 4, seed=11)
    for correlate in (correlation, banded_correlation):
        query, reference = (f.clone().requires_grad_() for f in features)
        correlated = correlate(query, reference, radius=radius)
        carried, pooled = correlated @ values, pool_correlation(correlated, *grid)
        (carried.square().sum() + (weights * pooled).sum()).backward()
        found.append([correlated @ torch.eye(cells, dtype=values.dtype), carried, pooled, query.grad, reference.grad])
    for dense, banded in zip(*found, strict=True):
        torch.testing.assert_close(banded, dense, atol=1e-10, rtol=0)


def test_autocast_leaves_products_exact():
    query, reference = 20 * random(1, 16, 4, 4, seed=6).float(), random(1, 16, 4, 4, seed=7).float()
    expected, volume = correlation(query, reference, radius=2), local_volume(query, reference, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (query[0, :, 0].T @ reference[0, :, 0]).dtype == torch.bfloat16  # autocast is on
        assert torch.equal(correlation(query, reference, radius=2), expected)
        assert torch.equal(local_volume(query, reference, 1), volume)
        banded, pooled = banded_correlation(query, reference, radius=2), pool_correlation(expected, 4, 4)
        assert correlation(query.bfloat16(), reference.bfloat16()).dtype == torch.float32
    torch.testing.assert_close(banded @ torch.eye(16), expected, atol=1e-6, rtol=0)
    assert torch.equal(pooled, pool_correlation(expected, 4, 4))


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden values are not beside this repository")
def test_golden_fine_correlation():
    golden = np.load(GOLDEN)
    reference, query = torch.from_numpy(golden["features_fine"]).unbind(1)
    fine = torch.from_numpy(golden["correlation_fine"])
    torch.testing.assert_close(correlation(query, reference, radius=6), fine, atol=1e-5, rtol=0)
    banded = banded_correlation(query, reference, radius=6) @ torch.eye(fine.shape[2])
    torch.testing.assert_close(banded, fine, atol=1e-5, rtol=0)
