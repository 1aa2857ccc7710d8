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

from stt_core import report, tables
from stt_core.study import Study

pd.set_option("display.max_rows", None)
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
names = ["lab", "random", "step_one", "step_two", "neither", "no_global", "no_local", "full"]
published = report.published()
ours = report.benchmark_rows(study, names)

# %% [markdown]
# ## DAVIS-2017


# %% tags=["hide-input"]
def table(benchmark: str) -> pd.DataFrame:
    rows = pd.concat([published, ours], ignore_index=True)
    rows = rows[(rows.benchmark == benchmark) & rows.metric.isin(published.metric)]
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
