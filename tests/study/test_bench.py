"""The bench: its references against loops and the library, its records, and what tables make of them."""

import math

import pytest
import torch
import torch.nn.functional as F

from stt_core.affinity import affinity, apply_affinity
from stt_study.speed.bench import TEMPERATURE, TOPK, BenchSettings, interleaved, released_scheme, run_bench, speed_table

SIZES = {"height": 64, "width": 96, "channels": 32, "context": 3, "radius": 2, "radius_fine": 3}
SMALL = BenchSettings(**SIZES, repeats=1, chunks=2)


def clip() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return F.normalize(torch.randn(4, 7, 11, 8), dim=3), torch.rand(3, 7, 11, 2)


def test_the_released_scheme_equals_a_loop_over_queries() -> None:
    cells, labels = clip()
    found, gap, done = released_scheme(cells[3], cells[:3], labels, radius=2)
    assert done.tolist() == list(range(77))
    for y, x in ((0, 0), (3, 5), (6, 10), (2, 9)):
        pairs = [
            (float(cells[3, y, x] @ cells[s, i, j]), labels[s, i, j])
            for s in range(3)
            for i in range(max(y - 2, 0), min(y + 3, 7))
            for j in range(max(x - 2, 0), min(x + 3, 11))
        ]
        best = sorted(pairs, key=lambda pair: -pair[0])[:TOPK]
        total = sum(math.exp(value / TEMPERATURE) for value, _ in best)
        expected = sum(math.exp(value / TEMPERATURE) / total * label for value, label in best)
        torch.testing.assert_close(found[y * 11 + x], expected, rtol=0, atol=1e-5)
        values = sorted((value for value, _ in pairs), reverse=True)
        assert float(gap[y * 11 + x]) == pytest.approx(values[TOPK - 1] - values[TOPK], abs=1e-6)


def test_a_part_of_the_released_scheme_is_that_part_of_the_whole() -> None:
    cells, labels = clip()
    whole, _, _ = released_scheme(cells[3], cells[:3], labels, radius=2)
    part, _, done = released_scheme(cells[3], cells[:3], labels, radius=2, chunks=2)
    assert len(done) == 32 + 13  # the first chunk and the last, shorter one
    torch.testing.assert_close(part, whole[done])
    indices, weights = affinity(cells[3], cells[:3], radius=2, topk=TOPK, temperature=TEMPERATURE)
    torch.testing.assert_close(apply_affinity(indices, weights, labels), whole, rtol=0, atol=1e-5)


def test_ways_take_turns_and_the_first_round_is_not_counted() -> None:
    calls: list[str] = []
    times = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert {name: len(some) for name, some in times.items()} == {"a": 2, "b": 2}


def test_a_small_bench() -> None:
    results = run_bench(SMALL)
    table = speed_table(results)
    errors = table["error"].drop(["released scheme", "the same in bfloat16"], level="way")
    assert (errors < 1e-5).all()
    assert set(table[table.timed == "in part"].index) == {("propagation, stride 4", "released scheme")}
    # Cells: 8 x 12, within 2 of each other in y and x; 3 frames of 32 channels, a multiplication and an addition each.
    rows, columns = (sum(abs(a - b) <= 2 for a in range(extent) for b in range(extent)) for extent in (8, 12))
    assert results["cases"][0]["work"] == 2 * 3 * 32 * rows * columns
