"""Which of many things a page shows or a measure takes: a few, spread evenly."""

from collections.abc import Sequence

import numpy as np


def evenly(items: Sequence, most: int) -> list:
    """At most so many of the items, spread evenly, the first and the last among them."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)]
