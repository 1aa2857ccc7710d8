"""What tests of trainings share: data that stop a run, and what one leaves."""

import csv
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset


def stopping(kind: type[Dataset], count: int | None) -> type[Dataset]:
    """The data set whose item after `count` raises KeyboardInterrupt, as Ctrl-C would; None: it never does."""
    left = [math.inf if count is None else count]

    class Stopping(kind):
        def __getitem__(self, address: tuple[int, int]) -> Tensor:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return super().__getitem__(address)

    return Stopping


def log(out: Path) -> list[dict[str, float]]:
    """Rows of a run's metrics.csv."""
    with open(out / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def state(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def same(first: Path, second: Path) -> bool:
    """Whether two weights files hold the same, bit by bit."""
    a, b = state(first), state(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
