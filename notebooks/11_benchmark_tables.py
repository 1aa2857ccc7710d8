# %% [markdown]
# # Benchmark tables
#
# The tables list published results beside those of this run. The numbers are **not** comparable unless the data are the
# official ones at the official size: the column *data* says what was measured.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.figures.page import Page
from stt_study.results import report, tables
from stt_study.trainings import ROOT

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["copy", "flow", "lab", "hog", "random", "supervised"]
names += ["step_one", "step_two", "neither", "no_global", "no_local", "released", "full"]
published = report.published()
ours = report.benchmark_rows(study, names)
page.answer(report.published_beside(study))

# %% [markdown]
# ## DAVIS-2017
#
# The published results come from `book/published.csv`, each with its source: the paper and the comparison in it
# {cite:p}`li2023stt` (where TimeCycle is {cite:t}`wang2019timecycle` and ContrastCorr {cite:t}`wang2021contrastcorr`)
# and the README of its code {cite:p}`li2023code`; rows of the author's earlier draft and of other backbones have no
# entry in the [references](../references.md). This run's results come from its own files.


# %% tags=["hide-input"]
def show(benchmark: str, words: str, name: str = "") -> None:
    rows = pd.concat([published, ours], ignore_index=True).query("benchmark == @benchmark")
    sources = ["this run", "reference"]
    known = rows.metric[~rows.source.isin(sources)]
    rows = rows[rows.metric.isin(known)] if len(known) else rows
    index = ["source", "data", "method", "backbone", "stride"]
    shown = rows.pivot_table(index=index, columns="metric", values="value", sort=False)
    own = shown.index.get_level_values("source").isin(sources)
    best = shown[own].sort_values(["source", "data", shown.columns[0]], ascending=[False, True, False])
    shown = pd.concat([shown[~own], best])
    files = [ROOT / "book" / "published.csv"] if len(known) else []
    files += rows.file.dropna().tolist()
    page.show(tables.formatted(shown, dict.fromkeys(shown, "{:.1f}")), words, files=files, name=name)


words = "Objects, the measures of DAVIS in percent, published figures first, then this study's, the best first."
show("DAVIS-2017", f"{words} Compare rows of the same data, backbone and stride.", "tab-davis")

# %% [markdown]
# ## VIP

# %% tags=["hide-input"]
show("VIP", "Body parts, mIoU in percent, published figures first, then this study's, the best first.", "tab-vip")

# %% [markdown]
# ## JHMDB

# %% tags=["hide-input"]
words = "Joints, share found in percent, published figures first, then this study's, the best first."
show("JHMDB", f"{words} Sources differ in whether they score the given frame.", "tab-jhmdb")

# %% [markdown]
# ## BADJA
#
# No results of these methods were published for this measure, so the table has this run's results alone.

# %% tags=["hide-input"]
if page.at_hand("badja"):
    show("BADJA", "Joints of real animals, share found in percent, by each method of this run.")
