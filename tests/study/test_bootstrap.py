"""Intervals over sequences and seeds: against a plain loop, tables and known populations, and what they decide."""

import numpy as np
import pytest
from scipy.stats import norm

from stt_study import bootstrap as module
from stt_study.bootstrap import bootstrap, favours, holm, reach, standard_errors, summary, verdict

EFFECTS = [(1, 3, 2), (2, 2, 2), (4, 3, 3), (4, 1, 1)]  # standard deviations of seeds, of sequences, of the rest


def studies(count, sd, seeds, sequences, seed=0):
    """(count, seeds, sequences) of differences whose true mean is 0."""
    rng = np.random.default_rng(seed)
    of_seeds, of_sequences = rng.normal(size=(count, seeds, 1)), rng.normal(size=(count, 1, sequences))
    return sd[0] * of_seeds + sd[1] * of_sequences + sd[2] * rng.normal(size=(count, seeds, sequences))


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
    np.testing.assert_allclose(bootstrap(table, weights, draws=20_000)[:2], expected, atol=0.12)


def test_standard_errors_by_hand():
    """Seeds' means 2 and 4; sequences' means 1, 3, 5."""
    table = np.array([[0.0, 2, 4], [2, 4, 6]])
    assert standard_errors(table) == pytest.approx((1.0, 2 / np.sqrt(3)))
    assert standard_errors(table[:1]) == pytest.approx((0, 2 / np.sqrt(3)))
    # Weights 2, 1, 1: the mean is 2.5, the sequences are 1.5, 0.5 and 2.5 from it.
    squares = 3 / 2 * ((0.5 * 1.5) ** 2 + (0.25 * 0.5) ** 2 + (0.25 * 2.5) ** 2)
    assert standard_errors(table, np.array([2, 1, 1])) == pytest.approx((1.0, np.sqrt(squares)))
    expected = np.sqrt((12.7062 * 1.0) ** 2 + (4.30265 * 2 / np.sqrt(3)) ** 2)  # t of 1 and of 2, by table
    assert float(reach(table, None, 0.025)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sequences", [8, 48])
@pytest.mark.parametrize("sd", EFFECTS)
def test_false_verdicts_at_five_seeds(sd, sequences):
    """No effect: at most 5 % of 40,000 studies are decided, ± 0.2 points (two standard errors); 2.4 to 4.8 % are.

    By `reach` alone, which the interval is never narrower than. The wider one of the bootstrap and of Student's t over
    the seeds' means alone, without the sequences' variance, decided up to 5.7 %.
    """
    tables = studies(40_000, sd, 5, sequences)
    weights = np.resize([1, 2, 1, 3], sequences)
    for some in (None, weights):
        means = np.average(tables, axis=2, weights=some).mean(axis=1)
        assert (abs(means) > reach(tables, some, 0.025)).mean() <= 0.052
    for table in tables[:20]:
        row, half = summary(table), reach(table, None, 0.025)
        assert min(table.mean() - row["low"], row["high"] - table.mean()) >= half - 1e-9


@pytest.mark.parametrize("sequences", [8, 12])
def test_one_seed_holds_the_truth_as_often_as_it_says(sequences):
    hits = [low < 0 < high for low, high, _ in (bootstrap(t) for t in studies(400, (0, 3, 2), 1, sequences))]
    assert 0.92 <= np.mean(hits) <= 0.995


@pytest.mark.parametrize(("sd", "seeds"), [((4, 1, 1), 5), ((1, 3, 2), 5), ((0, 3, 2), 1)])
def test_the_smallest_effect_is_found_four_times_in_five(sd, seeds):
    tables = studies(250, sd, seeds, 48)
    smallest = np.mean([summary(table)["smallest effect"] for table in tables])
    found = np.mean([favours(summary(table + smallest)) > 0 for table in tables])
    assert 0.72 <= found <= 0.9


@pytest.mark.parametrize("seeds", [1, 5])
def test_p_is_the_level_at_which_the_interval_ends_at_zero(seeds, monkeypatch):
    (table,) = studies(1, (1, 3, 2), seeds, 10)
    row = summary(table + 2)
    monkeypatch.setattr(module, "LEVEL", 1 - row["p"])
    again = summary(table + 2)
    assert min(abs(again["low"]), abs(again["high"])) < 0.02


def test_p_beyond_all_draws_is_students():
    """With one seed: differences 4 to 7, t = 5.5 / (1.290994 / 2) = 8.520564, of three degrees of freedom."""
    assert bootstrap(np.array([[4.0, 5, 6, 7]]))[2] == pytest.approx(2 * 0.001698, rel=0.06)


def test_it_moves_and_stretches_with_the_differences():
    table = np.random.default_rng(3).normal(size=(2, 6))
    row, other = summary(table), summary(5 + 2 * table)
    for name in ("low", "high"):
        assert other[name] == pytest.approx(5 + 2 * row[name])
    assert other["smallest effect"] == pytest.approx(2 * row["smallest effect"])
    assert summary(table) == row  # the same every time


@pytest.mark.parametrize("table", [np.ones((3, 2)), np.random.default_rng(0).normal(size=(5, 2)), np.full((2, 8), 3.0)])
def test_too_little_to_tell_leaves_it_open(table):
    row = summary(table)
    assert (row["low"], row["high"], row["p"], row["smallest effect"]) == (-np.inf, np.inf, 1, np.inf)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005], 4).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04, 0.01], 4).tolist() == pytest.approx([0.12, 0.04])  # two that weren't taken count
    assert holm([0.9], 3).tolist() == [1]


@pytest.mark.parametrize(
    ("difference", "p", "seeds", "published", "expected"),
    [
        (1.0, 0.05, 5, 1.5, "reproduced"),
        (-1.0, 0.01, 5, 1.5, "not reproduced"),
        (1.0, 0.06, 5, 2.5, "undecided"),
        (1.0, 0.06, 5, 1.5, "underpowered"),
        (1.0, 0.06, 8, None, "undecided"),
        (1.0, 0.01, 4, 1.5, "these weights: higher"),
        (-1.0, 0.01, 1, 1.5, "these weights: lower"),
        (-1.0, 0.2, 1, 1.5, "these weights: no difference found"),
    ],
)
def test_verdict(difference, p, seeds, published, expected):
    row = {"difference": difference, "p": p, "seeds": seeds, "sequences": 8, "smallest effect": 2.0}
    assert verdict(row, published) == expected
    assert verdict(row | {"sequences": 2}, published) == "too few sequences"
    if expected == "reproduced":
        assert verdict(row, published, decides=False) == "higher"
