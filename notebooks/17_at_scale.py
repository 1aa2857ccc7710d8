# %% [markdown]
# # At scale
#
# This page estimates what a profile's trainings cost on the machine at hand. It completes no training and needs no
# data, so it can be run before anything else, on the machine that is to do the work: `make notebook NB=17
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
whole, longest = (
    f"{hours:,.1f} hours" if hours >= 2 else f"{60 * hours:.0f} minutes"
    for hours in (sum(hours.values()), max(hours.values()))
)
page.answer(
    f"On this machine, the {len(hours)} trainings of one seed of profile `{study.profile.profile}` take {whole} in all; the longest, {max(hours, key=hours.get)}, takes {longest}."
)

# %% [markdown]
# ## Operations
#
# Operations of convolutions and matrix products are counted with PyTorch's formulas on the models at their true size,
# on tensors without content; a multiplication and an addition are two operations. The random crops and colours of step
# one and the optimizer, together about a percent of the rest, are not counted. Operations do not determine the time:
# networks with few channels on large maps, and correlations of all pairs of cells, are limited by memory rather than
# arithmetic. The ablation that trains both steps at once is not listed, because each of its steps is one step of both.

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
# Some steps of each training are timed with the training loops themselves on random pixels, in one process with its
# share of the batch. Reading, decoding and the exchange between GPUs are not included. On a processor, only a part of a
# large batch is run (*measured* is its share of the operations), and times are scaled in proportion. If *fastest* and
# *slowest* differ much, the machine was busy with other work.

# %% tags=["hide-input"]
numbers = {"TFLOP a step": "{:.3g}", "measured": "{:.0%}", "steps": "{:,.0f}", "hours": "{:,.2f}"}
numbers |= dict.fromkeys(("seconds a step", "fastest", "slowest"), "{:.3f}")
numbers |= {"GFLOP/s": "{:,.0f}", "peak, GB": "{:.1f}"}
page.show(
    formatted(pd.DataFrame(costs).T, numbers),
    f"Every training of profile `{study.profile.profile}` with one seed, on this machine: the median step, and *hours*, that times the number of steps. *Peak* is CUDA memory, on a GPU.",
    name="tab-training-cost",
)
