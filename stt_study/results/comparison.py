"""What was measured of a variant, by this run or in the reference results; and two variants compared, pair by pair."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd

from stt_core.errors import InputError
from stt_core.files import read_json
from stt_core.provenance import short
from stt_study.analysis import label_errors
from stt_study.bootstrap import summary
from stt_study.results import tables
from stt_study.store import hash_of
from stt_study.study import Study
from stt_study.trainings import LEARNED_FROM, ROOT
from stt_study.variants import BASELINES, TEACHERS, VARIANTS

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
    nearness: dict[str, dict[str, float]] = field(default_factory=dict)  # of `retention`; in the reference only
    # `label_errors.premises` of the reference's full method, `label_errors.strength` of the variants of `TEACHERS`.
    premises: dict[str, float] = field(default_factory=dict)
    path: str = ""  # of the file of results

    def scores(self, where: str = "") -> dict[str, float]:
        """Sequence -> its headline figure, or one of `occlusion` (AFTER, CLEAR) or of `nearness`."""
        records = self.occlusion if where in (AFTER, CLEAR) else self.nearness
        return {name: record[where] for name, record in records.items()} if where else self.sequences


def condensed(results: dict, events: dict | None = None) -> dict:
    """What comparisons need of a `results.json`: "metrics", "sequences", "weights" and "occlusion" of `Outcome`."""
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
    """J&F of objects from their first occlusion on (AFTER), and of those not hidden so far at the same frames."""
    rows = []
    for record in records:
        hidden = events.get(record["name"], {}).get("occlusions", {})
        for number, scores in enumerate(record["objects"], start=1):
            begins = min(map(int, hidden.get(str(number), ())), default=np.inf)
            for frame, pair in enumerate(zip(scores["J"], scores["F"], strict=True), start=1):  # frame 0 isn't scored
                rows.append((record["name"], frame, frame >= begins, sum(pair) / 2))
    table = pd.DataFrame(rows, columns=["name", "frame", "was hidden", AFTER])
    clear = table[~table["was hidden"]].groupby("frame")[AFTER].mean().rename(CLEAR)
    # At the same frames, since labels are worse late in a clip anyhow.
    after = table[table["was hidden"]].join(clear, on="frame", how="inner")
    return after.groupby("name", sort=False)[[AFTER, CLEAR]].mean().to_dict(orient="index")


def settings_hash(study: Study, name: str) -> str:
    """Hash of what a variant is trained and measured with, but for the seed and for what a run derives itself."""
    profile = study.profile
    variant = VARIANTS.get(name)
    parts = [profile.teacher, profile.spatial, profile.temporal, profile.scratch_lr, profile.max_gap, profile.aspect]
    parts += [profile.min_gap, profile.carry_weights, profile.world, profile.evaluation, profile.published]
    own = variant and [variant.steps, variant.changes, variant.local, variant.teacher, variant.pull]
    return hash_of([*parts, own, name])


def stored(study: Study, task: str, name: str) -> list[Outcome]:
    """A variant's reference results, one a seed; empty where there are none, or none of these settings and data."""
    path = REFERENCE / study.profile.profile / f"{name}.json"
    content = read_json(path) if path.is_file() else {}
    if not content or content["settings"] != settings_hash(study, name):
        return []
    kinds = (task,) if name in BASELINES else (task, *LEARNED_FROM)
    if any(study.has(kind) and content["data"].get(kind) != study.data_name(kind) for kind in kinds):
        return []
    return [
        Outcome(name, int(seed), STORED, **found["tasks"][task], premises=found.get("premises", {}), path=str(path))
        for seed, found in sorted(content["seeds"].items())
        if task in found["tasks"]
    ]


def reference_runs(study: Study) -> pd.DataFrame:
    """One row a variant that has reference results for this run's settings: how they were made."""
    rows = {}
    for path in sorted((REFERENCE / study.profile.profile).glob("*.json")):
        content = read_json(path)
        if content["settings"] == settings_hash(study, path.stem):
            known = [s for found in content["seeds"].values() if (s := found["training seconds"])]
            rows[content["title"]] = {
                "seeds": ", ".join(content["seeds"]),
                "training, minutes a seed": f"{sum(known) / len(known) / 60:.1f}" if known else "",
                "processor": _of_all(content, "processors") or processor_text(**content["machine"]),
                "torch": content["versions"]["torch"],
                "commit": _of_all(content, "commits") or short(content["commit"]),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def processor_text(processor: str, instructions: list[str], **_: object) -> str:
    """Of a `provenance.machine`, in words; without AMX, `precision: auto` is another."""
    return processor + " with AMX" * any(name.startswith("amx") for name in instructions)


def _of_all(content: dict, field: str) -> str:
    return ", ".join(sorted({value for found in content["seeds"].values() for value in found[field]}))


def reference_data(study: Study) -> dict[str, str]:
    """Task -> the data of the profile's reference results."""
    path = REFERENCE / study.profile.profile / "full.json"
    return read_json(path)["data"] if path.is_file() else {}


def of_other_data(study: Study) -> list[str]:
    """A sentence on each kind of data for which reference results are left out, since this run's are others."""
    sentences = []
    for kind, words in reference_data(study).items():
        if study.has(kind) and words != (here := study.data_name(kind)):
            what, data = ("all trainings", kind) if kind in LEARNED_FROM else (kind, "data")
            sentences.append(
                f"The reference results of {what} are of other {data} ({words}) and not shown beside {here}."
            )
    return sentences


@cache  # the claims share most of their variants
def own(study: Study, task: str, name: str) -> list[Outcome]:
    """A variant's results in this run, one a seed, made where missing; [] where it isn't trained or has no data."""
    if not study.taken([name]) or task not in study.tasks(name):
        return []
    found = []
    for run in map(study.with_seed, study.seeds):
        results = run.measure(task, run.source(name))
        strength = label_errors.strength(run, name) if name in TEACHERS else {}
        kept = condensed(results, run.events(task))
        found.append(Outcome(name, run.seed, OWN, **kept, premises=strength, path=results["path"]))
    return found


def known(study: Study, task: str, name: str) -> list[Outcome]:
    """A variant's results in this run or, where it isn't trained here, in the reference."""
    return own(study, task, name) or stored(study, task, name)


def by_origin(study: Study, task: str, names: Iterable[str]) -> dict[str, dict[str, list[Outcome]]]:
    """Origin -> name -> results, OWN first; without an origin that lacks one of them."""
    names, sources = list(names), {OWN: own, STORED: stored}
    found = {origin: {name: source(study, task, name) for name in names} for origin, source in sources.items()}
    return {origin: results for origin, results in found.items() if all(results.values())}


def differences(first: list[Outcome], second: list[Outcome], where: str = "") -> np.ndarray:
    """First minus second in points, (seeds, sequences), of the seeds of both; `where`: as of `Outcome.scores`."""
    others = {run.seed: run.scores(where) for run in second}
    pairs = [(run.scores(where), others[run.seed]) for run in first if run.seed in others]
    for mine, theirs in pairs if not where else ():
        if odd := mine.keys() ^ theirs.keys():
            raise InputError(f"{min(odd)} is in one of two results that are compared; measure both on the same data.")
    return np.array([[100 * (score - theirs[name]) for name, score in mine.items()] for mine, theirs in pairs], ndmin=2)


def summarised(first: list[Outcome], second: list[Outcome], where: str = "") -> dict | None:
    """`bootstrap.summary` of `differences`, weighted as the headline figure is; None where there are none."""
    table = differences(first, second, where)
    weights = None if where else np.array([first[0].weights[name] for name in first[0].sequences], float)
    return summary(table, weights) if table.size else None


def compared(study: Study, task: str, first: str, second: str) -> dict | None:
    """`summarised` on a task, with "origin" and "files": of this run or, where it lacks one, of the reference."""
    for origin, found in by_origin(study, task, (first, second)).items():
        if row := summarised(found[first], found[second]):
            return {**row, "origin": origin, "files": [run.path for run in (*found[first], *found[second])]}
    return None
