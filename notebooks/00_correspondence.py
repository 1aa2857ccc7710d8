# %% [markdown]
# # What correspondence is
#
# Two places in two frames **correspond** if they show the same point of the world. A person sees at once that this paw
# was over there a moment ago. A computer describes a place by a vector of numbers, its *features*, and predicts that it
# corresponds to the place whose features are most like its own. Everything therefore depends on the features; this
# study asks how to learn them without labels that say what corresponds to what.
#
# Correspondence is measured by a task that needs it, **label propagation**: the labels of the first frame are given
# (objects, body parts, joints or single points), and every cell of a later frame takes the labels of those cells of
# earlier frames that look most like it ([](00_method.ipynb) has the equation). Nothing else is learned. If the labels
# arrive in the right places, the features correspond.

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
results = study.results("davis", names)
typical = tables.typical(results)
page.show(
    method.propagation_figure(study, sources["full"], typical),
    f"Label propagation of one cell, with the features of the full method, in clip `{typical}`, on which methods score near their means. The dot marks the cell that needs a label. Within its window (dashed), the most similar cells of earlier frames vote; the larger a ring, the larger that cell's vote. The last picture shows the labels of all cells. The earlier frames shown are the first one, whose labels are given, and those with the most votes.",
    alt="Video frames with coloured labels and rings on the cells that vote for one cell of a later frame.",
    files=[sources["full"]],
    name="fig-propagation",
)

# %% [markdown]
# ## Two ways to fail
#
# **Features that tell things apart but change over time.** Contrastive learning on images makes a wheel differ from a
# door, but it never sees a wheel *move*: nothing in its training says that the same wheel, a moment later, turned and
# in shade, must have the same features. Labels are lost at every change, and the losses add up, since each frame takes
# its labels from the frames before it: {term}`drift`.
#
# **Features that stay the same but do not tell things apart.** Reconstructing one video frame from another rewards
# whatever is constant from frame to frame. Between neighbouring frames, however, a colour can be copied from any cell
# of the same colour. Where a look-alike is nearby, or an object was hidden for a while, such features may not separate
# the two, and the label makes a {term}`jump` to another object.
#
# The method learns the first kind of features, then the second without losing the first. The figures below test whether
# it does. They compare the features of each step, of both steps and of an untrained network on this run's test clips.

# %% tags=["hide-input"]
page.over_time(
    results,
    "J&F of the objects, frame by frame; shaded: the 95 % interval of the mean over sequences.",
    name="fig-two-ways",
)

# %% [markdown]
# The next figure shows one clip under each of them: the clip on which the scores of all four lie nearest to their
# means.

# %% tags=["hide-input"]
page.clip(
    "davis",
    typical,
    results,
    f"Clip `{typical}` over time: the annotation, then the propagated first mask, one row for each kind of features. Look for the frame in which a label first leaves its object, and whether it bleeds over the edge (drift) or turns up elsewhere (a jump).",
    name="fig-typical",
)

# %% [markdown]
# ## By eye and by number
#
# One clip shows what happens; means over clips show how often. The next pages explain [the method](00_method.ipynb),
# loss by loss, then the data, the training and the measurements on three tasks ({numref}`tab-vos` is the first), with
# each part of the method removed in turn.

# %% tags=["hide-input"]
measured = {task: study.results(task, names) for task in ("davis", "vip", "jhmdb") if study.has(task)}
headlines = [tables.totals(found)[[TASKS[task].headline]] for task, found in measured.items()]
page.show(
    pd.concat(headlines, axis=1).round(1),
    "The same kinds of features by number: the headline figure of each task, in percent. Check whether every task ranks them in the same order.",
    files=[result["path"] for found in measured.values() for result in found.values()],
)
