"""Differences between two variants, paired by sequence and seed: interval, p, smallest effect, and what they decide."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t

LEVEL, POWER = 0.95, 0.8
ENOUGH = 5  # seeds, to speak of a method and not of a few weights
FEWEST = 3  # sequences, for an interval
LEAST = 1e-9  # p is not sought below


@lru_cache(8)  # a page compares many variants on the same sequences
def _drawn(seeds: int, sequences: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often a draw holds each sequence and each seed, as shares: (draws, sequences), (draws, seeds)."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(sequences, np.full(sequences, 1 / sequences), draws) / sequences
    return drawn, rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds


def bootstrap(
    differences: np.ndarray, weights: np.ndarray | None = None, *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """95 % interval of the mean of differences (seeds, sequences), weighted (sequences,), over both drawn anew; and p.

    Seeds share their sequences, so both are drawn independently ("pigeonhole" bootstrap, Owen 2007). Percentiles of few
    sequences are too narrow: they move outwards by Student's t and the missing n - 1 (Hesterberg 2015, "expanded
    percentile"). p, two-sided, is the level at which such an interval ends at zero; where no draw lies beyond zero, its
    place among the draws is taken from their mean and standard deviation, which with one seed gives Student's p.
    Infinite, and p = 1, with fewer sequences than `FEWEST` or where all are the same.
    """
    seeds, sequences = differences.shape
    if sequences < FEWEST or np.ptp(differences) == 0:
        return -np.inf, np.inf, 1.0
    drawn, of_seeds = _drawn(seeds, sequences, draws, seed)
    drawn = drawn * (1 if weights is None else weights)
    means = ((of_seeds @ differences) * drawn).sum(axis=1) / drawn.sum(axis=1)  # (draws, S) (S, Q) -> (draws, Q)
    wider = np.sqrt(sequences / (sequences - 1))
    tail = norm.cdf(wider * t.ppf((1 - LEVEL) / 2, sequences - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    beyond = min((means <= 0).mean(), (means >= 0).mean())
    place = norm.ppf(beyond) if beyond else -abs(means.mean()) / means.std()
    return float(low), float(high), min(1.0, 2 * float(t.cdf(place / wider, sequences - 1)))


def standard_errors(differences: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean of differences (..., seeds, sequences): by its seeds' means (0 with one seed), and by its sequences'.

    What seed and sequence do together is in both, so the two variances added are rather too large than too small.
    """
    seeds, sequences = differences.shape[-2:]
    share = np.ones(sequences) / sequences if weights is None else weights / weights.sum()
    by_seed = differences @ share
    from_mean = differences.mean(axis=-2) - by_seed.mean(axis=-1, keepdims=True)  # (..., sequences)
    over_sequences = np.sqrt(sequences / (sequences - 1) * np.square(share * from_mean).sum(axis=-1))
    over_seeds = by_seed.std(axis=-1, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros_like(over_sequences)
    return over_seeds, over_sequences


def reach(differences: np.ndarray, weights: np.ndarray | None, tail: float) -> np.ndarray:
    """Half the width of Student's interval over seeds and of that over sequences, squares added; `tail` on each side.

    As in a two-way model of random effects, but each variance with the t of its own degrees of freedom: Satterthwaite's
    common ones make it too narrow where seeds are few and matter most.
    """
    counts, errors = differences.shape[-2:], standard_errors(differences, weights)
    squares = ((t.isf(tail, max(n - 1, 1)) * error) ** 2 for n, error in zip(counts, errors, strict=True))
    return np.sqrt(sum(squares))


def summary(differences: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """A paired difference in one row; "lowest seed" is the lowest mean of one seed.

    The interval is the wider one of `bootstrap` and, with several seeds, the mean ± `reach`; "p" the larger of both.
    "smallest effect" is the true effect that would be found, uncorrected, with 80 % power: half the interval's width,
    plus as much again as the 80 % point of Student's t is of its 97.5 % point, h (1 + reach(0.2) / reach(0.025)).
    """
    low, high, p = bootstrap(differences, weights)
    by_seed = np.average(differences, axis=1, weights=weights)
    mean, smallest = float(by_seed.mean()), np.inf
    if np.isfinite(low):
        half, more = (float(reach(differences, weights, tail)) for tail in ((1 - LEVEL) / 2, 1 - POWER))
        if len(differences) > 1:
            low, high = min(low, mean - half), max(high, mean + half)
            p = max(p, _level(differences, weights, abs(mean)))
        smallest = (high - low) / 2 * (1 + more / half)
    return {
        "difference": mean,
        "low": low,
        "high": high,
        "p": p,
        "smallest effect": smallest,
        "seeds": len(differences),
        "sequences": differences.shape[1],
        "lowest seed": float(by_seed.min()),
        "highest seed": float(by_seed.max()),
    }


def _level(differences: np.ndarray, weights: np.ndarray | None, distance: float) -> float:
    """The p, two-sided, whose `reach` is a distance."""

    def missing(p: float) -> float:
        return float(reach(differences, weights, p / 2)) - distance

    return brentq(missing, LEAST, 1) if missing(LEAST) > 0 else LEAST


def holm(p: Sequence[float], count: int) -> np.ndarray:
    """Those of a family of `count` tests that were taken, corrected by Holm's method; in the order given."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    steps = np.asarray(p)[order] * (count - np.arange(len(p)))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def favours(row: dict[str, float]) -> int:
    """What a `summary` decides at its p: 1, the first is better; -1, the second; 0, neither."""
    return int(np.sign(row["difference"])) if row["p"] <= 1 - LEVEL else 0


def verdict(row: dict[str, float], published: float | None = None, decides: bool = True) -> str:
    """A `summary` in the words of the page "How claims are decided"; `published`: the effect that the paper has."""
    side, few = favours(row), row["seeds"] < ENOUGH
    if row["sequences"] < FEWEST:
        return "too few sequences"
    if few or not decides:
        return "these weights: " * few + {1: "higher", -1: "lower", 0: "no difference found"}[side]
    if side:
        return "reproduced" if side > 0 else "not reproduced"
    return "underpowered" if published is not None and row["smallest effect"] > published else "undecided"
