# %% [markdown]
# # Video object segmentation
#
# The mask of every object is given in the first frame; label propagation carries it through the video by the affinity
# of features alone (nothing is trained on masks). J is the overlap of a region, F that of its boundary, both between 0
# and 100; J&F-Mean is their mean {cite}`perazzi2016davis,ponttuset2017davis`. First and last frame are not scored, as
# in the official evaluation.

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
# Beside the trained models: the first masks standing still; the first masks moved by dense optical flow (OpenCV's DIS
# {cite}`kroeger2016dis`, composed from frame to frame, so that a pixel takes the label of the place in the first frame
# that it comes from); the Lab image as its own feature; histograms of oriented gradients {cite}`dalal2005hog`, of cells
# as large as the stride; an untrained encoder; and, where the profile's `supervised` finds them, torchvision's
# supervised weights.

# %% tags=["hide-input"]
results = study.results("davis", names)
page.totals(
    results,
    "Every method under the measures of DAVIS, in percent, means over objects. Recall is the share of frames above one half; decay is what is lost from the first quarter of a sequence to the last, so less is better.",
    name="tab-vos",
)
page.bars(
    results,
    "sequence",
    "J&F-Mean of every method. A dot is a sequence: where dots spread far, a mean of few sequences says little.",
    name="fig-davis",
)

# %% [markdown]
# ## Drift
#
# Errors add up: a label that was carried wrongly is carried on. The curve shows how fast.

# %% tags=["hide-input"]
page.over_time(
    results,
    "J&F against the time since the given mask; shaded, 95 % of the mean over sequences.",
    name="fig-drift",
)

# %% [markdown]
# ## Are masks where they belong?
#
# The mean of predicted minus true centre. Masks that get lost go anywhere, and what an object uncovers pulls its mask
# to one side; but where all methods that pass the feature grid share an offset, and the copied mask doesn't, places are
# read or written wrongly: this would have shown what the [trust page](../trust.md) tells of, masks that were carried
# three to four pixels off.

# %% tags=["hide-input"]
real = study.results("real", names)
measured = {task: found for task, found in {"davis": results, "real": real}.items() if found}
for task, found in measured.items():
    page.offsets(task, found)

# %% [markdown]
# ## How masks fail
#
# An object has failed in a frame where J is one half or less, which is what recall doesn't count. Each failure is of
# one kind, the first of these that holds:
#
# * **lost**: the mask has less than a tenth of the object's area;
# * **swap**: half of the mask or more lies on other objects;
# * **leak**: the mask covers half of the object or more, and too much besides, or the object is out of sight;
# * **drift**: the mask covers less than half of the object, and elsewhere mostly background.

# %% tags=["hide-input"]
kinds = {f"on {task}": failures(study, task, found) for task, found in measured.items()}
page.show(
    charts.stacked_bars(kinds, "failed frames of an object, %"),
    "Share of an object's scored frames in which it has failed, by kind, means over objects: 100 minus J-Recall. Where a method's failures are swaps, its features don't tell objects apart.",
    alt="One bar a method, made of the shares of lost, swapped, leaked and drifted masks, a panel a data set.",
    files=results,
    name="fig-failures",
)

# %% [markdown]
# ## What it looks like
#
# Annotation and propagated masks over time, where the full method does worst:

# %% tags=["hide-input"]
page.clip(
    "davis",
    page.worst(results),
    results,
    f"Sequence `{page.worst(results)}`, the full method's worst. Look for the frame in which a label first jumps to a look-alike, or is lost behind something.",
    name="fig-failure",
)

# %% [markdown]
# ## On real video
#
# Whatever this run trained is also measured on real video wherever a DAVIS folder is at hand: below the data folder, or
# where the profile's `real` says. Frames are reduced to the size that the profile states, so these figures compare the
# rows with each other and not with published ones, which {numref}`tab-davis` has.

# %% tags=["hide-input"]
if page.at_hand("real"):
    page.totals(
        real,
        "The same measures on real video, in percent. Look whether the order of the methods is that of the test clips above.",
    )
    page.bars(
        real,
        "sequence",
        "J&F-Mean on real video of the weights that this run trained.",
        name="fig-real",
    )
    page.clip(
        "real",
        page.worst(real),
        real,
        f"Real video: sequence `{page.worst(real)}`, the full method's worst. Look for what the shipped world has nothing like.",
    )
