"""The grid's cells as a cluster's jobs: what waits for what, and how long each may take on how many GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stt_study.engine.schedule import grid, known_seconds

UNKNOWN = 60.0  # minutes, of a job that has never run


@dataclass(frozen=True)
class Job:
    """One way to train with one seed.

    Attributes:
        after: names of the jobs it waits for.
        key: changes with code, settings and data.
        minutes: that it may take; `by` says what tells.
    """

    name: str
    after: tuple[str, ...]
    key: str
    gpus: int
    minutes: float
    by: str


def jobs(
    root: Path,
    profile: str,
    seeds: int,
    overrides: Sequence[tuple[str, Any]] = (),
    *,
    gpus: int = 1,
) -> list[Job]:
    """Every cell of the grid, step one's first.

    Minutes are those of the cell's last run or of the reference results, where there are any; else `UNKNOWN`.

    Args:
        root: the repository.
        overrides: (name, value) of parameters.
        gpus: of every job; 0 = none.
    """
    found = []
    for cell in grid(root, profile, seeds, overrides):
        minutes, by = known_seconds(root, cell) / 60, "an earlier run"
        if not minutes:
            minutes, by = UNKNOWN, "a guess"
        found.append(Job(cell.name, cell.after, cell.key, gpus, minutes, by))
    return found


def table(jobs: Sequence[Job]) -> pd.DataFrame:
    """One row a job, and what they take together."""
    rows = {
        job.name: {"after": ", ".join(job.after), "GPUs": job.gpus, "minutes": job.minutes, "by": job.by}
        for job in jobs
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("job")
    frame["GPU-hours"] = frame["GPUs"] * frame["minutes"] / 60
    return frame
