"""The paper's claims, one row each and task: its figures, this study's with intervals, and the verdict."""

from dataclasses import dataclass

import pandas as pd

from stt_study.analysis import against_teacher
from stt_study.benchmarks.registry import TASKS
from stt_study.bootstrap import summary, verdict
from stt_study.results import comparison, report
from stt_study.results.comparison import AFTER, CLEAR
from stt_study.results.tables import with_intervals
from stt_study.study import Study


@dataclass(frozen=True)
class Claim:
    """`better` beats `worse` (names of variants or baselines)."""

    text: str
    better: str
    worse: str
    published: tuple[str, str] = ("", "")  # the methods of `book/published.csv` whose figures are the paper's
    backbone: str = "ResNet-18"
    ours: bool = False  # a comparison that this study adds
    where: bool = False  # that the mean difference is larger after an occlusion than in the clear, and a gain
    measure: str = ""  # of `against_teacher.AGAINST_TEACHER`, times 100, in place of a task's figure


FORGET = ("full method", "learning without forgetting")
TWO = "reconstruction at two levels, from scratch"
SHARES = ("share T = 0.7, from scratch", "share T = {}, from scratch")
ONE_MODEL = "one model for all tasks beats"
CLAIMS = (
    Claim("two steps beat step one alone", "full", "step_one", ("full method", "step one only")),
    Claim("two steps beat step two alone", "full", "step_two", ("full method", "step two only")),
    Claim("two steps beat both at once", "full", "one_stage"),
    Claim("global distillation helps", "full", "no_global", ("full method", "no global distillation")),
    Claim("it retains spatial features: res5, which it trains", "full", "no_global", measure="overlap res5"),
    Claim("it retains spatial features: res4, which is used", "full", "no_global", measure="overlap res4"),
    Claim("it beats learning without forgetting", "full", "forget", FORGET, "ResNet-50"),
    Claim("local distillation helps", "full", "no_local"),
    Claim("local distillation helps, from scratch", "step_two", "scratch", ("+ entropy selection, from scratch", TWO)),
    Claim("it helps most where frames don't continue", "full", "no_local", where=True),
    Claim("two pyramid levels beat one", "scratch", "one_level", (TWO, "reconstruction at one level, from scratch")),
    Claim("entropy selection beats all queries", "step_two", "share_1", (SHARES[0], SHARES[1].format("1.0"))),
    Claim("a share of 0.7 beats 0.4", "step_two", "share_0.4", (SHARES[0], SHARES[1].format("0.4"))),
    Claim("a share of 0.7 beats 0.1", "step_two", "share_0.1", (SHARES[0], SHARES[1].format("0.1"))),
    Claim(f"{ONE_MODEL} supervised features", "full", "supervised", ("full method", "supervised ImageNet")),
    Claim("step one's features beat untrained ones", "step_one", "random", ours=True),
    Claim("the two distillations together help", "full", "neither", ours=True),
    Claim("the text beats the code as released", "full", "released", ours=True),
    *(
        Claim(f"{ONE_MODEL} {words}", "full", name, ours=True)
        for name, words in (("copy", "the first label copied"), ("flow", "optical flow"), ("lab", "the image itself"))
    ),
)


def claims(study: Study) -> pd.DataFrame:
    """One row a claim, task and origin (this run's before the reference's), those that can't be judged left out."""
    published, rows = report.published().query("stride == '8'"), []
    for claim in CLAIMS:
        for task in TASKS:
            fixed = {"claim": claim.text, "ours": claim.ours, "task": task, "paper": _paper(published, claim, task)}
            for origin, row in _judged(study, task, claim).items():
                rows.append({**fixed, **row, "origin": origin})
    return pd.DataFrame(rows)


def _paper(published: pd.DataFrame, claim: Claim, task: str) -> str:
    own = published[published.benchmark == TASKS[task].official]
    own = own[(own.metric == TASKS[task].headline) & (own.backbone == claim.backbone)]
    figures = own.drop_duplicates("method").set_index("method").value
    # Where the paper has no pair, its authors' later rerun may have one.
    for suffix, notes in (("", []), (", rerun", ["rerun"])):
        pair = [figures.get(method + suffix) for method in claim.published]
        if None not in pair:
            notes = notes + [claim.backbone] * (claim.backbone != "ResNet-18")
            better, worse = pair
            return f"{better:.1f} - {worse:.1f} = {better - worse:+.1f}" + f" ({', '.join(notes)})" * bool(notes)
    return ""


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """`claims` as text, one row a claim and task: the paper's figures, what this run says, what the reference says."""
    index, shown = ["claim", "task"], ["difference", "single seeds", "verdict"]
    text = with_intervals(table)
    columns = {("paper", ""): table.groupby(index, sort=False).paper.first()}
    for origin in (comparison.OWN, comparison.STORED):
        own = text[text.origin == origin].set_index(index)
        some = [name for name in shown if name != "single seeds" or (own[name] != "1 seed").any()]
        columns |= {(origin, name): own[name] for name in some if len(own)}
    return pd.concat(columns, axis=1).fillna("").rename_axis(index=[None, None])


def _judged(study: Study, task: str, claim: Claim) -> dict[str, dict]:
    """Origin -> `bootstrap.summary`, "verdict" and "files", for those that have what the claim is about."""
    judged = {}
    for origin, results in comparison.by_origin(study, task, (claim.better, claim.worse)).items():
        better, worse = results[claim.better], results[claim.worse]
        helps = True
        if claim.where:
            after, clear = (comparison.differences(better, worse, where) for where in (AFTER, CLEAR))
            row = summary(after - clear) if after.size else None
            helps = after.size and after.mean() > 0  # to hurt less there isn't to help
        elif claim.measure and origin == comparison.OWN:
            has_masks = task in ("davis", "real")
            found = against_teacher.nearer(study, task, claim.better, claim.worse) if has_masks else {}
            row = summary(100 * found[claim.measure]) if found else None
        else:
            row = comparison.summarised(better, worse, claim.measure)
        if row:
            says = verdict(row)
            says = says if helps or says != "supported" else "undecided"
            judged[origin] = {**row, "verdict": says, "files": [run.path for run in (*better, *worse)]}
    return judged
