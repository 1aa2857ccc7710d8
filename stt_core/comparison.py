"""What was measured of a way to train, by this run or in the reference results; and two ways compared, pair by pair."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from stt_core import tables
from stt_core.files import read_json
from stt_core.intervals import summary
from stt_core.study import ROOT, Study
from stt_core.variants import BASELINES, HEADLINE, title

REFERENCE = ROOT / "results" / "reference"  # <profile>/<variant>.json, see `reference`
OWN, STORED = "this run", "reference"
AFTER, BEFORE = "after an occlusion", "before any"  # of an object, in DAVIS's frames


@dataclass(frozen=True)
class Measured:
    """One way to train with one seed, on one task."""

    variant: str
    seed: int
    origin: str  # OWN or STORED
    metrics: dict[str, float]  # 0 to 1
    sequences: dict[str, float]  # sequence -> headline figure, 0 to 1
    occlusion: dict[str, dict[str, float]]  # sequence -> AFTER, BEFORE -> J&F, where a sequence has both
    nearness: dict[str, dict[str, float]] = field(
        default_factory=dict
    )  # sequence -> measures of `learned`; reference only


def condensed(results: dict, events: dict | None = None) -> dict:
    """What comparisons need of a `results.json`: "metrics", "sequences" and "occlusion" of `Measured`.

    Args:
        results: of any task.
        events: the world's `events.json`, which says where objects are occluded; None = unknown.
    """
    table = tables.per_sequence({"one": results})
    sequences = dict(zip(table.sequence, table.iloc[:, -1].astype(float), strict=True))
    return {"metrics": results["metrics"], "sequences": sequences, "occlusion": _by_occlusion(results, events or {})}


def _by_occlusion(results: dict, events: dict) -> dict[str, dict[str, float]]:
    """J&F of objects in frames from their first occlusion on, and in frames before it or without one."""
    split = {}
    for record in results["sequences"] if results["task"] == "davis" else ():
        hidden = events.get(record["name"], {}).get("occlusions", {})
        values: dict[str, list[float]] = {AFTER: [], BEFORE: []}
        for number, scores in enumerate(record["objects"], start=1):
            begins = min(map(int, hidden.get(str(number), ())), default=None)
            for frame, pair in enumerate(zip(scores["J"], scores["F"], strict=True), start=1):  # frame 0 isn't scored
                values[AFTER if begins is not None and frame >= begins else BEFORE].append(sum(pair) / 2)
        if all(values.values()):
            split[record["name"]] = {where: float(np.mean(found)) for where, found in values.items()}
    return split


def events_of(study: Study, task: str) -> dict:
    """The world's list of occlusions; empty for data that have none."""
    path = study.folder(task) / "events.json"
    return read_json(path) if path.is_file() else {}


def stored(study: Study, task: str, name: str) -> list[Measured]:
    """A way's reference results, one a seed; empty where there are none."""
    path = REFERENCE / study.profile.profile / f"{name}.json"
    seeds = read_json(path)["seeds"] if path.is_file() else {}
    return [
        Measured(name, int(seed), STORED, **found["tasks"][task])
        for seed, found in sorted(seeds.items())
        if task in found["tasks"]
    ]


def own(study: Study, task: str, name: str) -> list[Measured]:
    """A way's results in this run, one a seed, trained and measured where they are missing.

    Empty for a way that this run doesn't train, or a task whose data aren't at hand.
    """
    trains = name in BASELINES or name in HEADLINE or study.profile.rows == "all"
    if not trains or not study.has(task) or (name == "supervised" and not study.supervised):
        return []
    events = events_of(study, task)
    found = []
    for seed in study.seeds:
        run = study.with_seed(seed)
        found.append(Measured(name, seed, OWN, **condensed(run.measure(task, run.source(name)), events)))
    return found


def measured(study: Study, task: str, name: str) -> list[Measured]:
    """This run's results where it has the way, else the reference's."""
    return own(study, task, name) or stored(study, task, name)


def by_origin(study: Study, task: str, names: Iterable[str]) -> dict[str, dict[str, list[Measured]]]:
    """Origin -> name -> results, OWN first; without an origin that lacks one of the ways."""
    names = list(names)
    found = {
        origin: {name: source(study, task, name) for name in names} for origin, source in ((OWN, own), (STORED, stored))
    }
    return {origin: results for origin, results in found.items() if all(results.values())}


def together(study: Study, task: str, names: Iterable[str]) -> dict[str, list[Measured]]:
    """Results of several ways, all of this run or, where it lacks one, all of the reference; {} where that lacks one, too."""
    return next(iter(by_origin(study, task, names).values()), {})


def differences(first: list[Measured], second: list[Measured], where: str | None = None) -> np.ndarray:
    """First minus second in points, (seeds, sequences), of the seeds and sequences of both.

    Args:
        where: AFTER or BEFORE, for the J&F of these frames alone, or a measure of `nearness`; None = the headline figure.

    Raises:
        ValueError: sequences that only one of the two has.
    """
    others = {run.seed: _values(run, where) for run in second}
    pairs = [(_values(run, where), others[run.seed]) for run in first if run.seed in others]
    for mine, theirs in pairs:
        if mine.keys() != theirs.keys() or mine.keys() != pairs[0][0].keys():
            odd = sorted(mine.keys() ^ theirs.keys() or mine.keys() ^ pairs[0][0].keys())[0]
            raise ValueError(f"{first[0].variant} and {second[0].variant} were not both scored on {odd}.")
    rows = [[100 * (mine[name] - theirs[name]) for name in mine] for mine, theirs in pairs]
    return np.array(rows, float).reshape(len(rows), -1)


def _values(run: Measured, where: str | None) -> dict[str, float]:
    if where is None:
        return run.sequences
    records = run.occlusion if where in (AFTER, BEFORE) else run.nearness
    return {name: record[where] for name, record in records.items()}


def compared(study: Study, task: str, first: str, second: str) -> dict | None:
    """`intervals.summary` of first minus second on a task, with its "origin"; None where it can't be told."""
    found = together(study, task, (first, second))
    table = differences(found[first], found[second]) if found else np.empty((0, 0))
    if not table.size:
        return None
    return {**summary(table), "origin": found[first][0].origin}


def means(study: Study, task: str, names: Iterable[str]) -> pd.DataFrame:
    """One row a way: every metric in percent, mean over seeds; "seeds", "spread" (of the headline figure) and "origin"."""
    rows = {}
    for name in names:
        runs = measured(study, task, name)
        if not runs:
            continue
        values = pd.DataFrame([run.metrics for run in runs]).mul(100)
        headline = values[tables.MAIN["davis" if task == "real" else task]]
        rows[title(name)] = {
            **values.mean().to_dict(),
            "spread": float(headline.std(ddof=1)) if len(runs) > 1 else float("nan"),
            "seeds": len(runs),
            "origin": runs[0].origin,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def relative_reference(profile: str) -> Path:
    """Where a profile's reference results lie, from the repository's root."""
    return (REFERENCE / profile).relative_to(ROOT)
