"""The paper's claims, one row each and task: its figures, this study's with intervals, and the verdict by a stated rule."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stt_core import comparison, learned, report
from stt_core.comparison import AFTER, BEFORE, Measured
from stt_core.intervals import summary, verdict
from stt_core.study import Study


@dataclass(frozen=True)
class Claim:
    """The paper says that `better` beats `worse` (names of variants or baselines).

    `published`: the methods of `book/published.csv` whose J&F-Mean are the paper's figures, "" where it has none.
    `measure`: the claim isn't about a task's figure but about one of `learned.AGAINST_TEACHER`, times 100.
    `where`: the claim isn't about the mean difference but that it is larger after an occlusion than before any.
    """

    text: str
    better: str
    worse: str
    published: tuple[str, str] = ("", "")
    backbone: str = "ResNet-18"
    where: bool = False
    measure: str = ""


SHARES = ("share T = 0.7, from scratch", "share T = {}, from scratch")
ONE_MODEL = "one model for all tasks beats"
CLAIMS = (
    Claim("two steps beat step one alone", "full", "step_one", ("full method", "step one only")),
    Claim("two steps beat step two alone", "full", "step_two", ("full method", "step two only")),
    Claim("two steps beat both at once", "full", "one_stage"),
    Claim("step one's features beat untrained ones", "step_one", "random"),
    Claim("global distillation helps", "full", "no_global", ("full method", "no global distillation")),
    Claim("it retains spatial features (neighbour overlap)", "full", "no_global", measure="overlap res5"),
    Claim(
        "it beats learning without forgetting",
        "full",
        "forget",
        ("full method", "learning without forgetting"),
        "ResNet-50",
    ),
    Claim("local distillation helps", "full", "no_local"),
    Claim(
        "local distillation helps, from scratch",
        "step_two",
        "scratch",
        ("+ entropy selection, from scratch", "reconstruction at two levels, from scratch"),
    ),
    Claim("it helps most where frames don't continue", "full", "no_local", where=True),
    Claim("the two distillations together help", "full", "neither"),
    Claim(
        "two pyramid levels beat one",
        "scratch",
        "one_level",
        ("reconstruction at two levels, from scratch", "reconstruction at one level, from scratch"),
    ),
    Claim("entropy selection beats all queries", "step_two", "share_1", (SHARES[0], SHARES[1].format("1.0"))),
    Claim("a share of 0.7 beats 0.4", "step_two", "share_0.4", (SHARES[0], SHARES[1].format("0.4"))),
    Claim("a share of 0.7 beats 0.1", "step_two", "share_0.1", (SHARES[0], SHARES[1].format("0.1"))),
    Claim("the text beats the code as released", "full", "released"),
    *(
        Claim(f"{ONE_MODEL} {words}", "full", name, published)
        for name, words, published in (
            ("copy", "the first label copied", ("", "")),
            ("flow", "optical flow", ("", "")),
            ("lab", "the image itself", ("", "")),
            ("supervised", "supervised features", ("full method", "supervised ImageNet")),
        )
    ),
)


def claims(study: Study) -> pd.DataFrame:
    """One row a claim, task and origin ("this run", "reference"), those that can't be told left out.

    Returns:
        Columns: claim, task, data, paper (points of J&F-Mean, nan where it has none), those of `intervals.summary`, origin,
        verdict. This run's row comes before the reference's.
    """
    published = report.published().query("metric == 'J&F-Mean' and stride == '8'")
    figures = published.drop_duplicates(["method", "backbone"]).set_index(["method", "backbone"]).value
    rows = []
    for claim in CLAIMS:
        keys = [(method, claim.backbone) for method in claim.published]
        for task in report.TASKS:
            known = task in ("davis", "real") and all(key in figures for key in keys)
            fixed = {
                "claim": claim.text,
                "task": task,
                "data": report.data_name(study, task) if study.has(task) else task,
            }
            fixed["paper"] = figures[keys[0]] - figures[keys[1]] if known else float("nan")
            for origin, table in _differences(study, task, claim).items():
                if table.size:
                    row = summary(table)
                    rows.append({**fixed, **row, "origin": origin, "verdict": verdict(row)})
    return pd.DataFrame(rows)


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """`claims` as one row a claim and task: the paper's figure, then what this run says and what the reference says."""
    index, shown = ["claim", "task"], ["difference", "low", "high", "seeds", "verdict"]
    columns = {("", "paper"): table.groupby(index, sort=False).paper.first()}
    for origin in (comparison.OWN, comparison.STORED):
        own = table[table.origin == origin].set_index(index)
        columns |= {(origin, name): own[name].astype(object) for name in shown if len(own)}
    return pd.concat(columns, axis=1)


def _differences(study: Study, task: str, claim: Claim) -> dict[str, np.ndarray]:
    """Origin -> (seeds, sequences), in points."""
    found = comparison.by_origin(study, task, (claim.better, claim.worse))
    pairs = {origin: (results[claim.better], results[claim.worse]) for origin, results in found.items()}
    if claim.where:
        return {origin: _around_occlusions(*pair) for origin, pair in pairs.items()}
    if not claim.measure:
        return {origin: comparison.differences(*pair) for origin, pair in pairs.items()}
    told = {}
    if comparison.OWN in pairs and task in ("davis", "real"):  # what has masks
        told[comparison.OWN] = 100 * learned.nearer(study, task, claim.better, claim.worse)[claim.measure]
    if comparison.STORED in pairs:
        told[comparison.STORED] = comparison.differences(*pairs[comparison.STORED], claim.measure)
    return told


def _around_occlusions(better: list[Measured], worse: list[Measured]) -> np.ndarray:
    return comparison.differences(better, worse, AFTER) - comparison.differences(better, worse, BEFORE)
