# %% [markdown]
# # One way to train, with one seed
#
# A cell of the grid that `make ablations` runs: it trains what is missing and measures it on every task at hand. The ablations' pages
# then compare.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""
variant = "full"

# %% tags=["hide-input"]
import pandas as pd

from stt_study.benchmarks.registry import TASKS
from stt_study.figures import viz
from stt_study.results import tables
from stt_study.study import Study
from stt_study.variants import title

viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
weights = study.weights(variant)
if variant == "step_one":
    study.teacher  # which the seed's other cells wait for, where it isn't the same
print(f"{title(variant)}, seed {seed}: {study.relative(weights)}")

# %% tags=["hide-input"]
log = pd.read_csv(weights.parent / "metrics.csv")
figure = viz.training_curves({title(variant): log}, [name for name in log.columns if name not in ("step", "lr")])

# %% tags=["hide-input"]
for task in filter(study.has, TASKS):
    table = tables.totals({title(variant): study.measure(task, str(weights))}).round(1)
    display(table.rename_axis(columns=f"{task}: {study.data_name(task)}"))
