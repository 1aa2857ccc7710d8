# %% [markdown]
# # Without local distillation
#
# Where frames do not continue each other, through occlusion or a jump, reconstruction teaches the wrong thing; the local loss
# lets the coarse pyramid level learn from the fine one instead (both reasons for it: [](00_method.ipynb)). Here it is off, alone and together with the global one.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.figures import viz
from stt_study.figures.captions import show
from stt_study.results import report, tables
from stt_study.study import Study
from stt_study.variants import title

viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
names = ["no_local", "neither", "full"]

# %% [markdown]
# ## Training

# %% tags=["hide-input"]
runs_of = {title(name): study.weights(name).parent / "metrics.csv" for name in names}
curves = {name: pd.read_csv(path) for name, path in runs_of.items()}
show(
    study,
    viz.training_curves(curves, ["fine", "coarse", "local", "global"]),
    "Training with and without local distillation, and without either.",
    alt="Curves of the losses over training steps, a line a way to train.",
    files=runs_of.values(),
)

# %% [markdown]
# ## On the tasks

# %% tags=["hide-input"]
show(study, report.data_names(study), "What each task is measured on.")
show(
    study,
    report.grid_table(study, ["full", "no_local", "neither"]),
    "The headline figure of each task in percent, with local distillation, without it, and without either: mean over seeds ± their standard deviation.",
)

# %% [markdown]
# A difference is a mean over sequences and seeds, in points of the task's headline figure, with a 95 % bootstrap interval over both
# (`stt_study.bootstrap`); sequences of DAVIS count by their objects, as in its own mean, videos and clips of the other tasks alike, while
# their tables pool all frames. With one seed the interval covers the choice of sequences alone; *single seeds* has the lowest and
# the highest mean of one seed. *better* names the one for which the interval and every seed speak. *origin* says
# whether this run measured both or, where it doesn't train one of them, the reference results are shown.

# %% tags=["hide-input"]
differences = report.differences(study, "full", ["no_local", "neither"])
show(
    study,
    report.differences_table(differences),
    "The full method minus each of the others, with 95 % intervals in brackets.",
    files=differences.files.explode(),
)

# %% tags=["hide-input"]
show(
    study,
    viz.interval_figure(differences),
    "The differences of the table. An interval that holds zero decides nothing; filled, this run's results, hollow, the reference's.",
    alt="Differences in points with their intervals, one line a comparison and task, around a zero line.",
    files=differences.files.explode(),
)

# %% [markdown]
# ## From scratch: which queries, which levels
#
# The paper's own ablation of the local loss has no step one. Step two from random weights with the local loss on the share *T* of queries
# with the highest entropy (0.7 in *step two only*), on all of them, and without it; and reconstruction at one pyramid level.

# %% tags=["hide-input"]
shares = ["step_two", "share_0.1", "share_0.4", "share_1", "scratch", "one_level"]
show(
    study,
    report.grid_table(study, shares),
    "The headline figures in percent of step two from scratch, by the share of queries that local distillation takes, and of reconstruction alone at two levels and at one.",
)

# %% tags=["hide-input"]
scratch = report.differences(study, "step_two", shares[1:])
if len(scratch):
    show(
        study,
        report.differences_table(scratch),
        "Step two from scratch, as the method has it, minus each change of it, in points with 95 % intervals.",
        files=scratch.files.explode(),
    )
else:
    print("no results: make ablations")

# %% [markdown]
# ## Sequence by sequence

# %% tags=["hide-input"]
davis = study.results("davis", names)
others = [title(name) for name in names if name != "full"]
show(
    study,
    viz.paired_differences(tables.per_sequence(davis), "J&F-Mean", title("full"), others),
    "J&F-Mean of the full method minus the other, sequence by sequence. Blue: the full method is better; dashed: the mean.",
    alt="Horizontal bars to the right and left of zero, one a sequence.",
    files=[result["path"] for result in davis.values()],
)

# %% [markdown]
# ## A real check: matches on a stereo pair

# %% tags=["hide-input"]
show(
    study,
    pd.DataFrame({title(name): study.stereo(study.source(name))[0] for name in names})
    .T.round(3)
    .astype({"cells": int}),
    "Errors of the stereo pair's matches with and without local distillation: the median, and the share of the cells whose match lands within so many pixels of the true place.",
)
