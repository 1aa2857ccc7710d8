"""The paper's claims, one row each and task: its figures, this study's with intervals, and the verdict by a stated rule."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stt_core import comparison, report
from stt_core.comparison import AFTER, BEFORE
from stt_core.intervals import summary, verdict
from stt_core.study import Study


@dataclass(frozen=True)
class Claim:
    """The paper says that `better` beats `worse` (names of variants or baselines).

    `published`: the methods of `book/published.csv` whose J&F-Mean are the paper's figures, "" where it has none.
    `where`: the claim isn't about the mean difference but that it is larger after an occlusion than before any.
    """

    text: str
    better: str
    worse: str
    published: tuple[str, str] = ("", "")
    backbone: str = "ResNet-18"
    where: bool = False


SHARES = ("share T = 0.7, from scratch", "share T = {}, from scratch")
ONE_MODEL = "one model for all tasks beats"
CLAIMS = (
    Claim("two steps beat step one alone", "full", "step_one", ("full method", "step one only")),
    Claim("two steps beat step two alone", "full", "step_two", ("full method", "step two only")),
    Claim("two steps beat both at once", "full", "one_stage"),
    Claim("step one's features beat untrained ones", "step_one", "random"),
    Claim("global distillation helps", "full", "no_global", ("full method", "no global distillation")),
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
    """One row a claim and task, those that can't be told left out.

    Returns:
        Columns: claim, task, data, paper (points of J&F-Mean, nan where it has none), those of `intervals.summary`, origin
        ("this run" or "reference"), verdict.
    """
    published = report.published().query("metric == 'J&F-Mean' and stride == '8'")
    figures = published.drop_duplicates(["method", "backbone"]).set_index(["method", "backbone"]).value
    rows = []
    for claim in CLAIMS:
        for task in report.TASKS:
            found = comparison.together(study, task, (claim.better, claim.worse))
            table = _differences(claim, *found.values()) if found else np.empty((0, 0))
            if not table.size:
                continue
            keys = [(method, claim.backbone) for method in claim.published]
            known = task in ("davis", "real") and all(key in figures for key in keys)
            row = summary(table)
            rows.append(
                {
                    "claim": claim.text,
                    "task": task,
                    "data": report.data_name(study, task) if study.has(task) else task,
                    "paper": figures[keys[0]] - figures[keys[1]] if known else float("nan"),
                    **row,
                    "origin": found[claim.better][0].origin,
                    "verdict": verdict(row),
                }
            )
    return pd.DataFrame(rows)


def _differences(claim: Claim, better: list, worse: list) -> np.ndarray:
    """(seeds, sequences), in points."""
    if not claim.where:
        return comparison.differences(better, worse)
    return comparison.differences(better, worse, AFTER) - comparison.differences(better, worse, BEFORE)
