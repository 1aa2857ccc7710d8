"""Differences between two variants, paired by sequence and seed, with a bootstrap interval over both."""

import numpy as np
from scipy.stats import norm, t

LEVEL = 0.95


def bootstrap_interval(
    differences: np.ndarray, weights: np.ndarray | None = None, *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of differences (seeds, sequences), weighted (sequences,), over both drawn anew.

    Seeds share their sequences, so both are drawn independently ("pigeonhole" bootstrap, Owen 2007). Percentiles of few
    sequences are too narrow: they move outwards by Student's t and the missing n - 1 (Hesterberg 2015, "expanded
    percentile"). Infinite with fewer than three sequences or where all are the same.
    """
    seeds, sequences = differences.shape
    if sequences < 3 or np.ptp(differences) == 0:
        return -np.inf, np.inf
    rng = np.random.default_rng(seed)
    # How often a draw holds each sequence and each seed: (draws, sequences), (draws, seeds).
    drawn = rng.multinomial(sequences, np.full(sequences, 1 / sequences), draws) / sequences
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    drawn = drawn * (1 if weights is None else weights)
    means = np.einsum("ds,sq,dq->d", of_seeds, differences, drawn)  # (draws, S), (S, Q), (draws, Q) -> (draws,)
    means /= drawn.sum(axis=1)
    tail = norm.cdf(np.sqrt(sequences / (sequences - 1)) * t.ppf((1 - LEVEL) / 2, sequences - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def summary(differences: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """A paired difference in one row, see `bootstrap_interval`; "lowest seed" is the lowest mean of one seed."""
    low, high = bootstrap_interval(differences, weights)
    by_seed = np.average(differences, axis=1, weights=weights)
    return {
        "difference": float(by_seed.mean()),
        "low": low,
        "high": high,
        "seeds": len(differences),
        "sequences": differences.shape[1],
        "lowest seed": float(by_seed.min()),
        "highest seed": float(by_seed.max()),
    }


def verdict(row: dict[str, float]) -> str:
    """The rule: "supported" if interval and each seed's mean are > 0, "contradicted" if all < 0, or "undecided"."""
    # The interval over three seeds is too narrow where seeds differ more than sequences do; asking each one helps.
    if min(row["low"], row["lowest seed"]) > 0:
        return "supported"
    return "contradicted" if max(row["high"], row["highest seed"]) < 0 else "undecided"
