# %% [markdown]
# # Benchmark tables
#
# Published figures beside this run's. The published ones come from `book/published.csv`, each with its source; this run's from its
# result files. They are **not** comparable as numbers unless the data are the official ones at the official size: the column
# *data* says what was measured.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_core import report, tables, viz
from stt_core.captions import show
from stt_core.study import Study

pd.set_option("display.max_rows", None)
viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
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
    return tables.as_text(rows.pivot_table(index=index, columns="metric", values="value", sort=False))


table("DAVIS-2017")

# %% [markdown]
# ## VIP

# %% tags=["hide-input"]
table("VIP")

# %% [markdown]
# ## JHMDB

# %% tags=["hide-input"]
table("JHMDB")

# %% [markdown]
# ## BADJA
#
# Nothing was published for this measure of these methods, so here are this run's figures alone.

# %% tags=["hide-input"]
table("BADJA") if study.has("badja") else print(f"no BADJA in {study.relative(study.data)}")

# %% [markdown]
# ## Tasks side by side
#
# Do features that are good for objects serve parts and joints, too? Published figures are of the real benchmarks; this run's own stand on
# the data that the tables above name. So compare the order within each colour, not one colour with the other.

# %% tags=["hide-input"]
show(
    study,
    viz.methods_figure(published, ours),
    "Methods by their scores on two tasks at a time: parts over objects, joints over objects. A method above the others' trend is better on that task than its objects let expect.",
    alt="Two scatter plots with a labelled point for each method: published ones as circles, this run's as diamonds.",
    name="fig-methods",
)

# %% [markdown]
# ## One model, several protocols
#
# Methods are compared under settings of propagation that differ, too. This run's full method on DAVIS under those of other methods, all at the size and
# radius of this profile: what moves here is the protocol, not the features.

# %% tags=["hide-input"]
tables.as_text(report.protocols(study, "full"))
