# %% [markdown]
# # What held
#
# Every claim of the paper that can be tested here, with the paper's figures and this study's. The rule, stated before looking:
# a claim that *A beats B* is **supported** if the 95 % interval of the mean difference over sequences and seeds lies above
# zero, **contradicted** if it lies below, **undecided** if it holds zero. With one seed an interval covers the choice of sequences
# alone: read such a verdict as one about these weights.
#
# Beside this run stand the reference results, computed in the same way from `results/reference`: a longer run of the same profile, kept in
# the repository, with more seeds and with the ways that this run doesn't train. *paper* is the difference of its published figures for
# DAVIS-2017, where it has both.
#
# That local distillation helps *most where frames don't continue each other* is tested on the shipped world, which knows when objects
# are occluded: the gain in J&F from an object's first occlusion on, minus the gain before any. That global distillation *retains* spatial
# features is tested on the features: how many of a cell's nearest neighbours at res5 are those it has for the step-one encoder, in points of
# overlap (page 15 has other measures of it).

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_core import tables, viz
from stt_core.captions import show
from stt_core.claims import ONE_MODEL, beside, claims
from stt_core.study import Study

viz.style()

study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
table = claims(study)
for task, data in table.drop_duplicates("task").set_index("task").data.items():
    print(f"{task}: {data}")
tables.as_text(beside(table)).fillna("")

# %% tags=["hide-input"]
shown = table.drop_duplicates(["claim", "task"]).rename(columns={"claim": "comparison"})  # this run's come first
simple = shown.comparison.str.startswith(ONE_MODEL)
show(
    study,
    viz.interval_figure(shown[~simple]),
    "The claims as differences in points, with 95 % intervals. A claim holds where its interval lies right of zero. Filled: this run; hollow: the reference, for what this run doesn't train.",
    alt="One line a claim and task: the mean difference with its interval, around a zero line.",
    name="fig-claims",
)

# %% tags=["hide-input"]
show(
    study,
    viz.interval_figure(shown[simple]),
    "One model, the same for all tasks, against what needs no training of this kind. Mind the other scale.",
    alt="One line a baseline and task: the full method's advantage in points with its interval.",
    name="fig-one-model",
)
