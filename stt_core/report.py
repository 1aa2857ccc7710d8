"""The tables that end the study: differences with intervals, benchmarks, claims. All from result files."""

from dataclasses import dataclass, replace

import pandas as pd

from stt_core import tables
from stt_core.presets import PRESETS
from stt_core.study import ROOT, Study
from stt_core.variants import NO_ENCODER, title

# The benchmark of each.
TASKS = {"davis": "DAVIS-2017", "vip": "VIP", "jhmdb": "JHMDB", "badja": "BADJA", "real": "DAVIS-2017"}
PROTOCOLS = {"davis_s8": "this method", "davis_crw": "CRW", "davis_vfs": "VFS", "davis_dino": "DINO"}  # presets


@dataclass(frozen=True)
class Claim:
    """The paper says that `better` beats `worse`; its own J&F-Mean of both is named by `published.csv`'s methods."""

    text: str
    better: str
    worse: str
    published: tuple[str, str]


CLAIMS = (
    Claim("two steps beat step one alone", "full", "step_one", ("full method", "step one only")),
    Claim("two steps beat step two alone", "full", "step_two", ("full method", "step two only")),
    Claim("step one's features beat untrained ones", "step_one", "random", ("", "")),
    Claim("global distillation helps", "full", "no_global", ("full method", "no global distillation")),
    Claim("local distillation helps", "full", "no_local", ("", "")),
    Claim("the two distillations together help", "full", "neither", ("", "")),
)


def published() -> pd.DataFrame:
    """Published figures, one row each, in percent; the only figures of the book that were not computed."""
    return pd.read_csv(ROOT / "book" / "published.csv", dtype={"stride": str})


def data_name(study: Study, task: str) -> str:
    """What was measured, in the words of a table."""
    if study.profile.data or task == "real":
        folder = study.folder(task)
        size = getattr(study.profile.evaluation, task).resize
        return f"{folder.name}, {len(study.sequences(task))} sequences, resized to {size}"
    return "shipped world"


def differences(study: Study, first: str, others: list[str]) -> pd.DataFrame:
    """`first` minus each of `others` on every task at hand, in points of the task's headline figure."""
    rows = []
    for task in TASKS:
        results = study.results(task, [first, *others])
        data = data_name(study, task) if results else ""
        for other in others if results else ():
            interval = tables.paired_difference(results, title(first), title(other))
            rows.append(
                {
                    "data": f"{task}: {data}",
                    "figure": tables.MAIN["davis" if task == "real" else task],
                    "comparison": f"{title(first)} minus {title(other)}",
                    **interval,
                }
            )
    return pd.DataFrame(rows)


def benchmark_rows(study: Study, names: list[str]) -> pd.DataFrame:
    """This run's figures in the columns of `book/published.csv`, in percent."""
    spatial = study.profile.spatial
    own = f"ResNet-{spatial.depth}" + (f" x{spatial.width:g}" if spatial.width != 1 else "")
    backbones = {title(name): "" for name in NO_ENCODER} | {title("supervised"): f"ResNet-{spatial.depth}"}
    rows = []
    for task, benchmark in TASKS.items():
        results = study.results(task, names)
        data = data_name(study, task) if results else ""
        for method, result in results.items():
            row = {"benchmark": benchmark, "method": method, "backbone": backbones.get(method, own)}
            row |= {"source": "this run", "stride": str(result["settings"]["stride"]), "data": data}
            rows += [{**row, "metric": name, "value": 100 * value} for name, value in result["metrics"].items()]
    return pd.DataFrame(rows)


def protocols(study: Study, name: str) -> pd.DataFrame:
    """One model on DAVIS under each of `PROTOCOLS`, at the profile's size and radius: what belongs to the protocol."""
    own, rows = study.profile.evaluation.davis, []
    for preset, method in PROTOCOLS.items():
        inference = replace(PRESETS[preset], resize=own.resize, radius=own.radius)
        result = study.measure("davis", study.source(name), inference=inference)
        row = {
            "protocol": method,
            "window": inference.window,
            "frame 0": "windowed" if inference.first_windowed else "whole",
        }
        row |= {
            "preceding": inference.num_preceding,
            "top-k": inference.topk,
            "temperature": f"{inference.temperature:g}",
        }
        rows.append(row | {m: 100 * result["metrics"][m] for m in ("J&F-Mean", "J-Mean", "F-Mean")})
    return pd.DataFrame(rows).set_index("protocol")


def claims(study: Study) -> pd.DataFrame:
    """One row a claim and task: the paper's difference, this run's with its interval, and the verdict."""
    table = published().query("metric == 'J&F-Mean' and backbone == 'ResNet-18' and stride == '8'")
    figures = table.drop_duplicates("method").set_index("method").value
    names = dict.fromkeys(name for claim in CLAIMS for name in (claim.better, claim.worse))
    measured = {task: study.results(task, names) for task in TASKS if study.has(task)}
    data = {task: f"{task}: {data_name(study, task)}" for task in measured}
    rows = []
    for claim in CLAIMS:
        for task, results in measured.items():
            interval = tables.paired_difference(results, title(claim.better), title(claim.worse))
            known = task in ("davis", "real") and all(name in figures for name in claim.published)
            rows.append(
                {
                    "claim": claim.text,
                    "paper": figures[claim.published[0]] - figures[claim.published[1]] if known else float("nan"),
                    "data": data[task],
                    **interval,
                    "verdict": tables.verdict(interval),
                }
            )
    return pd.DataFrame(rows)


def rate_sweep(study: Study) -> pd.DataFrame:
    """J&F-Mean on validation clips of baselines without distillation, one row a start, one column a learning rate."""
    rows: dict[str, dict[str, float]] = {}
    own = {"neither": study.profile.temporal.lr, "scratch": study.profile.scratch_lr}
    for rate in study.profile.rates:
        for name, mine in own.items():
            changes = {"lr": rate, "steps": study.profile.rate_steps}
            score = study.measure("davis", str(study.weights(name, **changes)), "train")["metrics"]["J&F-Mean"]
            mark = " (the profile's)" if rate == mine else ""
            rows.setdefault(title(name), {})[f"{rate:g}{mark}"] = 100 * score
    return pd.DataFrame(rows).T
