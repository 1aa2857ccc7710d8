"""The tables that end the study: differences with intervals, benchmarks. All from result files."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from stt_core.files import read_json
from stt_study.benchmarks.registry import PRESETS, TASKS
from stt_study.bootstrap import favours, summary
from stt_study.results import comparison, tables
from stt_study.study import Study
from stt_study.trainings import ROOT
from stt_study.variants import BASELINES, HEADLINE, NO_ENCODER, VARIANTS, title

SWEPT = ROOT / "results" / "rates.json"  # profile -> `rate_sweep`


def published() -> pd.DataFrame:
    """Published figures, one row each, in percent; the only figures of the book that were not computed."""
    return pd.read_csv(ROOT / "book" / "published.csv", dtype={"stride": str})


def differences(study: Study, first: str, others: Iterable[str]) -> pd.DataFrame:
    """`first` minus each of `others` on every task, in points of its headline figure; see `comparison.compared`."""
    rows = []
    for other in others:
        for task in TASKS:
            if interval := comparison.compared(study, task, first, other):
                row = {"first": title(first), "second": title(other), "task": task}
                row |= {"comparison": f"{row['first']} minus {row['second']}", "figure": TASKS[task].headline}
                rows.append(row | interval)
    return pd.DataFrame(rows)


def differences_table(rows: pd.DataFrame) -> pd.DataFrame:
    """`differences` as a page shows them; "better" names the one that `favours` says."""
    side = rows.apply(favours, axis=1)
    better = rows["first"].where(side > 0, rows.second.where(side < 0, "undecided"))
    shown = tables.with_intervals(rows).assign(task=rows.task + ", " + rows.figure, better=better)
    columns = ["difference", "single seeds", "smallest effect", "better", "origin"]
    return shown.set_index(["comparison", "task"])[columns].rename_axis(index=[None, None])


def worded(row: dict, other: str, what: str, verbs: tuple[str, str] = ("is ahead of", "is behind")) -> str:
    """A `bootstrap.summary` in words, such as "is ahead of step one by 3.1 points of mIoU [1.2, 5.0]"."""
    side, low, high = favours(row), row["low"], row["high"]
    if side:
        low, high = sorted((side * low, side * high))
        return f"{verbs[side < 0]} {other} by {abs(row['difference']):.1f} points of {what} [{low:z.1f}, {high:z.1f}]"
    interval = ", too few sequences for an interval"
    if np.isfinite(low):  # of few sequences it may lie on one side of zero, and p be too large all the same
        interval = f" [{low:z.1f}, {high:z.1f}], " + (
            "which contains zero" if low <= 0 <= high else f"p = {row['p']:.2f}"
        )
    return f"does not differ measurably from {other} ({row['difference']:+z.1f} points of {what}{interval})"


def beside(study: Study, names: dict[str, str], *tasks: str) -> str:
    """The first of `names` (variant -> words) beside each of the others; "" without results.

    A sentence a task and origin; by default, on real video and the shipped world. Brackets are 95 % intervals.
    """
    (first, subject), *others = names.items()
    sentences = []
    for task in tasks or dict.fromkeys((study.profile.real_video, "davis")):
        found = [(words, row) for name, words in others if (row := comparison.compared(study, task, first, name))]
        if found:
            where = study.data_name(task) if study.has(task) else TASKS[task].official
            where = "real video" if task == study.profile.real_video else "the " * (not study.profile.data) + where
            parts: dict[str, list[str]] = {}
            for words, row in found:
                runs = seeds_text(row["seeds"])
                runs += ", reference" * (row["origin"] == comparison.STORED)
                parts.setdefault(runs, []).append(worded(row, words, TASKS[task].headline))
            sentences += [f"On {where} ({runs}), {subject} {listed(some)}." for runs, some in parts.items()]
    return " ".join(sentences)


def nearer(table: pd.DataFrame) -> str:
    """Of `retention.against_teacher`: whether global distillation left the full method nearer to step one's encoder."""
    full, without = title("full"), title("no_global")
    overlap = 100 * table.pivot(index="sequence", columns="variant", values="overlap res5")
    if not {full, without} <= {*overlap}:
        return ""
    row = summary((overlap[full] - overlap[without]).dropna().to_numpy()[None])
    verbs = "is nearer to step one's encoder than", "is farther from step one's encoder than"
    words = worded(row, "the network trained without global distillation", "neighbour overlap at res5", verbs)
    return f"After training, the full method {words}."


def seeds_text(count: int) -> str:
    """Such as "1 seed" or "5 seeds"."""
    return f"{count:.0f} seeds" if count > 1 else "1 seed"


def listed(parts: list[str]) -> str:
    """Parts of a sentence as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def grid_table(study: Study, names: list[str]) -> pd.DataFrame:
    """One row a variant, one column a task, in percent: mean over seeds with spread; "(reference)": not of this run."""
    columns: dict[str, dict[str, str]] = {}
    seeds: dict[str, set[int]] = {}
    for task in TASKS:
        figure = TASKS[task].headline
        for name in names:
            if runs := comparison.known(study, task, name):
                text = tables.mean_text([100 * run.metrics[figure] for run in runs])
                text += " (reference)" * (runs[0].origin == comparison.STORED)
                columns.setdefault(f"{task}, {figure}", {})[title(name)] = text
                seeds.setdefault(title(name), set()).add(len(runs))
    counts = {variant: " or ".join(map(str, sorted(found))) for variant, found in seeds.items()}
    return pd.DataFrame({**columns, "seeds": counts}).fillna("")


def benchmark_rows(study: Study, names: list[str]) -> pd.DataFrame:
    """Figures of this run or else of the reference, means over seeds in percent, as in `book/published.csv`."""
    spatial = study.profile.spatial
    own = f"ResNet-{spatial.depth}" + (f" x{spatial.width:g}" if spatial.width != 1 else "")
    backbones = dict.fromkeys(NO_ENCODER, "") | {"supervised": f"ResNet-{spatial.depth}"}
    rows = []
    for task in filter(study.has, TASKS):
        of = {"benchmark": TASKS[task].official, "data": study.data_name(task), "stride": str(study.stride(task))}
        for name in names:
            if runs := comparison.known(study, task, name):
                row = of | {"method": title(name), "backbone": backbones.get(name, own)}
                row |= {"stride": ""} if name in ("copy", "flow") else {}
                row |= {"source": runs[0].origin, "file": runs[0].path}
                means = pd.DataFrame([run.metrics for run in runs]).mean()
                rows += [{**row, "metric": metric, "value": 100 * value} for metric, value in means.items()]
    return pd.DataFrame(rows)


def published_beside(study: Study) -> str:
    """The full method's J&F-Mean and the paper's, and why they are not comparable; "" without results."""
    tasks = [task for task in dict.fromkeys((study.profile.real_video, "davis")) if study.has(task)]
    rows = benchmark_rows(study, ["full"])
    for task in tasks if len(rows) else ():
        name, count = study.data_name(task), len(study.sequences(task))
        own = rows.query("data == @name and metric == 'J&F-Mean'").iloc[0]
        paper = published().query("benchmark == @own.benchmark and method == @own.method and metric == 'J&F-Mean'")
        same = (paper.backbone == own.backbone).mul(2).add(paper.stride == own.stride)
        other = paper.loc[same.idxmax()]
        kept = task == study.profile.real_video and count == TASKS[task].count
        kept = kept and study.inference(task).resize == PRESETS["davis_s8"].resize
        why = ["data"] * (not kept) + [field for field in ("backbone", "stride") if own[field] != other[field]]
        return (
            f"The full method reaches a J&F-Mean of {own.value:.1f} ({own.source}: {own.backbone}, stride "
            f"{own.stride}, {name}); the paper has {other.value:.1f} ({other.backbone}, stride {other.stride}, "
            f"{other.data}). "
            + (
                f"The two are not comparable: {listed(why)} differ."
                if why
                else "Data, backbone and stride are the same."
            )
        )
    return ""


def strides(study: Study) -> pd.DataFrame:
    """J&F-Mean on real video, in percent, at the profile's stride and at 4, and the difference: one row a method."""
    rows, coarse = [], study.profile.real_video
    for name in (*BASELINES, *VARIANTS):
        for runs in (comparison.own, comparison.stored):
            fine = runs(study, "fine", name)
            seeds = {run.seed for run in fine}  # of the reference's only some may be measured at stride 4
            pair = [[run for run in runs(study, coarse, name) if run.seed in seeds], fine]
            if all(pair) and (row := comparison.summarised(*pair[::-1])):
                means = [sum(100 * run.metrics["J&F-Mean"] for run in found) / len(found) for found in pair]
                row |= dict(zip((f"stride {study.stride(coarse)}", "stride 4"), means, strict=True))
                rows.append({"method": title(name), **row, "origin": pair[0][0].origin, "file": pair[1][0].path})
                break
    return pd.DataFrame(rows)


def seed_by_seed(study: Study, name: str) -> str:
    """A variant's J&F-Mean on task davis of every seed, in words: this run's, then the reference's."""
    found = []
    for origin, runs in comparison.by_origin(study, "davis", [name]).items():
        found.append(f"{origin} " + ", ".join(f"{100 * run.metrics['J&F-Mean']:.1f}" for run in runs[name]))
    return f"J&F-Mean of *{title(name)}* ({study.data_name('davis')}), seed by seed: {'; '.join(found)}."


def rank_agreement(study: Study) -> tuple[float, list[int]]:
    """Spearman's correlation of trained variants' J&F-Means on the shipped world and on real video; seeds of each.

    Means over the seeds of this run or of the reference, whichever has more; nan of fewer than three variants.
    """
    found, seeds = [], []
    for name in VARIANTS:
        tasks = [
            (comparison.own(study, task, name), comparison.stored(study, task, name)) for task in ("davis", "real")
        ]
        runs = [max(pair, key=len) for pair in tasks]
        if all(runs):
            found.append([np.mean([run.metrics["J&F-Mean"] for run in some]) for some in runs])
            seeds.append(min(map(len, runs)))
    return float(spearmanr(*zip(*found, strict=True)).statistic) if len(found) > 2 else float("nan"), seeds


def swept() -> dict[str, dict]:
    """Profile -> "seeds", how many, "rates": the `rate_sweep` that is kept of it, "settings" and how it was made."""
    return read_json(SWEPT) if SWEPT.exists() else {}


def rate_sweep(study: Study) -> tuple[pd.DataFrame, int]:
    """J&F-Mean on validation clips in percent, means over so many seeds: one row an arm, one column a learning rate.

    Of this run where its profile lists `rates`, else as it is kept, empty where the profile's settings were others; all
    arms are trained for as many steps as always.
    """
    names = [name for name in HEADLINE if VARIANTS[name].steps != "one"]
    if not study.profile.rates:
        kept = swept().get(study.profile.profile, {})
        same = kept.get("settings") == comparison.settings_hash(study, "full")
        return (pd.DataFrame(kept["rates"]), kept["seeds"]) if same else (pd.DataFrame(), 0)
    return pd.DataFrame(
        {f"{rate:g}": {title(name): _validated(study, name, rate) for name in names} for rate in study.profile.rates}
    ), len(study.seeds)


def _validated(study: Study, name: str, rate: float) -> float:
    runs = map(study.with_seed, study.seeds)
    scores = [run.measure("davis", str(run.weights(name, lr=rate)), "train")["metrics"]["J&F-Mean"] for run in runs]
    return 100 * sum(scores) / len(scores)
