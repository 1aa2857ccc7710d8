"""`stt plan`: memory and time of a profile's trainings, estimated before anyone spends a GPU-hour."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from stt_study.speed.budget import Budget


def plan(
    *,
    profile: str = "paper",
    gpus: int = 1,
    gpu: str = "h100",
    seeds: int | None = None,
    rows: Literal["headline", "all"] | None = None,
    reached: tuple[float, float] | None = None,
    measure: bool = False,
    steps: int = 5,
    runs: Path = Path("runs"),
) -> None:
    """Estimate memory and time of a profile's trainings and evaluations; nothing is trained.

    Operations and memory are counted on the models themselves. Time is what the GPU's data sheet allows, divided by the
    share of that which real trainings reach. With --measure, a few real steps run on this machine.

    Args:
        profile: name or YAML file of a profile.
        gpus: that share every batch.
        gpu: which: h100, a100, a100-40, l40s, rtx4090 or v100.
        seeds: of every training; the profile's if not given.
        rows: ways to train, headline or all; the profile's if not given.
        reached: two shares of the rate that the data sheet allows, between which the truth is assumed to lie.
        measure: run steps on this machine, too, each with a GPU's share of the batch; on a processor with a part of it. What
            they took is noted for `make cluster`.
        steps: that are measured.
        runs: where that is noted, in a folder of the profile's name.
    """
    from stt_core.errors import InputError
    from stt_study.profile import load_profile
    from stt_study.speed.budget import (
        Budget,
        as_ranges,
        assumed,
        brief,
        evaluation_table,
        rounded,
        step_table,
        time_table,
    )
    from stt_study.speed.gpus import LAUNCH, REACHED
    from stt_study.speed.gpus import gpu as of_name

    if steps < 1:
        raise InputError(f"--steps is {steps}; give 1 or more.")
    loaded, on, reached = load_profile(profile), of_name(gpu), reached or REACHED
    budget = Budget(loaded, gpus, rows)
    seeds = loaded.seeds if seeds is None else seeds
    low, high = assumed(reached, seeds)
    jobs = budget.jobs()
    times = time_table(jobs, on, seeds, reached)
    print(f"Profile {loaded.profile} on {gpus} x {on.title}, {seeds} seed{'s' * (seeds != 1)}.")
    print("\nOne step on one GPU; peak is the least memory it needs, without CUDA's own and workspaces:\n")
    print(rounded(step_table([budget.step_one(), budget.step_two()])).to_string())
    print(
        f"\nTime, assuming that {low:.0%} to {high:.0%} of what the data sheet allows is reached, and {1e6 * LAUNCH:.0f} "
        "microseconds to start an operation;\nGPU-hours are of all seeds; decoding must keep up (notebook 17):\n"
    )
    print(rounded(as_ranges(times)).to_string())
    print("\nEvaluation in 32 bits, arithmetic alone:\n")
    print(rounded(as_ranges(evaluation_table(loaded, on, reached))).to_string())
    most = max(job.cost.memory for job in jobs) / 1e9
    print(f"\nThe largest training needs at least {brief(most)} GB of the {on.memory:g} GB of a GPU.")
    if most > 0.9 * on.memory:
        print("That is too much: take more GPUs, or temporal.accumulate in the profile.")
    if measure:
        _measure(budget, steps, runs / loaded.profile / "throughput.json")


def _measure(budget: "Budget", steps: int, note: Path) -> None:
    import pandas as pd

    from stt_core.files import write_json
    from stt_study.speed.budget import rounded
    from stt_study.speed.throughput import measure

    rows, took = {}, {}
    for name, job, settings in (
        ("one", budget.step_one(), budget.profile.spatial),
        ("two", budget.step_two(), budget.profile.temporal),
    ):
        found = measure(settings, job.cost, steps=steps, teacher=budget.teacher)
        rows[job.title], took[name] = found.summary(job.steps), found.seconds
    print(f"\nMeasured on {found.device}, {steps} steps each, their median:\n")
    print(rounded(pd.DataFrame.from_dict(rows, orient="index")).to_string())
    write_json(note, {"processes": budget.gpus, "device": found.device, "seconds a step": took})
    if any(row["slowest"] > 2 * row["fastest"] for row in rows.values()):
        print("Steps differ much, so something else is at work: wait for it, or leave it a core (OMP_NUM_THREADS=1).")
