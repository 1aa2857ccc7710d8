# %% [markdown]
# # Without local distillation
#
# Where frames do not continue each other, because of an occlusion or a jump, reconstruction teaches wrong matches; the
# local loss lets the coarse pyramid level learn from the fine one instead ([](00_method.ipynb) gives both reasons). On
# this page it is off, alone and together with the global loss.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.analysis import label_errors
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["no_local", "neither", "full"]
words = {"full": "the full method", "no_local": "the same training without local distillation"}
page.answer(report.beside(study, words | {"neither": "training without either distillation"}))

# %% [markdown]
# ## Training

# %% tags=["hide-input"]
page.training(
    names,
    ["fine", "coarse", "local", "global"],
    "Training with and without local distillation, and without either.",
)

# %% [markdown]
# ## On the tasks
#
# Intervals of differences are over sequences and seeds; [](06_ablation_no_global.ipynb) explains the columns.

# %% tags=["hide-input"]
page.data()
words = "with local distillation, without it, and without either"
page.compared("full", ["no_local", "neither"], words, figure=True)

# %% [markdown]
# ## From scratch: which queries, which levels
#
# The paper's own ablation of the local loss has no step one. The table compares step two from random weights with the
# local loss on the share *T* of queries with the highest entropy (0.7 in *step two only*), on all queries, and without
# it; and with reconstruction at one pyramid level.

# %% tags=["hide-input"]
page.compared(
    "step_two",
    ["share_0.1", "share_0.4", "share_1", "scratch", "one_level"],
    "of step two from scratch, by the share of queries that local distillation takes, and of reconstruction alone at two levels and at one",
)

# %% [markdown]
# ## Sequence by sequence

# %% tags=["hide-input"]
page.sequences(names[:-1])

# %% [markdown]
# ## Is the fine level worth learning from?
#
# The claim that local distillation helps has a premise: in the student that was trained without it, the fine level's
# correlation, pooled to the coarse level's cells as in the loss, must be right more often than the coarse one. The
# table shows, for the selected queries of held-out pairs, the share of pixels that get a wrong id if each of the two
# correlations copies the earlier frame's ids.

# %% tags=["hide-input"]
errors = pd.Series(label_errors.premises(study), name="label error, %").loc[list(label_errors.LOCAL)]
page.show(
    errors.mul(100).round(2).to_frame(),
    "Label errors of the target of local distillation and of the correlation that it would train, in the student trained without it.",
    name="tab-local-premise",
    files=[study.weights("no_local")],
)
