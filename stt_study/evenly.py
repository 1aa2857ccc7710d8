"""Which of many things a page shows or a measure takes: a few, spread evenly."""

import numpy as np


def evenly(count: int, length: int) -> list[int]:
    """`count` numbers spread over 0 … `length` - 1, both ends among them; all where there are no more."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist()
