"""Reference results: a long run's figures, kept in the repository, and how a fresh run compares with them.

python -m stt_study.results.reference write --profile laptop --seeds 3    # after `make ablations SEEDS=3`
python -m stt_study.results.reference verify --profile laptop             # `make verify`
"""

import sys
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro
from scipy.stats import t

from stt_core.errors import InputError
from stt_core.files import read_json, write_json
from stt_core.provenance import machine, provenance, short, versions
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal
from stt_study.analysis import label_errors, retention
from stt_study.benchmarks.registry import TASKS
from stt_study.exit_codes import one_sentence
from stt_study.results import claims, report
from stt_study.results.comparison import OWN, REFERENCE, STORED, condensed, own, processor_text, settings_hash, stored
from stt_study.store import code_fingerprint
from stt_study.study import Study
from stt_study.times import KEPT, kept, times
from stt_study.trainings import LEARNED_FROM
from stt_study.variants import ALL, BASELINES, NO_ENCODER, ROWS, TEACHERS, VARIANTS, title

CONFIDENCE = 0.999  # that a figure of an unchanged library lies within its tolerance


def write(study: Study, names: list[str], out: Path = REFERENCE) -> list[Path]:
    """Write `<profile>/<name>.json` of what this run measured, for all of the study's seeds; train what is missing."""
    # Before anything is written, or the first file would make the commit look changed.
    made = provenance()
    paths = []
    for name in names:
        seeds = {}
        for run in map(study.with_seed, study.seeds):
            source = run.source(name)
            results = {task: run.measure(task, source) for task in run.tasks(name)}
            kept = {task: condensed(found, run.events(task)) for task, found in results.items()}
            if name in retention.NAMES:
                for task in {"davis", "real"} & results.keys():
                    kept[task]["nearness"] = retention.nearness(run, task, name)
            timing, sessions = Path(source).with_name("seconds.json"), _sessions(run, name)
            seeds[str(run.seed)] = {
                "training seconds": read_json(timing)["seconds"] if timing.is_file() else None,
                "threads": _threads(sessions, results),
                "code": training_code(),
                "processors": sorted({processor_text(**session["machine"]) for session in sessions}),
                "commits": sorted({short(session["commit"]) for session in sessions}),
                "measuring seconds": {task: found["seconds"] for task, found in results.items()},
                "weights": next(iter(results.values()))["weights"]["identity"],
                "tasks": kept,
            }
            if name in TEACHERS:
                seeds[str(run.seed)]["premises"] = label_errors.strength(run, name)
            if name == "full" and run.has("davis"):
                seeds[str(run.seed)]["premises"] = label_errors.premises(run)
        content = {
            "variant": name,
            "title": title(name),
            "profile": study.profile.profile,
            "data": {kind: study.data_name(kind) for kind in (*filter(study.has, LEARNED_FROM), *study.tasks(name))},
            "settings": settings_hash(study, name),
            **made,
            "seeds": seeds,
        }
        paths.append(out / study.profile.profile / f"{name}.json")
        write_json(paths[-1], content)
    return paths


def spreads(study: Study) -> dict[tuple[str, str], tuple[float, int]]:
    """(Task, metric) -> standard deviation over seeds, in points, pooled over variants, and its degrees of freedom."""
    found = {}
    for task in TASKS:
        several = [runs for name in VARIANTS if len(runs := stored(study, task, name)) > 1]
        freedom = sum(len(runs) - 1 for runs in several)
        for metric in several[0][0].metrics if several else ():
            squares = sum(len(runs) * np.var([100 * run.metrics[metric] for run in runs]) for runs in several)
            found[task, metric] = float(np.sqrt(squares / freedom)), freedom
    return found


def verify(study: Study) -> pd.DataFrame:
    """A fresh run's figures beside the reference's, one row a variant, task, metric and seed.

    A figure may differ from the reference's mean by t sd sqrt(1 + 1/n), of `CONFIDENCE` and `spreads` (nan: not
    judged); what nothing random enters, and the same seed, versions and machine, only by a hundredth of a point.
    """
    if not (REFERENCE / study.profile.profile).is_dir():
        known = ", ".join(sorted(path.name for path in REFERENCE.glob("*"))) or "none"
        raise InputError(f"there are no reference results for profile {study.profile.profile}; there are: {known}.")
    names = [name for name in (*BASELINES, *ROWS[study.profile.rows]) if name != "supervised"]
    spread, rows = spreads(study), []
    for name, task in product(names, TASKS):
        reference = stored(study, task, name)
        for run in own(study, task, name) if reference else ():
            same = next((other for other in reference if other.seed == run.seed), None)
            exact = name in NO_ENCODER or (same is not None and _same_machine(study, name, run.seed, task))
            for metric, figure in run.metrics.items():
                values = [100 * other.metrics[metric] for other in reference]
                tolerance, mean = 0.01, float(np.mean(values))
                if exact and same is not None:
                    mean = 100 * same.metrics[metric]
                elif not exact:
                    sd, freedom = spread.get((task, metric), (float("nan"), 1))
                    tolerance = float(t.ppf((1 + CONFIDENCE) / 2, freedom) * sd * np.sqrt(1 + 1 / len(values)))
                twin = "" if same is None else "identical" if same.metrics[metric] == figure else "differs"
                row = {"variant": title(name), "task": task, "metric": metric, "seed": run.seed, "here": 100 * figure}
                row |= {"reference": mean, "seeds": len(values), "tolerance": tolerance, "same seed": twin}
                rows.append(row | {"within": np.isnan(tolerance) or abs(100 * figure - mean) <= tolerance})
    if not rows:
        raise InputError(
            f"the reference results of {study.profile.profile} are of other settings or data than this run's."
        )
    return pd.DataFrame(rows)


def verdicts(study: Study) -> pd.DataFrame:
    """The verdicts of `claims` judged by this run ("here") and by the reference, one row a claim and task.

    "agree": "yes" where both favour the same side, "no" where opposite ones, else "undecided".
    """
    table = claims.claims(study)
    if table.empty:  # no claim is about these variants
        return pd.DataFrame(columns=["claim", "task", "here", "reference", "agree"])
    table = table.set_index(["claim", "task"])
    here, kept = (table[table.origin == origin] for origin in (OWN, STORED))
    both = here.index.intersection(kept.index, sort=False)  # one may judge nothing
    here, kept = here.loc[both], kept.loc[both]
    agree = (here.favours * kept.favours).map({1: "yes", 0: "undecided", -1: "no"})
    return pd.DataFrame({"here": here.verdict, "reference": kept.verdict, "agree": agree}).reset_index()


def _same_machine(study: Study, name: str, seed: int, task: str) -> bool:
    """Whether the reference was computed with this run's versions, machine, threads and code of the trainings."""
    content = read_json(REFERENCE / study.profile.profile / f"{name}.json")
    run = study.with_seed(seed)
    same = content["versions"] == versions() and content["machine"] == machine()
    results, kept = {task: run.measure(task, run.source(name))}, content["seeds"][str(seed)]
    return same and (kept["code"], kept["threads"]) == (training_code(), _threads(_sessions(run, name), results))


def training_code() -> str:
    """Fingerprint of the code of both steps: sums in another order already lead to other weights."""
    return code_fingerprint(train_spatial.__module__, train_temporal.__module__)


def _threads(sessions: list[dict], results: dict[str, dict]) -> dict[str, list[int]]:
    """Threads of what results come from: "measured", and "trained", in `_sessions`."""
    measured = sorted({found["machine"]["threads"] for found in results.values()})
    return {"measured": measured, "trained": sorted({session["threads"] for session in sessions})}


def _sessions(run: Study, name: str) -> list[dict]:
    """Where step one and then a variant were trained, a session each; [] of a baseline and of published weights."""
    weights = [run.weights(variant) for variant in ("step_one", name)] if name in VARIANTS else []
    return [session for path in weights for session in read_json(path.with_name("run.json")).get("sessions", ())]


def main(
    what: tyro.conf.Positional[Literal["write", "verify"]],
    profile: str = "laptop",
    data: str = "",
    seed: int = 0,
    seeds: int = 1,
    only: tuple[str, ...] = (),
    fine: tuple[str, ...] = (),
    rates: tuple[float, ...] = (),
) -> int:
    """Write or verify the reference results.

    Args:
        what: which of the two.
        profile: a file in notebooks/profiles.
        data: folder of the data, in place of the profile's.
        seed: the first seed.
        seeds: how many.
        only: names of the variants or baselines to write.
        fine: names of those that are measured on real video at stride 4, too.
        rates: learning rates, to write their sweep on validation clips and nothing else.
    """
    study = Study(profile, seed=seed, data=data, settings={"seeds": seeds, "rates": rates, "fine": fine})
    if rates:
        table, count = report.rate_sweep(study)
        found = {"seeds": count, "rates": table.round(2).to_dict(), "settings": settings_hash(study, "full")}
        write_json(report.SWEPT, report.swept() | {profile: found | provenance()})
        return 0
    if what == "write":
        rows = list(TEACHERS) if study.profile.rows == "teacher" else [*BASELINES, *ALL]
        for path in write(study, list(only) or [name for name in rows if name != "supervised"]):
            print(study.relative(path))
        write_json(KEPT, kept() | {profile: times(study.out)})
        return 0
    table, claimed = verify(study), verdicts(study)
    print(table.to_string(index=False, float_format="{:.2f}".format))
    print(claimed.to_string(index=False))
    missed, equal = int((~table.within).sum()), int((table["same seed"] == "identical").sum())
    unjudged, agree = int(table.tolerance.isna().sum()), claimed.agree.value_counts()
    print(
        f"Figures: {len(table) - missed - unjudged} of {len(table)} reproduced, {missed} outside of the reference's "
        f"spread, {unjudged} without one; {equal} identical to the reference's of the same seed"
    )
    print(
        f"Claims: of {len(claimed)}, this run and the reference favour the same side in {agree.get('yes', 0)}, "
        f"opposite ones in {agree.get('no', 0)}; the others are undecided in one of them"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    with one_sentence():
        code = tyro.cli(main)
    sys.exit(code)
