# %% [markdown]
# # Video object segmentation
#
# The mask of every object is given in the first frame, and label propagation carries it through the video by the
# affinity of features alone (nothing is trained on masks). J measures the overlap of regions, F that of their
# boundaries, both between 0 and 100; J&F-Mean is the mean of the two {cite}`perazzi2016davis,ponttuset2017davis`. The
# first and the last frame are not scored, as in the official evaluation.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.analysis.failures import failures
from stt_study.figures import charts
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["copy", "flow", "lab", "hog", "random", "supervised", "step_one", "step_two", "full"]
words = {
    "full": "the full method",
    "step_one": "step one alone",
    "lab": "the Lab image itself",
    "copy": "the first mask copied",
}
page.answer(report.beside(study, words, "davis"), report.beside(study, words, "real"))

# %% [markdown]
# ## Results
#
# The trained models are compared with these baselines: the first masks copied to every frame; the first masks moved by
# dense optical flow (OpenCV's DIS {cite}`kroeger2016dis`, composed from frame to frame, so that a pixel takes the label
# of the place in the first frame from which it comes); the Lab image as its own feature; histograms of oriented
# gradients {cite}`dalal2005hog` over cells as large as the stride; an untrained encoder; and torchvision's supervised
# weights, where the profile's `supervised` finds them.

# %% tags=["hide-input"]
results = study.results("davis", names)
page.totals(
    results,
    "The measures of DAVIS for every method, in percent, means over objects. Recall is the share of frames above one half. Decay is the loss from the first quarter of a sequence to the last: less is better.",
    name="tab-vos",
)
page.bars(
    results,
    "sequence",
    "J&F-Mean of every method. Bars are means over objects; each dot is a sequence: where dots spread far, a mean of few sequences says little.",
    name="fig-davis",
)

# %% [markdown]
# ## Drift
#
# Errors add up, because a wrong label is propagated further. The curve shows how fast.

# %% tags=["hide-input"]
page.over_time(
    results,
    "J&F against the time since the given mask; shaded: the 95 % interval of the mean over sequences.",
    name="fig-drift",
)

# %% [markdown]
# ## Are masks where they belong?
#
# The figure shows the mean of predicted minus true centres. Lost masks end up anywhere, and background that an object
# uncovers pulls its mask to one side. If, however, all methods that use the feature grid share an offset that the
# copied mask does not have, then the code reads or writes positions wrongly. This check would have found the error that
# the [trust page](../trust.md) describes: masks that were shifted by three to four pixels.

# %% tags=["hide-input"]
real = study.results("real", names)
measured = {task: found for task, found in {"davis": results, "real": real}.items() if found}
for task, found in measured.items():
    page.offsets(task, found)

# %% [markdown]
# ## How masks fail
#
# An object counts as failed in a frame where J is one half or less; recall counts the other frames. Each failure has
# one kind, the first of these that applies:
#
# * **lost**: the mask has less than a tenth of the object's area;
# * **swap**: half of the mask or more lies on other objects;
# * **leak**: the mask covers half of the object or more, and too much besides, or the object is out of sight;
# * **drift**: the mask covers less than half of the object, and elsewhere mostly background.

# %% tags=["hide-input"]
kinds = {f"on {task}": failures(study, task, found) for task, found in measured.items()}
page.show(
    charts.stacked_bars(kinds, "failed frames of an object, %"),
    "Share of scored frames in which an object has failed, by kind, means over objects. All kinds add up to 100 minus J-Recall. Where a method's failures are swaps, its features don't tell objects apart.",
    alt="One bar per method, made of the shares of lost, swapped, leaked and drifted masks, one panel per data set.",
    files=results,
    name="fig-failures",
)

# %% [markdown]
# ## What it looks like
#
# The figure shows annotated and propagated masks over time, for the sequence on which the full method does worst.

# %% tags=["hide-input"]
page.clip(
    "davis",
    page.worst(results),
    results,
    f"Sequence `{page.worst(results)}`, the full method's worst. Look for the frame in which a label first jumps to a look-alike or is lost behind another object.",
    name="fig-failure",
)

# %% [markdown]
# ## On real video
#
# All networks of this run are also measured on real video if a DAVIS folder is at hand, below the data folder or where
# the profile's `real` says. Frames are reduced to the size that the profile states, so these results can be compared
# with each other but not with the published ones, which {numref}`tab-davis` lists.

# %% tags=["hide-input"]
if page.at_hand("real"):
    page.totals(
        real,
        "The same measures on real video, in percent. Check whether the order of the methods is the same as on the test clips above.",
    )
    page.bars(
        real,
        "sequence",
        "J&F-Mean on real video of this run's weights and of the baselines.",
        name="fig-real",
    )
    page.clip(
        "real",
        page.worst(real),
        real,
        f"Real video: sequence `{page.worst(real)}`, the full method's worst. Look for difficulties that the shipped world does not have.",
    )
