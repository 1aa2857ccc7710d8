"""The paper's claims, by the rules of the page "How claims are decided": one row a claim and task, with its verdict."""

from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pandas as pd

from stt_core.errors import InputError
from stt_study.analysis import label_errors, retention
from stt_study.benchmarks.registry import TASKS
from stt_study.bootstrap import favours, holm, summary, verdict
from stt_study.results import comparison, report
from stt_study.results.comparison import AFTER, CLEAR
from stt_study.results.tables import with_intervals
from stt_study.study import Study
from stt_study.variants import BASELINES, title


@dataclass(frozen=True)
class Claim:
    """`better` beats `worse` (names of variants or baselines)."""

    text: str
    better: str
    worse: str
    published: tuple[str, str] = ("", "")  # the methods of `book/published.csv` whose figures are the paper's
    family: str = ""  # whose p are corrected together; "": not corrected
    premise: tuple[str, ...] = ()  # what of `label_errors` must be best, then what it must beat; or variants
    backbone: str = "ResNet-18"
    note: str = ""  # on the paper's figures
    where: bool = False  # that the mean difference is larger after an occlusion than in the clear, and a gain
    measure: str = ""  # of `retention.AGAINST_TEACHER`, times 100, in place of a task's figure


PRIMARY, SHARE, MODEL, RELEASE = "primary", "shares", "baselines", "released code"  # families
STEPS = ("step_one", "lab")
UNTESTABLE = "untestable here"
FORGET = ("full method", "learning without forgetting")
TWO = "reconstruction at two levels, from scratch"
SHARES = ("share T = 0.7, from scratch", "share T = {}, from scratch")
SELECTED = "+ entropy selection, from scratch"
ONE_MODEL = "one model for all tasks beats"
CLAIMS = (
    Claim("two steps beat step one alone", "full", "step_one", ("full method", "step one only"), PRIMARY, STEPS),
    Claim("two steps beat step two alone", "full", "step_two", ("full method", "step two only"), PRIMARY, STEPS),
    Claim(
        "global distillation helps",
        "full",
        "no_global",
        ("full method", "no global distillation"),
        PRIMARY,
        label_errors.GLOBAL,
    ),
    Claim(
        "local distillation helps",
        "full",
        "no_local",
        (SELECTED, TWO),
        PRIMARY,
        label_errors.LOCAL,
        note="from scratch",
    ),
    Claim("two steps beat both at once", "full", "one_stage"),
    Claim("global distillation retains spatial features (res5)", "full", "no_global", measure="overlap res5"),
    Claim("global distillation retains spatial features (res4)", "full", "no_global", measure="overlap res4"),
    Claim("global distillation beats learning without forgetting", "full", "forget", FORGET, backbone="ResNet-50"),
    Claim("local distillation helps, from scratch", "step_two", "scratch", (SELECTED, TWO)),
    Claim("local distillation helps most after occlusions", "full", "no_local", where=True),
    Claim("two pyramid levels beat one", "scratch", "one_level", (TWO, "reconstruction at one level, from scratch")),
    Claim("entropy selection beats all queries", "step_two", "share_1", (SHARES[0], SHARES[1].format("1.0")), SHARE),
    Claim("a share of 0.7 beats 0.4", "step_two", "share_0.4", (SHARES[0], SHARES[1].format("0.4")), SHARE),
    Claim("a share of 0.7 beats 0.1", "step_two", "share_0.1", (SHARES[0], SHARES[1].format("0.1")), SHARE),
    Claim(f"{ONE_MODEL} supervised features", "full", "supervised", ("full method", "supervised ImageNet"), MODEL),
    # Comparisons that this study adds.
    Claim("step one's features beat untrained ones", "step_one", "random"),
    Claim("the two distillations together help", "full", "neither"),
    Claim("the text beats the code as released", "full", "released", family=RELEASE),
    Claim("the text beats the code as released with T = -1", "full", "released_soft", family=RELEASE),
    *(
        Claim(f"{ONE_MODEL} {words}", "full", name, family=MODEL)
        for name, words in (("copy", "the first label copied"), ("flow", "optical flow"), ("lab", "the image itself"))
    ),
    Claim(f"{ONE_MODEL} oriented gradients", "full", "hog"),  # joined the baselines after the family was counted
)


def claims(study: Study) -> pd.DataFrame:
    """One row a claim, task and origin (this run's before the reference's), those that can't be judged left out.

    As `bootstrap.summary`, p corrected in its family; "decides": of a primary claim on the primary measure; "baseline":
    beside one; "paper" and "premise" in words.
    """
    published, rows, premise = report.published(), [], cache(partial(_premise, study))
    for claim in CLAIMS:
        for task in TASKS:
            decides = claim.family == PRIMARY and task == study.profile.real_video
            words, effect = _paper(published, claim, task)
            fixed = {"claim": claim.text, "family": claim.family, "task": task, "decides": decides}
            fixed |= {"baseline": claim.worse in BASELINES}
            for origin, row in _judged(study, task, claim).items():
                holds, figures, sources = premise(claim.premise, origin)
                row["files"] += sources
                row = fixed | {"paper": words, "effect": effect} | row | {"origin": origin}
                rows.append(row | {"premise": figures, "testable": holds is not False})
    table = pd.DataFrame(rows)
    if not rows:
        return table
    for (family, *_), some in table[table.testable].groupby(["family", "task", "origin"]):
        if family:
            table.loc[some.index, "p"] = holm(some.p, sum(claim.family == family for claim in CLAIMS))
    sides = table.apply(favours, axis=1) * table.testable
    words = table.apply(lambda row: verdict(row, row.effect, row.decides) if row.testable else UNTESTABLE, axis=1)
    return table.assign(favours=sides, verdict=words)


def _premise(study: Study, names: tuple[str, ...], origin: str) -> tuple[bool | None, str, list[str]]:
    """Whether the first of a `Claim.premise` is better than the others, None where it wasn't measured; figures; files.

    The full method's own file, or what this run measured, is not among the files.
    """
    if not names:
        return None, "", []
    measure, sign, task, files = "label error, %", -1, study.profile.real_video, []
    if names == STEPS:
        found = comparison.by_origin(study, task, names).get(origin, {})
        measure, sign = TASKS[task].headline, 1
        files = [run.path for runs in found.values() for run in runs]
        values = {name: [run.metrics[measure] for run in runs] for name, runs in found.items()}
    elif origin == comparison.OWN:
        own = [label_errors.premises(run) for run in map(study.with_seed, study.seeds)] if study.has("davis") else []
        values = {name: [figures[name] for figures in own] for name in names if own}
    else:
        kept = {run.seed: run.premises for t in TASKS for run in comparison.stored(study, t, "full") if run.premises}
        values = {name: [figures[name] for figures in kept.values()] for name in names if kept}
    if not values:
        return None, "not measured", []
    first, *others = means = [100 * float(np.mean(values[name])) for name in names]
    holds = all(sign * first > sign * other for other in others)
    titles = map(title, names) if names == STEPS else names
    figures = ", ".join(f"{name} {value:.1f}" for name, value in zip(titles, means, strict=True))
    return holds, f"{'holds' if holds else 'fails'} ({measure}: {figures})", files


def _paper(published: pd.DataFrame, claim: Claim, task: str) -> tuple[str, float | None]:
    """The paper's figures on a task and the difference, such as "70.5 - 69.3 = +1.2 (draft)", 1.2; "", None without."""
    own = published[published.benchmark == TASKS[task].official].query(f"stride == '{4 if task == 'fine' else 8}'")
    own = own[(own.metric == TASKS[task].headline) & (own.backbone == claim.backbone)]
    figures = own.drop_duplicates("method").set_index("method")
    # Where the paper has no pair, its authors' later rerun may have one.
    for suffix in ("", ", rerun"):
        pair = figures.reindex([method + suffix for method in claim.published])
        if len(pair) and pair.value.notna().all():
            draft = "draft" * bool(pair.source.str.contains("draft").any())
            notes = [suffix.strip(", "), draft, claim.note, claim.backbone * (claim.backbone != "ResNet-18")]
            better, worse = pair.value
            words = ", ".join(filter(None, notes))
            return f"{better:.1f} - {worse:.1f} = {better - worse:+.1f}" + f" ({words})" * bool(words), better - worse
    return "", None


def primary(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `claims` that decide or, where nobody has real video, those of the shipped world in their place."""
    if table.empty:
        raise InputError("No claim is about what this profile trains; take another, such as laptop.")
    return table[table.decides] if table.decides.any() else table[(table.family == PRIMARY) & (table.task == "davis")]


def in_words(table: pd.DataFrame) -> str:
    """The verdicts of rows of `claims`, such as "Reference, 5 seeds: undecided (local distillation helps) …."."""
    sentences = []
    for origin, some in table.groupby("origin", sort=False):
        verdicts = [f"{verdict} ({', '.join(group.claim)})" for verdict, group in some.groupby("verdict")]
        sentences.append(f"{origin.capitalize()}, {report.seeds_text(some.seeds.max())}: {report.listed(verdicts)}.")
    return " ".join(sentences)


def one_by_one(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `claims` as text, one a claim and origin: all that a verdict is made of."""
    index = ["claim", "origin"] if table.origin.nunique() > 1 else ["claim"]
    text = with_intervals(table).assign(p=_p(table))
    text = text.set_index(index).rename_axis(index=[None] * len(index)).rename(columns={"p": "p, corrected"})
    return text[["verdict", "difference", "p, corrected", "smallest effect", "paper", "premise"]]


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """`claims` as text, one row a claim and task: the paper's figures, what this run says, what the reference says."""
    index, shown = ["claim", "task"], ["difference", "single seeds", "p", "smallest effect", "verdict"]
    text = with_intervals(table).assign(p=_p(table))
    columns = {("paper", ""): table.groupby(index, sort=False).paper.first()}
    for origin in (comparison.OWN, comparison.STORED):
        own = text[text.origin == origin].set_index(index)
        some = [name for name in shown if name != "single seeds" or (own[name] != "1 seed").any()]
        columns |= {(origin, name): own[name] for name in some if len(own)}
    return pd.concat(columns, axis=1).fillna("").rename_axis(index=[None, None])


def against(table: pd.DataFrame) -> pd.DataFrame:
    """As text, the rows of `claims` whose whole interval lies below the paper's effect or, without one, below zero."""
    rows = table[table.high < table.effect.fillna(0)]
    text = with_intervals(rows).set_index(["claim", "task", "origin"]).rename_axis(index=[None] * 3)
    return text[["difference", "single seeds", "paper", "verdict"]] if len(rows) else text


def _p(table: pd.DataFrame) -> pd.Series:
    return table.p.map("{:.2f}".format).where(table.testable & np.isfinite(table.low), "")


def _judged(study: Study, task: str, claim: Claim) -> dict[str, dict]:
    """Origin -> `bootstrap.summary` and "files", for those that have what the claim is about."""
    judged = {}
    for origin, results in comparison.by_origin(study, task, (claim.better, claim.worse)).items():
        better, worse = results[claim.better], results[claim.worse]
        if claim.where:
            after, clear = (comparison.differences(better, worse, where) for where in (AFTER, CLEAR))
            row = summary(after - clear) if after.size else None
            if row and after.mean() <= 0 < row["difference"]:
                row["p"] = 1.0  # to hurt less there isn't to help
        else:
            if claim.measure and origin == comparison.OWN and task in ("davis", "real"):
                better, worse = ([_near(study, task, run) for run in runs] for runs in (better, worse))
            row = comparison.summarised(better, worse, claim.measure)
        if row:
            judged[origin] = {**row, "files": [run.path for run in (*better, *worse)]}
    return judged


def _near(study: Study, task: str, run: comparison.Outcome) -> comparison.Outcome:
    return replace(run, nearness=retention.nearness(study.with_seed(run.seed), task, run.variant))
