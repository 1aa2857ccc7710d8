"""The grid's cells as a cluster's jobs: what waits for what, and how long each may take on how many GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stt_core.files import read_json
from stt_study.engine.schedule import Notebook, grid, known_seconds
from stt_study.profile import load_profile
from stt_study.variants import VARIANTS

UNKNOWN = 60.0  # minutes, of a job without a GPU that has never run


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
    gpu: str = "h100",
) -> list[Job]:
    """Every cell of the grid, step one's first.

    Minutes are those of the cell's last run or of the reference results, where there are any; else the training's by the
    steps that `stt plan --measure` timed for as many GPUs (of another way to train in proportion to its operations); else by its
    operations alone, at the lower rate that `budget` assumes; without a GPU, `UNKNOWN`.

    Args:
        root: the repository.
        overrides: (name, value) of parameters.
        gpus: of every job; 0 = none.
        gpu: which, see `gpus.GPUS`.
    """
    found = []
    for cell in grid(root, profile, seeds, overrides):
        minutes, by = known_seconds(root, cell) / 60, "an earlier run"
        if not minutes:
            minutes, by = _minutes(cell, gpus, gpu)
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


def _minutes(cell: Notebook, gpus: int, gpu: str) -> tuple[float, str]:
    measured = cell.out.parents[1] / "throughput.json"
    timed = read_json(measured) if measured.is_file() else {}
    if timed.get("processes") != max(1, gpus):
        timed = {}
    if not (gpus or timed):
        return UNKNOWN, "a guess"
    from stt_study.speed.budget import Budget  # seconds to import
    from stt_study.speed.gpus import REACHED, seconds
    from stt_study.speed.gpus import gpu as named

    budget = Budget(load_profile(cell.parameters["profile"], cell.parameters.get("settings")), max(1, gpus))
    variant = cell.parameters["variant"]
    if VARIANTS[variant].steps == "one":  # the teacher's, too, where it is another
        trainings, like = [job for job in budget.jobs() if job.title.startswith("step one")], budget.step_one()
    else:
        trainings, like = [budget.step_two(variant)], budget.step_two()
    hours, by = sum(job.hours(named(gpu), min(REACHED)) for job in trainings), f"operations on {gpu}"
    if timed:
        took = timed["seconds a step"]["one" if VARIANTS[variant].steps == "one" else "two"]
        hours, by = hours * took / seconds(like.cost.ops, named(gpu), min(REACHED)), f"steps on {timed['device']}"
    return 60 * hours, by
