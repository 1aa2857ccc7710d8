"""The grid's cells as a cluster's jobs: what waits for what, and how long each may take on how many GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_core.schedule import Notebook, grid, known_seconds


@dataclass(frozen=True)
class Job:
    """One way to train with one seed.

    Attributes:
        after: names of the jobs it waits for.
        key: changes with code, settings and data.
        minutes: that it may take; `by` says by what.
    """

    name: str
    after: tuple[str, ...]
    key: str
    gpus: int
    minutes: float
    by: str


def jobs(root: Path, profile: str, seeds: int, overrides: Sequence[tuple[str, Any]] = (), *, gpus: int = 1) -> list[Job]:
    """Every cell of the grid, step one's first.

    Minutes are those of the cell's last run or of the reference results, where there are any; else those of this profile's
    FLOPs at a cautious use of so many GPUs (see `costs`).

    Args:
        root: the repository.
        overrides: (name, value) of parameters.
    """
    found = []
    for cell in grid(root, profile, seeds, overrides):
        seconds = known_seconds(root, cell)
        minutes, by = (seconds / 60, "an earlier run") if seconds else (_estimate(cell, gpus), "FLOPs")
        found.append(Job(cell.name, cell.after, cell.key, gpus, minutes, by))
    return found
