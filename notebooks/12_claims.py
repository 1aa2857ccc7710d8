# %% [markdown]
# # What held
#
# Every claim of the paper that can be tested here, with the paper's figures and this study's. The rule, stated before looking:
# a claim that *A beats B* is **supported** if the 95 % interval of the mean difference over sequences and seeds lies above
# zero, **contradicted** if it lies below, **undecided** if it holds zero. With one seed an interval covers the choice of sequences
# alone: read such a verdict as one about these weights. *origin* says what a row was computed from: this run, or the reference results in
# `results/reference`, where this run doesn't train one of the two.
#
# That local distillation helps *most where frames don't continue each other* is tested on the shipped world, which knows when objects
# are occluded: the gain in J&F from an object's first occlusion on, minus the gain before any.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_core import tables, viz
from stt_core.claims import claims
from stt_core.study import Study

viz.style()

study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
table = claims(study)
tables.as_text(table.drop(columns="data").set_index(["claim", "task"]))

# %% tags=["hide-input"]
figure = viz.interval_figure(table.rename(columns={"claim": "comparison"}))

# %% [markdown]
# The paper's difference is in J&F-Mean on DAVIS-2017 validation, ResNet-18 at stride 8; rows of other tasks test the same claim
# by that task's headline figure.

# %% tags=["hide-input"]
print(f"seed {seed}, profile {study.profile.profile}, data {study.relative(study.data)}")
print(f"{len(table)} comparisons, none corrected for their number: about one in twenty would stand out by chance alone")
table.groupby(["origin", "verdict"]).size().rename("claims").to_frame()
