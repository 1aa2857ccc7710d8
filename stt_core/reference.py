"""Reference results: a long run's figures, kept in the repository, and how a fresh run compares with them.

python -m stt_core.reference write --profile laptop --seeds 3    # after `make ablations SEEDS=3`
python -m stt_core.reference verify --profile laptop             # `make verify`
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from stt_core import learned, report, tables
from stt_core.bench import processor
from stt_core.comparison import REFERENCE, Measured, condensed, events_of, own, stored
from stt_core.files import InputError, read_json, write_json
from stt_core.fingerprint import hash_of
from stt_core.schedule import versions
from stt_core.study import ROOT, Study
from stt_core.variants import BASELINES, HEADLINE, NO_ENCODER, VARIANTS, title

CONFIDENCE = 0.99  # that a fresh seed's figure lies within the tolerance, if nothing changed


def write(study: Study, names: list[str], out: Path = REFERENCE) -> list[Path]:
    """Write `<profile>/<name>.json` of what this run measured, for all of the study's seeds; train what is missing."""
    paths = []
    for name in names:
        seeds = {}
        for seed in study.seeds:
            run = study.with_seed(seed)
            source = run.source(name)
            results = {task: run.measure(task, source) for task in report.TASKS if run.has(task)}
            kept = {task: condensed(found, events_of(run, task)) for task, found in results.items()}
            if name in learned.NAMES:
                for task in {"davis", "real"} & results.keys():
                    near = learned.against_teacher(run, {name: source}, task).set_index("sequence")
                    near = near[list(learned.AGAINST_TEACHER)]
                    kept[task]["nearness"] = near.to_dict(orient="index")
            timing = Path(source).with_name("seconds.json")
            seeds[str(seed)] = {
                "training seconds": read_json(timing)["seconds"] if timing.is_file() else None,
                "measuring seconds": {task: found["seconds"] for task, found in results.items()},
                "weights": next(iter(results.values()))["weights"]["identity"],
                "tasks": kept,
            }
        content = {
            "variant": name,
            "title": title(name),
            "profile": study.profile.profile,
            "data": {task: report.data_name(study, task) for task in report.TASKS if study.has(task)},
            "settings": settings_hash(study, name),
            "commit": commit(),
            "versions": versions(),
            "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.machine()},
            "seeds": seeds,
        }
        paths.append(out / study.profile.profile / f"{name}.json")
        write_json(paths[-1], content)
    return paths


def settings_hash(study: Study, name: str) -> str:
    """Hash of the settings that a way is trained and measured with, but for the seed and for what a run derives itself."""
    profile = study.profile
    parts = [profile.teacher, profile.spatial, profile.temporal, profile.scratch_lr, profile.max_gap, profile.aspect]
    return hash_of([*parts, profile.carry_weights, profile.world, profile.evaluation, VARIANTS.get(name, name)])


def commit() -> str:
    """The repository's commit, with "+" where files differ from it; "unknown" outside of one."""
    asked = [["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]]
    try:
        head, changes = (
            subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for words in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + "+" * bool(changes)


def spreads(study: Study) -> dict[str, tuple[float, int]]:
    """Task -> standard deviation over seeds of the headline figure, in points, pooled over the ways, and its freedom."""
    found = {}
    for task in report.TASKS:
        squares, freedom = 0.0, 0
        for name in VARIANTS:
            values = [100 * headline(run, task) for run in stored(study, task, name)]
            squares += float(np.var(values)) * len(values) if values else 0.0
            freedom += max(0, len(values) - 1)
        if freedom:
            found[task] = (float(np.sqrt(squares / freedom)), freedom)
    return found


def headline(run: Measured, task: str) -> float:
    return run.metrics[tables.MAIN["davis" if task == "real" else task]]


def verify(study: Study) -> pd.DataFrame:
    """A fresh run's headline figures beside the reference's, one row a way, task and seed.

    A figure may differ from the mean of the reference's n seeds by t sd sqrt(1 + 1/n): sd is the spread over
    seeds, pooled over the ways that were trained with several, and t Student's quantile at `CONFIDENCE`. A baseline that nothing
    random enters must be the same to a hundredth of a point.

    Raises:
        InputError: there are no reference results for the profile.
    """
    if not (REFERENCE / study.profile.profile).is_dir():
        known = ", ".join(sorted(path.name for path in REFERENCE.glob("*"))) or "none"
        raise InputError(f"there are no reference results for profile {study.profile.profile}; there are: {known}.")
    spread, rows = spreads(study), []
    for name in [name for name in BASELINES if name != "supervised"] + list(HEADLINE):
        path = REFERENCE / study.profile.profile / f"{name}.json"
        if path.is_file() and read_json(path)["settings"] != settings_hash(study, name):
            raise InputError(f"{path} is of other settings than this run's; run the profile as it is shipped.")
        for task in report.TASKS:
            reference = stored(study, task, name)
            for run in own(study, task, name) if reference else ():
                values = [100 * headline(other, task) for other in reference]
                here, mean = 100 * headline(run, task), float(np.mean(values))
                same = [other for other in reference if other.seed == run.seed]
                tolerance = 0.01
                if name not in NO_ENCODER and task in spread:
                    sd, freedom = spread[task]
                    tolerance = t.ppf((1 + CONFIDENCE) / 2, freedom) * sd * np.sqrt(1 + 1 / len(values))
                rows.append(
                    {
                        "way": title(name),
                        "task": task,
                        "seed": run.seed,
                        "here": here,
                        "reference": mean,
                        "seeds": len(values),
                        "tolerance": tolerance,
                        "same seed": "identical"
                        if same and same[0].metrics == run.metrics
                        else "differs"
                        if same
                        else "",
                        "within": abs(here - mean) <= tolerance,
                    }
                )
    return pd.DataFrame(rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stt_core.reference", description="Write or verify the reference results.")
    parser.add_argument("what", choices=("write", "verify"))
    parser.add_argument("--profile", default="laptop", help="a file in notebooks/profiles")
    parser.add_argument("--data", default="", help="folder of the data, in place of the profile's")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="names of variants or baselines")
    given = parser.parse_args(arguments)
    try:
        changes = {"seeds": given.seeds} | ({"rows": "all"} if given.what == "write" else {})
        study = Study(given.profile, seed=given.seed, data=given.data, settings=changes)
        if given.what == "write":
            names = given.only or [n for n in (*BASELINES, *VARIANTS) if n != "supervised"]
            for path in write(study, names):
                print(study.relative(path))
            return 0
        table = verify(study)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(table.to_string(index=False, float_format="{:.2f}".format))
    missed = int((~table.within).sum())
    print(f"{len(table)} figures, {missed} outside of the tolerance")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
