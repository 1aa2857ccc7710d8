# %% [markdown]
# # One step instead of two
#
# The paper claims that spatial and temporal features need each other, in that order ({numref}`tab-claims`). Here is each step alone:
# the step-one encoder as it is, and step two from random weights, with the local loss and without. *Both steps at once* sums
# the contrastive and the temporal losses from random weights, for as many steps as the longer of the two takes alone. Its settings were not
# searched: both losses have weight 1 and Adam at step two's rate from scratch, which suits the reconstruction and may not suit the
# contrastive loss, and its steps are fewer than those of the two steps together.

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
names = ["step_two", "step_one", "full"]

# %% [markdown]
# ## Training

# %% tags=["hide-input"]
runs_of = {title(name): study.weights(name).parent / "metrics.csv" for name in names}
curves = {name: pd.read_csv(path) for name, path in runs_of.items()}
show(
    study,
    viz.training_curves(curves, ["loss", "fine", "coarse", "accuracy"]),
    "Training of single steps beside the full method. Losses of different steps aren't comparable: look at each curve's own course.",
    alt="Curves of the losses over training steps, a line a way to train.",
    files=runs_of.values(),
)

# %% [markdown]
# ## On the tasks

# %% tags=["hide-input"]
show(study, report.data_names(study), "What each task is measured on.")
show(
    study,
    report.grid_table(study, ["full", "step_one", "step_two", "scratch", "one_stage"]),
    "The headline figure of each task in percent, for both steps, for each alone and for both at once: mean over seeds ± their standard deviation.",
)

# %% [markdown]
# A difference is a mean over sequences and seeds, in points of the task's headline figure, with a 95 % bootstrap interval over both
# (`stt_study.bootstrap`); sequences of DAVIS count by their objects, as in its own mean, videos and clips of the other tasks alike, while
# their tables pool all frames. With one seed the interval covers the choice of sequences alone; *single seeds* has the lowest and
# the highest mean of one seed. *better* names the one for which the interval and every seed speak. *origin* says
# whether this run measured both or, where it doesn't train one of them, the reference results are shown.

# %% tags=["hide-input"]
differences = report.differences(study, "full", ["step_one", "step_two", "scratch", "one_stage"])
show(
    study,
    report.differences_table(differences),
    "Both steps, one after the other, minus each of the others, with 95 % intervals in brackets.",
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
    "Errors of the stereo pair's matches after each step alone and after both: the median, and the share of the cells whose match lands within so many pixels of the true place.",
)
