"""What was measured of a variant, by this run or in the reference results; and two variants compared, pair by pair."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd

from stt_core.files import read_json
from stt_study.benchmarks.registry import TASKS
from stt_study.bootstrap import summary
from stt_study.results import tables
from stt_study.store import hash_of
from stt_study.study import Study
from stt_study.trainings import ROOT
from stt_study.variants import BASELINES, HEADLINE, VARIANTS, title

REFERENCE = ROOT / "results" / "reference"  # <profile>/<variant>.json, see `reference`
OWN, STORED = "this run", "reference"
AFTER, CLEAR = "after an occlusion", "in the clear"  # of an object, in DAVIS's frames


@dataclass(frozen=True)
class Outcome:
    """One variant with one seed, on one task."""

    variant: str
    seed: int
    origin: str  # OWN or STORED
    metrics: dict[str, float]  # 0 to 1
    sequences: dict[str, float]  # sequence -> headline figure, 0 to 1
    occlusion: dict[str, dict[str, float]]  # sequence -> AFTER, CLEAR -> J&F, see `condensed`
    weights: dict[str, int]  # sequence -> how much it counts in the mean: DAVIS counts objects
    # Sequence -> measures of `against_teacher`; in the reference only.
    nearness: dict[str, dict[str, float]] = field(default_factory=dict)
    path: str = ""  # of the file of results


def condensed(results: dict, events: dict | None = None) -> dict:
    """What comparisons need of a `results.json`: "metrics", "sequences", "weights" and "occlusion" of `Outcome`.

    "occlusion" has J&F of a sequence's objects from their first occlusion on (AFTER), and that of objects of all sequences
    which weren't hidden so far, at the same frame numbers (CLEAR): labels are worse late in a clip anyhow.

    Args:
        results: of any task.
        events: the world's `events.json`, which says where objects are occluded; None = unknown.
    """
    table = tables.per_sequence({"one": results})
    sequences = dict(zip(table.sequence, table.iloc[:, -1].astype(float), strict=True))
    davis = results["task"] == "davis"
    return {
        "metrics": results["metrics"],
        "sequences": sequences,
        "weights": {record["name"]: len(record["objects"]) if davis else 1 for record in results["sequences"]},
        "occlusion": _by_occlusion(results["sequences"], events) if davis and events else {},
    }


def _by_occlusion(records: list[dict], events: dict) -> dict[str, dict[str, float]]:
    clear: dict[int, list[float]] = {}  # frame -> J&F of the objects that weren't hidden so far
    after: dict[str, list[tuple[int, float]]] = {}  # sequence -> frame and J&F of those that were
    for record in records:
        hidden = events.get(record["name"], {}).get("occlusions", {})
        for number, scores in enumerate(record["objects"], start=1):
            begins = min(map(int, hidden.get(str(number), ())), default=None)
            for frame, pair in enumerate(zip(scores["J"], scores["F"], strict=True), start=1):  # frame 0 isn't scored
                if begins is not None and frame >= begins:
                    after.setdefault(record["name"], []).append((frame, sum(pair) / 2))
                else:
                    clear.setdefault(frame, []).append(sum(pair) / 2)
    split = {}
    for name, found in after.items():
        pairs = [(score, np.mean(clear[frame])) for frame, score in found if frame in clear]
        if pairs:
            split[name] = dict(zip((AFTER, CLEAR), map(float, np.mean(pairs, axis=0)), strict=True))
    return split


def settings_hash(study: Study, name: str) -> str:
    """Hash of the settings that a variant is trained and measured with, but for the seed and for what a run derives itself."""
    profile = study.profile
    variant = VARIANTS.get(name)
    parts = [profile.teacher, profile.spatial, profile.temporal, profile.scratch_lr, profile.max_gap, profile.aspect]
    parts += [profile.carry_weights, profile.world, profile.evaluation]
    return hash_of([*parts, variant and [variant.steps, variant.changes, variant.local], name])


def stored(study: Study, task: str, name: str) -> list[Outcome]:
    """A variant's reference results, one a seed; empty where there are none, or none of these settings and data."""
    path = REFERENCE / study.profile.profile / f"{name}.json"
    content = read_json(path) if path.is_file() else {}
    if not content or content["settings"] != settings_hash(study, name):
        return []
    if study.has(task) and content["data"].get(task) != study.data_name(task):
        return []
    return [
        Outcome(name, int(seed), STORED, **found["tasks"][task], path=str(path))
        for seed, found in sorted(content["seeds"].items())
        if task in found["tasks"]
    ]


def reference_runs(study: Study) -> pd.DataFrame:
    """One row a variant that has reference results for this run's settings: on what, with what and when they were made."""
    rows = {}
    for path in sorted((REFERENCE / study.profile.profile).glob("*.json")):
        content = read_json(path)
        if content["settings"] == settings_hash(study, path.stem):
            known = [s for found in content["seeds"].values() if (s := found["training seconds"])]
            rows[content["title"]] = {
                "seeds": ", ".join(content["seeds"]),
                "training, minutes a seed": f"{sum(known) / len(known) / 60:.1f}" if known else "",
                "processor": content["machine"]["processor"],
                "torch": content["versions"]["torch"],
                "commit": content["commit"][:8],
            }
    return pd.DataFrame.from_dict(rows, orient="index")


@cache  # the claims share most of their variants
def own(study: Study, task: str, name: str) -> list[Outcome]:
    """A variant's results in this run, one a seed, trained and measured where they are missing.

    Empty for a variant that this run doesn't train, or a task whose data aren't at hand.
    """
    trains = name in BASELINES or name in HEADLINE or study.profile.rows == "all"
    if not trains or not study.has(task) or (name == "supervised" and not study.supervised):
        return []
    found = []
    for run in map(study.with_seed, study.seeds):
        results = run.measure(task, run.source(name))
        found.append(Outcome(name, run.seed, OWN, **condensed(results, run.events(task)), path=results["path"]))
    return found


def by_origin(study: Study, task: str, names: Iterable[str]) -> dict[str, dict[str, list[Outcome]]]:
    """Origin -> name -> results, OWN first; without an origin that lacks one of them."""
    names, sources = list(names), {OWN: own, STORED: stored}
    found = {origin: {name: source(study, task, name) for name in names} for origin, source in sources.items()}
    return {origin: results for origin, results in found.items() if all(results.values())}


def of_one_origin(study: Study, task: str, names: Iterable[str]) -> dict[str, list[Outcome]]:
    """Results of several variants, all of this run or, where it lacks one, all of the reference; {} if that does, too."""
    return next(iter(by_origin(study, task, names).values()), {})


def differences(first: list[Outcome], second: list[Outcome], where: str | None = None) -> np.ndarray:
    """First minus second in points, (seeds, sequences), of the seeds and sequences of both.

    Args:
        where: AFTER or CLEAR, for the J&F of these frames alone, or a measure of `nearness`; None = the headline figure.

    Raises:
        ValueError: sequences that only one of the two has.
    """
    others = {run.seed: _values(run, where) for run in second}
    pairs = [(_values(run, where), others[run.seed]) for run in first if run.seed in others]
    for mine, theirs in pairs:
        if mine.keys() != theirs.keys() or mine.keys() != pairs[0][0].keys():
            odd = sorted(mine.keys() ^ theirs.keys() or mine.keys() ^ pairs[0][0].keys())[0]
            raise ValueError(f"{first[0].variant} and {second[0].variant} were not both scored on {odd}.")
    return np.array([[100 * (mine[name] - theirs[name]) for name in mine] for mine, theirs in pairs], float, ndmin=2)


def weights(runs: list[Outcome]) -> np.ndarray:
    """How much each sequence counts in the mean, (sequences,), in the order of `differences`."""
    return np.array([runs[0].weights[name] for name in runs[0].sequences], float)


def _values(run: Outcome, where: str | None) -> dict[str, float]:
    if where is None:
        return run.sequences
    records = run.occlusion if where in (AFTER, CLEAR) else run.nearness
    return {name: record[where] for name, record in records.items()}


def compared(study: Study, task: str, first: str, second: str) -> dict | None:
    """`bootstrap.summary` of first minus second on a task, with "origin" and "files"; None where it can't be told."""
    found = of_one_origin(study, task, (first, second))
    table = differences(found[first], found[second]) if found else np.empty((0, 0))
    if not table.size:
        return None
    files = [run.path for run in (*found[first], *found[second])]
    return {**summary(table, weights(found[first])), "origin": found[first][0].origin, "files": files}


def means(study: Study, task: str, names: Iterable[str]) -> pd.DataFrame:
    """One row a variant: every metric in percent, mean over seeds; "seeds", "spread" (of the headline figure) and "origin"."""
    rows = {}
    for name in names:
        runs = own(study, task, name) or stored(study, task, name)
        if not runs:
            continue
        values = pd.DataFrame([run.metrics for run in runs]).mul(100)
        headline = values[TASKS[task].headline]
        rows[title(name)] = {
            **values.mean().to_dict(),
            "spread": float(headline.std(ddof=1)) if len(runs) > 1 else float("nan"),
            "seeds": len(runs),
            "origin": runs[0].origin,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
