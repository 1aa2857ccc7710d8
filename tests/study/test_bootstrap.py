"""The bootstrap over sequences and seeds: against a plain loop and known populations, and what it refuses to say."""

import numpy as np
import pytest
from scipy.stats import norm

from stt_study.bootstrap import bootstrap_interval, summary, verdict


@pytest.mark.parametrize("weights", [np.ones(9, int), np.array([1, 1, 2, 3, 1, 1, 4, 1, 2])])
def test_against_a_plain_loop(weights):
    """Resampling by hand, a sequence of weight 2 counting twice; the tail by a table of Student's t."""
    table = np.random.default_rng(4).normal(1, 2, (2, 9))
    row, whole = summary(table, weights), np.repeat(table, weights, axis=1)
    assert row["difference"] == pytest.approx(whole.mean())
    assert (row["lowest seed"], row["highest seed"]) == pytest.approx(tuple(sorted(whole.mean(axis=1))))
    rng, means = np.random.default_rng(5), []
    for _ in range(20_000):
        rows, columns = rng.integers(0, 2, 2), rng.integers(0, 9, 9)
        drawn = [(weights[c], table[r, c]) for r in rows for c in columns]
        means.append(sum(w * d for w, d in drawn) / sum(w for w, _ in drawn))
    tail = norm.cdf(-2.306004 * np.sqrt(9 / 8))  # t of 8 degrees of freedom at 2.5 %
    expected = np.quantile(means, [tail, 1 - tail])
    np.testing.assert_allclose(bootstrap_interval(table, weights, draws=20_000), expected, atol=0.12)


@pytest.mark.parametrize(("seeds", "sequences", "of_seed"), [(1, 12, 0), (3, 12, 1), (3, 8, 1)])
def test_it_holds_the_truth_as_often_as_it_says(seeds, sequences, of_seed):
    """Known effects of seed, sequence and both: the interval holds the true mean, 0, in 95 % of 300 studies or so."""
    rng, hits = np.random.default_rng(0), 0
    for study in range(300):
        table = of_seed * rng.normal(size=(seeds, 1)) + 3 * rng.normal(size=(1, sequences))
        table = table + 2 * rng.normal(size=(seeds, sequences))
        low, high = bootstrap_interval(table, draws=1000, seed=study)
        hits += low < 0 < high
    assert 0.92 <= hits / 300 <= 0.995


def test_it_moves_and_stretches_with_the_differences():
    table = np.random.default_rng(3).normal(size=(2, 6))
    low, high = bootstrap_interval(table)
    np.testing.assert_allclose(bootstrap_interval(5 + 2 * table), [5 + 2 * low, 5 + 2 * high], rtol=1e-12)
    np.testing.assert_allclose(bootstrap_interval(table), [low, high], rtol=0)  # the same every time


@pytest.mark.parametrize("table", [np.ones((3, 2)), np.random.default_rng(0).normal(size=(5, 2)), np.full((2, 8), 3.0)])
def test_too_little_to_tell_leaves_it_open(table):
    assert bootstrap_interval(table) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 2.0, "supported"),
        (-2.0, -0.1, "contradicted"),
        (-1.0, 1.0, "undecided"),
        (0.0, 1.0, "undecided"),
        (-1.0, 0.0, "undecided"),
        (-np.inf, np.inf, "undecided"),
    ],
)
def test_verdict(low, high, expected):
    middle = (low + high) / 2 if np.isfinite(low) else 0.0
    assert verdict({"low": low, "high": high, "lowest seed": middle, "highest seed": middle}) == expected


def test_every_seed_must_agree():
    row = {"low": 0.5, "high": 3.0, "lowest seed": -0.1, "highest seed": 4.0}
    assert verdict(row) == "undecided"
    assert verdict(row | {"lowest seed": 0.1}) == "supported"
    assert verdict({"low": -3.0, "high": -0.5, "lowest seed": -4.0, "highest seed": 0.1}) == "undecided"
