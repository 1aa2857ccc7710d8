# %% [markdown]
# # Benchmark tables
#
# Published figures beside this run's. The published ones come from `book/published.csv`, each with its source: the paper and the
# comparison in it {cite:p}`li2023stt` (where TimeCycle is {cite:t}`wang2019timecycle` and ContrastCorr {cite:t}`wang2021contrastcorr`) and the README of
# its code {cite:p}`li2023code`; rows of the author's earlier draft and of other backbones have no entry in the [references](../references.md). This
# run's come from its result files. They are **not** comparable as numbers unless the data are the official ones at the official size: the column
# *data* says what was measured.

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
from stt_study.variants import HEADLINE, VARIANTS, title

pd.set_option("display.max_rows", None)
page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["copy", "flow", "lab", "random", "supervised"]
names += ["step_one", "step_two", "neither", "no_global", "no_local", "released", "full"]
published = report.published()
ours = report.benchmark_rows(study, names)

# %% [markdown]
# ## DAVIS-2017


# %% tags=["hide-input"]
def table(benchmark: str) -> pd.DataFrame:
    rows = pd.concat([published, ours], ignore_index=True).query("benchmark == @benchmark")
    known = rows.metric[rows.source != "this run"]
    rows = rows[rows.metric.isin(known)] if len(known) else rows
    index = ["source", "data", "method", "backbone", "stride"]
    shown = rows.pivot_table(index=index, columns="metric", values="value", sort=False)
    return tables.formatted(shown, dict.fromkeys(shown, "{:.1f}"))


def files(benchmark: str) -> list:
    return [ROOT / "book" / "published.csv", *ours[ours.benchmark == benchmark].file]


page.show(
    table("DAVIS-2017"),
    "Objects, the measures of DAVIS in percent, published figures first. Compare rows of the same data, backbone and stride.",
    files=files("DAVIS-2017"),
    name="tab-davis",
)

# %% [markdown]
# ## VIP

# %% tags=["hide-input"]
words = "Body parts, mIoU in percent, published figures first."
page.show(table("VIP"), words, files=files("VIP"), name="tab-vip")

# %% [markdown]
# ## JHMDB

# %% tags=["hide-input"]
page.show(
    table("JHMDB"),
    "Joints, share found in percent, published figures first. Sources differ in whether the given frame is scored.",
    files=files("JHMDB"),
    name="tab-jhmdb",
)

# %% [markdown]
# ## BADJA
#
# Nothing was published for this measure of these methods, so here are this run's figures alone.

# %% tags=["hide-input"]
if page.at_hand("badja"):
    words = "Joints of real animals, share found in percent, by each method of this run."
    page.show(table("BADJA"), words, files=files("BADJA")[1:])

# %% [markdown]
# ## One clip under every variant
#
# What a point of J&F looks like: the clip on which the full method comes closest to its own mean, carried on by everything that this run trained.

# %% tags=["hide-input"]
trained = study.results("davis", VARIANTS if study.profile.rows == "all" else HEADLINE)
typical = tables.typical({title("full"): trained[title("full")]})
page.clip(
    "davis",
    typical,
    trained,
    f"Sequence `{typical}` under every variant: the annotation above, one row a variant below. Look for outlines that melt and for labels that jump to a look-alike.",
    name="fig-every-variant",
)
