# %% [markdown]
# # One step instead of two
#
# The paper claims that spatial and temporal features need each other, in that order ({numref}`tab-claims`). This page
# tests each step alone and both at once.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["step_two", "step_one", "full"]
words = {"full": "the full method", "step_one": "step one alone", "step_two": "step two alone"}
page.answer(report.beside(study, words | {"one_stage": "both steps at once"}))

# %% [markdown]
# ## Training
#
# Step one alone is the step-one encoder as it is; step two alone starts from random weights, with the local loss and
# without. *Both steps at once* sums the contrastive and the temporal losses from random weights, for as many steps as
# the longer of the two takes alone. Its settings were not searched: both losses have weight 1, and Adam uses step two's
# rate from scratch, which suits the reconstruction but may not suit the contrastive loss. It also trains for fewer
# steps than the two steps together.

# %% tags=["hide-input"]
page.training(
    names,
    ["loss", "fine", "coarse", "accuracy"],
    "Training of single steps beside the full method. Losses of different steps are not comparable: look at the course of each curve.",
)

# %% [markdown]
# ## On the tasks
#
# Intervals of differences are over sequences and seeds; [](06_ablation_no_global.ipynb) explains the columns. Step two
# alone begins with random weights, so its seeds may end far from each other: they are listed below the tables.

# %% tags=["hide-input"]
page.data()
others = ["step_one", "step_two", "scratch", "one_stage"]
page.compared("full", others, "for both steps, for each alone and for both at once", figure=True)
page.say(report.seed_by_seed(study, "step_two"))

# %% [markdown]
# ## Sequence by sequence

# %% tags=["hide-input"]
page.sequences(names[:-1])
