# %% [markdown]
# # What correspondence is
#
# Two places in two frames **correspond** if they show the same point of the world. A person sees it at once: this paw
# was there a moment ago. For a computer a place is a vector of numbers, its *features*, and two places correspond if
# their features are more alike than those of all others. So everything hangs on the features, and the question of this
# study is how to learn them without anyone saying what corresponds to what.
#
# Correspondence is measured by what it lets one do. **Label propagation**: the labels of the first frame are given
# (objects, body parts, joints, or just a point), every cell of a later frame asks the cells of earlier frames which
# look most like it, and takes their labels ([](00_method.ipynb) has the equation). Nothing else is learned; if the
# labels arrive where they belong, the features correspond.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.benchmarks.registry import TASKS
from stt_study.figures import method
from stt_study.figures.page import Page
from stt_study.results import report, tables

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["random", "step_one", "step_two", "full"]
sources = {name: study.source(name) for name in names}
words = {"full": "the full method", "step_one": "step one alone", "step_two": "step two alone"}
page.answer(report.beside(study, words | {"random": "an untrained network"}, "davis"))

# %% tags=["hide-input"]
page.show(
    method.propagation_figure(study, sources["full"]),
    "Label propagation of one cell, with the features of the full method. The dot asks; within its window (dashed) the most similar cells of earlier frames vote, each ring as large as its vote; right, the labels of all cells. Of the earlier frames the given one and those with most votes are shown.",
    alt="Video frames with coloured labels and rings on the cells that vote for one cell of a later frame.",
    files=[sources["full"]],
    name="fig-propagation",
)

# %% [markdown]
# ## Two ways to fail
#
# **Features that tell things apart, but don't stay the same.** Contrastive learning on images makes a wheel differ from
# a door. But it never saw a wheel *move*: nothing told it that the wheel, a moment later, turned and in shade, must
# look the same to it. Labels are lost at every change, and the losses add up, since each frame takes its labels from
# the frames before: {term}`drift`.
#
# **Features that stay the same, but don't know what is what.** Reconstructing one video frame from another rewards
# whatever is constant from frame to frame. But between neighbouring frames a colour can be carried over by matching any
# cell of the same colour, and where a look-alike is nearby, or something was hidden for a while, such features may hold
# nothing to tell the two apart: a {term}`jump` to another thing.
#
# The method learns the first, then the second without losing the first. Whether it does is for the figures to say. Here
# are the features of each step, of both, and of an untrained network, over time, on the test clips of this run.

# %% tags=["hide-input"]
results = study.results("davis", names)
page.over_time(
    results,
    "How much of the objects is still right, frame by frame; shaded, 95 % of the mean over sequences.",
    name="fig-two-ways",
)

# %% [markdown]
# The same clip under each of them: the one on which the four, taken together, lie nearest to their own means.

# %% tags=["hide-input"]
typical = tables.typical(results)
page.clip(
    "davis",
    typical,
    results,
    f"Clip `{typical}` over time: the annotation, then what each kind of features made of the first mask. Look at where a label first leaves its object, and whether it bleeds over the edge (drift) or turns up elsewhere (a jump).",
    name="fig-typical",
)

# %% [markdown]
# ## By eye and by number
#
# One clip shows what happens; how often it happens, means over clips say. The next pages have [the
# method](00_method.ipynb), loss by loss, the data, the training and the measurements on three tasks ({numref}`tab-vos`
# is the first of them), with each part of the method taken away in turn.

# %% tags=["hide-input"]
measured = {task: study.results(task, names) for task in ("davis", "vip", "jhmdb") if study.has(task)}
headlines = [tables.totals(found)[[TASKS[task].headline]] for task, found in measured.items()]
page.show(
    pd.concat(headlines, axis=1).round(1),
    "The same kinds of features by number: the headline figure of each task, in percent. Look whether every task puts them in the same order.",
    files=[result["path"] for found in measured.values() for result in found.values()],
)
