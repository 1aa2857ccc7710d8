"""A page of the book: its study, and what several pages show alike."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from skimage.data import stereo_motorcycle

from stt_study.benchmarks.registry import TASKS
from stt_study.figures import KEY, charts, viz
from stt_study.results import comparison, report, tables
from stt_study.study import Study
from stt_study.variants import BASELINES, VARIANTS, title

BRACKETS = "Brackets: 95\N{NO-BREAK SPACE}% intervals; *Which claims are reproduced* has the verdicts."
Results = dict[str, dict]  # of `Study.results`
Shown = Figure | pd.DataFrame
Files = Iterable[str | Path] | Results


class Page:
    """What a page shows, with captions (`alt` and `name`: see `show`); missing weights or results are made first."""

    def __init__(self, profile: str, settings: dict[str, Any], seed: int, data: str, runs: str) -> None:
        viz.style()
        pd.set_option("display.max_rows", None)  # or the middle of a long table would be left out
        self.study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)

    def show(self, shown: Shown, caption: str, alt: str = "", files: Files = (), name: str = "") -> None:
        """Show a figure or a table in a notebook; the book numbers it and shows the caption (Markdown).

        `alt`: what is drawn, for those who can't see it. `files`: what it was made from, or results; the caption names
        the first. `name`: a label that the book's pages may refer to, such as "fig-drift" or "tab-claims".
        """
        files = [result["path"] for result in files.values()] if isinstance(files, dict) else files
        paths = list(dict.fromkeys(self.study.relative(path) for path in files))
        if paths:
            caption += f" From `{paths[0]}`" + f" and {len(paths) - 1} more" * (len(paths) > 1) + "."
        display(shown, metadata={KEY: {"caption": caption, "alt": alt, "name": name}})
        if isinstance(shown, Figure):
            plt.close(shown)  # or the notebook would show it a second time

    @staticmethod
    def say(text: str) -> None:
        """Show a computed sentence (Markdown)."""
        display(Markdown(text))

    @staticmethod
    def answer(*sentences: str) -> None:
        """Show what the page found, in one sentence or two, before everything else; empty ones are left out."""
        found = " ".join(filter(None, sentences)) or "This run did not measure it, and there are no reference results."
        found = re.sub(r"\[[^]]*\]", lambda interval: interval[0].replace(" ", "\N{NO-BREAK SPACE}"), found)
        display(Markdown(f"> **{found}**" + f" ({BRACKETS})" * ("[" in found)))

    def at_hand(self, task: str) -> bool:
        """Whether a task's data are at hand; a sentence says so where they aren't."""
        if self.study.has(task):
            return True
        if task == "real" and self.study.profile.real_video == "davis":
            self.say("Videos of task davis are real here.")
        else:
            self.say(
                f"The data of {TASKS[task].official} ({task}) are not at hand; `data/README.md` says how to get them."
            )
        return False

    def metrics(self, name: str) -> pd.DataFrame:
        """`metrics.csv` of a variant's training, a row a step."""
        return pd.read_csv(self.study.weights(name).parent / "metrics.csv")

    def training(self, names: Iterable[str], columns: Sequence[str], caption: str, name: str = "") -> None:
        """Curves of columns of `metrics.csv`."""
        names = self.study.taken(names)
        curves = {title(name): self.metrics(name) for name in names}
        files = [self.study.weights(name).parent / "metrics.csv" for name in names]
        alt = f"Curves over training steps, one line per variant: {', '.join(columns)}."
        self.show(charts.training_curves(curves, columns), caption, alt, files, name)

    def totals(self, results: Results, caption: str, name: str = "") -> None:
        """A table of all measures of a task."""
        self.show(tables.totals(results).round(1), caption, files=results, name=name)

    def bars(self, results: Results, per: str, caption: str, name: str = "") -> None:
        """A task's headline figure, a bar a method and a dot a sequence, which the task calls `per`."""
        alt = f"One bar per method, and a dot for each {per}."
        self.show(charts.score_bars(results, per), caption, alt, results, name)

    def over_time(self, results: Results, caption: str, name: str = "") -> None:
        """J&F frame by frame."""
        alt = "One falling line per method: J&F over the frames since the given mask."
        figure = viz.score_curves(tables.over_time(results), "frame", "J&F", "variant", viz.SINCE)
        self.show(
            figure, caption + " A steep start points to wrong matches, a steady fall to drift.", alt, results, name
        )

    def pck(self, results: Results, caption: str, name: str = "") -> None:
        """The share of joints found over the tolerance."""
        table, label = tables.pck_curves(results), "tolerance, as a share of the size"
        figure, alt = viz.score_curves(table, "tolerance", "PCK", "variant", label), "One rising line per method."
        self.show(figure, caption, alt, results, name)

    def offsets(self, task: str, results: Results) -> None:
        """How far from the truth the masks of a task lie, sequence by sequence."""
        alt = "Two panels, right and below, with one row of dots per method around a zero line."
        words = (
            f"Predicted minus true centre on {self.study.data_name(task)}. Dots are means of a sequence over its scored"
            " frames and objects that have both masks; box: the middle half of the dots; red: their median. Lost masks"
            " scatter; look for boxes that all lie on one side of zero."
        )
        self.show(charts.offset_dots(tables.offsets(results)), words, alt, results)

    @staticmethod
    def worst(results: Results) -> str:
        """The sequence on which the full method does worst."""
        return tables.per_sequence({"": results[title("full")]}).set_index("sequence").iloc[:, -1].idxmin()

    def clip(self, task: str, clip: str, results: Results, caption: str, name: str = "") -> None:
        """A video over time: annotated, then as the last of the results have it."""
        sequence = next(sequence for sequence in self.study.sequences(task) if sequence.name == clip)
        alt = "Rows of later frames with labels in colour: the annotation, then one row per method."
        self.show(viz.strips(sequence, results), caption, alt, results, name)

    def clips(self, task: str, count: int, caption: str, name: str = "") -> None:
        """A task's first sequences over time, annotated."""
        if self.at_hand(task):
            figure = viz.clips_figure(self.study.sequences(task)[:count])
            alt = f"Up to {count} rows of video frames with coloured annotations."
            self.show(figure, f"{caption} Data: {self.study.data_name(task)}.", alt, [self.study.folder(task)], name)

    def data(self) -> None:
        """What each task is measured on."""
        names = {task: f"{words} (reference alone)" for task, words in comparison.reference_data(self.study).items()}
        own = {task for name in (*VARIANTS, *BASELINES) for task in self.study.tasks(name)}
        names |= {task: self.study.data_name(task) for task in own}
        rows = pd.Series({task: names[task] for task in TASKS if task in names}, name="data")
        self.show(rows.to_frame(), "The data on which each task is measured.")

    def compared(self, first: str, others: Sequence[str], of: str, name: str = "", figure: bool = False) -> None:
        """Headline figures of variants on every task, then the first minus each other; `of`: words on the variants."""
        words = f"The headline figure of each task in percent, {of}: mean over seeds ± their standard deviation."
        self.show(
            report.grid_table(self.study, [first, *others]), f"{words} Those marked (reference) are not from this run."
        )
        rows = report.differences(self.study, first, others)
        known = {*rows.second} if len(rows) else set()
        if missing := [title(name) for name in others if title(name) not in known]:
            self.say(f"There are no results of *{report.listed(missing)}* yet: `make ablations` trains them.")
        if rows.empty:
            return
        files, words = list(rows.files.explode()), f"{title(first).capitalize()} minus each of the others, in points"
        if figure:
            alt = "Dots with bars, one row per comparison and task, left and right of a zero line."
            how = "an interval that contains zero decides nothing. Filled: this run; hollow: the reference."
            self.show(charts.interval_figure(rows), f"{words}, with 95 % intervals: {how}", alt, files)
        words += ", with 95 % intervals in brackets, not corrected for the number of rows."
        self.show(report.differences_table(rows), words, files=files, name=name)

    def sequences(self, others: Iterable[str]) -> None:
        """The full method minus each of other variants, sequence by sequence."""
        davis = self.study.results("davis", [*others, "full"])
        names, score = [title(name) for name in self.study.taken(others)], TASKS["davis"].headline
        figure = charts.paired_differences(tables.per_sequence(davis), score, title("full"), names)
        words = f"{score} of the full method minus the other, sequence by sequence."
        words += " Blue: the full method is better; dashed: the mean over sequences."
        self.show(figure, words, "Horizontal bars to the right and left of zero, one per sequence.", davis)

    def stereo(self, names: Iterable[str], caption: str, name: str = "") -> None:
        """Errors of the stereo pair's matches: a map for each kind of features, and a table."""
        found = {title(name): self.study.stereo(self.study.source(name)) for name in names}
        maps = {label: table.pivot(index="y", columns="x", values="error") for label, (_, table) in found.items()}
        pictures = {"left image": stereo_motorcycle()[0]} | maps
        drawn, _ = viz.picture_row(pictures, "error (px)", vmin=0, vmax=64)
        alt = "The left image of the stereo pair beside a map of matching errors for each kind of features."
        self.show(drawn, caption, alt, name=name)
        scores = pd.DataFrame({label: scores for label, (scores, _) in found.items()}).T
        words = (
            "Errors of the stereo pair's matches: the median, and the shares of cells whose match lies within the given"
        )
        self.show(scores.round(3).astype({"cells": int}), f"{words} number of pixels of the true place.")
