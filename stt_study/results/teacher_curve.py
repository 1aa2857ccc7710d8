"""What each teacher gains over none, by its strength: the rows, the sentence and the figure's data of page 18."""

import pandas as pd
from scipy.stats import permutation_test, spearmanr

from stt_study.analysis.label_errors import STAY, TEACHER
from stt_study.bootstrap import ENOUGH, LEVEL, favours
from stt_study.results.comparison import by_origin, summarised
from stt_study.results.report import listed, seeds_text, worded
from stt_study.results.tables import with_intervals
from stt_study.study import Study
from stt_study.variants import QUARTER, TAUGHT

NONE, UNTRAINED, STEP_ONE, ORACLE = "teacher_none", "teacher_untrained", "teacher_step_one", "teacher_oracle"
NAMED = {ORACLE: "the oracle", STEP_ONE: "step one's teacher", UNTRAINED: "the untrained teacher"}  # of the sentence
OVER = "over step one's"
WEIGHTS = {"the whole weight": TAUGHT, "a quarter of the weight": QUARTER}


def study_of(study: Study) -> Study:
    """The study itself if its rows are the teachers; else one that has no more of them than reference results."""
    return study if study.profile.rows == "teacher" else Study("teacher", settings={"rows": "headline"})


def curve(study: Study, task: str) -> pd.DataFrame:
    """One row a teacher and weight of `WEIGHTS`: what it is, "label error" and `STAY`'s, both 0 to 1, means over seeds.

    And `bootstrap.summary` of its J&F minus that without a teacher, in points; `OVER`, `bootstrap.favours` of it minus
    step one's teacher with the same weight; "origin" and "files" as `compared` has them. Empty without results.
    """
    rows = []
    for weight, variants in WEIGHTS.items():
        usual = next(v.name for v, whole in zip(variants, TAUGHT, strict=True) if whole.name == STEP_ONE)
        for variant, whole in zip(variants, TAUGHT, strict=True):
            for origin, found in by_origin(study, task, (variant.name, usual, NONE)).items():
                taught, without = found[variant.name], found[NONE]
                if row := summarised(taught, without):
                    strength = pd.DataFrame([run.premises for run in taught]).mean()
                    row |= {"label error": strength[TEACHER], STAY: strength[STAY], "origin": origin}
                    row |= {OVER: favours(summarised(taught, found[usual]))}
                    row |= {"files": [run.path for run in (*taught, *without)]}
                    rows.append({"teacher": whole.title, "name": whole.name, "weight": weight} | row)
                    break
    return pd.DataFrame(rows)


def conclusion(table: pd.DataFrame) -> list[str]:
    """A `curve` in words, one string a weight: `NAMED` teachers beside none; does the gain rise with the strength."""
    sentences = []
    for weight, some in table.groupby("weight", sort=False):
        own = some.set_index("name")
        if not {*NAMED} <= {*own.index}:
            continue
        named = {name: own.loc[name].to_dict() for name in NAMED}
        best, usual = named[ORACLE], named[STEP_ONE]
        beside = listed([f"{NAMED[name]} {worded(row, 'no teacher', 'J&F-Mean')}" for name, row in named.items()])
        found = listed([f"{row['smallest effect']:.1f}" for row in named.values()])
        more = ""
        if best[OVER]:
            cause = ": the teacher is the cause" * (favours(best) > 0 >= favours(usual) and best[OVER] > 0)
            more = f"The oracle gains {'more' if best[OVER] > 0 else 'less'} than step one's teacher{cause}. "
        whose = seeds_text(best["seeds"]) + ", these weights" * (best["seeds"] < ENOUGH)
        strengths = -own["label error"]
        # Of so few teachers all orders are tried.
        rank = permutation_test(
            (own.difference,), lambda gains, x=strengths: spearmanr(x, gains).statistic, permutation_type="pairings"
        )
        rises = "rises" if rank.statistic > 0 else "falls"
        rises = rises if rank.pvalue <= 1 - LEVEL else "neither rises nor falls clearly"
        sentences.append(
            f"With {weight} ({whose}), {beside}; four of five such studies would find effects of {found} points. "
            f"{more}The gain {rises} with the teacher's strength (rank correlation {rank.statistic:+.2f} over "
            f"{len(own)} teachers)."
        )
    return sentences


def able(table: pd.DataFrame) -> str:
    """Which teachers of a `curve` copy labels better than if all stay where they are."""
    names = list(dict.fromkeys(table.teacher[table["label error"] < table[STAY]])) or ["none"]
    return f"Better than *all stay where they are*, of {table.teacher.nunique()} teachers: {listed(names)}."


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A `curve` as text, one row a teacher and weight."""
    text = with_intervals(table)
    columns = {"label error, %": (100 * table["label error"]).map("{:.1f}".format), "gain, points": text.difference}
    columns |= {"smallest effect": text["smallest effect"]}
    columns |= {name: table[name] for name in ("seeds", "sequences", "origin")}
    index = pd.MultiIndex.from_frame(table[["weight", "teacher"]])
    return pd.DataFrame(columns).set_axis(index)
