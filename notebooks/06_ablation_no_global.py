# %% [markdown]
# # Without global distillation
#
# The global loss keeps the correlation of the deepest stage near the frozen step-one encoder, so that step two does not
# forget what step one learned. Here it is off; all else is as in the full method.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_core import report, tables, viz
from stt_core.study import Study
from stt_core.variants import title

viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
names = ["no_global", "full"]

# %% [markdown]
# ## Training

# %% tags=["hide-input"]
runs_of = {title(name): study.weights(name).parent / "metrics.csv" for name in names}
curves = {name: pd.read_csv(path) for name, path in runs_of.items()}
for path in runs_of.values():
    print(study.relative(path))
figure = viz.training_curves(curves, ["fine", "coarse", "local", "global"])

# %% [markdown]
# ## On the three tasks
#
# A difference is the mean over sequences of the full method minus the other, in points, with a 95 % interval over
# sequences. It holds for one seed: how far another seed would move it is not in the interval.

# %% tags=["hide-input"]
differences = report.differences(study, "full", names[:-1])
tables.as_text(differences.set_index(["comparison", "data"]))

# %% tags=["hide-input"]
for task in filter(study.has, report.TASKS):
    table = tables.totals(study.results(task, names)).round(1)
    display(table.rename_axis(columns=f"{task}: {report.data_name(study, task)}"))

# %% [markdown]
# ## Sequence by sequence

# %% tags=["hide-input"]
davis = study.results("davis", names)
for name in names[:-1]:
    figure = viz.paired_differences(tables.per_sequence(davis), "J&F-Mean", title("full"), title(name))

# %% [markdown]
# ## A real check: matches on a stereo pair

# %% tags=["hide-input"]
pd.DataFrame({title(name): study.stereo(study.source(name))[0] for name in names}).T.round(3)
