# %% [markdown]
# # At scale
#
# What a profile's trainings cost on the machine at hand. Nothing is trained to its end and no data are needed, so this
# page can be run before anything else, on the machine that is meant to do the work: `make notebook NB=17
# PROFILE=paper`.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.figures.page import Page
from stt_study.profile import load_profile
from stt_study.results.tables import formatted
from stt_study.speed.training_cost import step_operations, training_cost
from stt_study.variants import every_training

page = Page(profile, settings, seed, data, runs)
study = page.study
trainings = every_training(study.profile)
costs = {name: training_cost(training, scale=study.profile.scale) for name, training in trainings.items()}
hours = {name: cost["hours"] for name, cost in costs.items()}
page.answer(
    f"On this machine, the {len(hours)} trainings of one seed of profile `{study.profile.profile}` take {sum(hours.values()):,.2g} hours in all, the longest ({max(hours, key=hours.get)}) {max(hours.values()):,.2g} hours."
)

# %% [markdown]
# ## Operations
#
# Of convolutions and matrix products, counted with PyTorch's formulas on the models at their true size, on tensors
# without content: a multiplication and an addition are two operations. Not counted: the random crops and colours of
# step one, and the optimizer, a percent of the rest. They don't tell the time. Networks with few channels on large
# maps, and correlations of every cell with every other, wait for memory more than for arithmetic. The ablation that
# trains both steps at once isn't listed: each of its steps is one of either.

# %% tags=["hide-input"]
rows = {}
for name, training in every_training(load_profile("paper")).items():
    operations = step_operations(training)
    rows[name] = {"TFLOP a step": operations / 1e12, "steps": training.steps}
    rows[name]["EFLOP"] = training.steps * operations / 1e18
page.show(
    formatted(pd.DataFrame(rows).T, {"TFLOP a step": "{:.1f}", "steps": "{:,.0f}", "EFLOP": "{:,.2f}"}),
    "Every training of profile `paper` with one seed: operations of a step, and of all steps.",
    name="tab-operations",
)

# %% [markdown]
# ## Hours
#
# Some steps of each training, by the training loops themselves on random pixels, one process with its share of the
# batch. Reading and decoding are not in them, and nor is the exchange between GPUs. A processor takes a part of a large
# batch (*measured*: its share of the operations), and time is in proportion. Where *fastest* and *slowest* differ much,
# something else was at work on the machine.

# %% tags=["hide-input"]
numbers = {"TFLOP a step": "{:.3g}", "measured": "{:.0%}", "steps": "{:,.0f}", "hours": "{:,.2f}"}
numbers |= dict.fromkeys(("seconds a step", "fastest", "slowest"), "{:.3f}")
numbers |= {"GFLOP/s": "{:,.0f}", "peak, GB": "{:.1f}"}
page.show(
    formatted(pd.DataFrame(costs).T, numbers),
    f"Every training of profile `{study.profile.profile}` with one seed, on this machine: the median step, and *hours*, that times the number of steps. *Peak* is CUDA memory, on a GPU.",
    name="tab-training-cost",
)
