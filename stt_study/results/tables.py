"""Result files as tables: one row a method, a sequence or a frame."""

from pathlib import Path

import numpy as np
import pandas as pd

from stt_core.files import read_json
from stt_study.benchmarks import metrics
from stt_study.benchmarks.registry import BENCHMARKS
from stt_study.benchmarks.run import record_file

SUMMARY = ("difference", "low", "high", "p", "smallest effect", "seeds", "sequences", "lowest seed", "highest seed")
"""Of `bootstrap.summary`."""
TOLERANCES = np.linspace(0, 0.5, 51)  # of PCK


def totals(results: dict[str, dict]) -> pd.DataFrame:
    """Results of a task, method -> content of `results.json`, as one row a method, one column a metric, in percent."""
    return pd.DataFrame({name: result["metrics"] for name, result in results.items()}).T.mul(100)


def offsets(results: dict[str, dict]) -> pd.DataFrame:
    """How far right and below of the truth a sequence's masks lie on average: `variant`, "right, px", "below, px"."""
    rows = [(name, r["offset"]["x"], r["offset"]["y"]) for name, found in results.items() for r in found["sequences"]]
    return pd.DataFrame(rows, columns=["variant", "right, px", "below, px"])


def pck_curves(results: dict[str, dict]) -> pd.DataFrame:
    """Joints only, from the stored distances: `variant`, `tolerance` and "PCK", 0 to 1, with frame 0 left out."""
    rows = []
    for name, result in results.items():
        files = [record_file(Path(result["path"]).parent, record["name"]) for record in result["sequences"]]
        clips = [np.array(read_json(file)["distances"], float)[1:] for file in files]  # (A - 1, J) each
        for tolerance in TOLERANCES:
            shares = metrics.pck_per_joint(clips, tolerance, absent=np.nan)
            rows.append({"variant": name, "tolerance": tolerance, "PCK": np.nanmean(shares)})
    return pd.DataFrame(rows)


def mean_text(values: list[float]) -> str:
    """The mean of several seeds with their spread, such as "52.0 ± 2.8"; the mean alone where all are the same."""
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if np.ptp(values) else "")


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `bootstrap.summary` as text, "+1.2 [-0.3, 2.7]", "+0.8 to +1.9 (3)", "2.3"; other columns stay."""

    def interval(row: pd.Series) -> str:
        bounds = f"[{row.low:z.1f}, {row.high:z.1f}]" if np.isfinite([row.low, row.high]).all() else "no interval"
        return f"{row.difference:+z.1f} {bounds}".replace(" ", "\N{NO-BREAK SPACE}")

    def seeds(row: pd.Series) -> str:
        lowest, highest = row["lowest seed"], row["highest seed"]
        return f"{lowest:+z.1f} to {highest:+z.1f} ({row.seeds:.0f})" if row.seeds > 1 else "1 seed"

    others = table[[name for name in table if name not in SUMMARY]]
    if table.empty:
        return others
    smallest = [f"{effect:.1f}" if np.isfinite(effect) else "" for effect in table["smallest effect"]]
    text = {"single seeds": table.apply(seeds, axis=1), "smallest effect": smallest}
    return others.assign(difference=table.apply(interval, axis=1), **text)


def per_sequence(results: dict[str, dict]) -> pd.DataFrame:
    """One row a method and sequence: `variant`, `sequence` and the task's headline figure, 0 to 1."""
    rows = []
    for name, result in results.items():
        score = BENCHMARKS[result["task"]].headline
        for record in result["sequences"]:
            if result["task"] == "davis":
                value = np.mean([(o["J-Mean"] + o["F-Mean"]) / 2 for o in record["objects"]])
            else:
                value = record["metrics"][score]
            rows.append({"variant": name, "sequence": record["name"], score: value})
    return pd.DataFrame(rows)


def typical(results: dict[str, dict]) -> str:
    """The sequence on which the methods lie nearest to their own means: neither the best nor the worst case of any."""
    table = per_sequence(results)
    scores = table.pivot(index="sequence", columns="variant", values=table.columns[-1])
    return (scores - scores.mean()).abs().sum(axis=1).idxmin()


def over_time(results: dict[str, dict]) -> pd.DataFrame:
    """DAVIS only. One row a method, sequence and frame: `variant`, `sequence`, `frame`, `J&F`, objects averaged."""
    rows = []
    for name, result in results.items():
        for record in result["sequences"]:
            scores = np.mean([(o["J"], o["F"]) for o in record["objects"]], axis=0).mean(axis=0)
            fixed = {"variant": name, "sequence": record["name"]}
            rows += [{**fixed, "frame": t, "J&F": s} for t, s in enumerate(scores, start=1)]  # frame 0 is given
    return pd.DataFrame(rows)


def formatted(table: pd.DataFrame, formats: dict[str, str]) -> pd.DataFrame:
    """Numbers as text, by a format a column; missing ones are empty."""
    text = {name: table[name].map(lambda v, f=f: "" if pd.isna(v) else f.format(v)) for name, f in formats.items()}
    return table.assign(**text)
