# %% [markdown]
# # What was learned
#
# Scores measure how well labels are propagated, but not how a loss changed the features. This page compares the
# networks themselves on the labelled test clips: how much of the step-one encoder's structure is left, and where a
# point is found again. The networks run as at inference, in evaluation mode and on whole frames, with no colour channel
# dropped. Intervals are 95 % bootstrap intervals over clips, for the weights of this run.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.analysis import retention
from stt_study.figures import maps as viz_maps
from stt_study.figures.page import Page
from stt_study.results import report
from stt_study.variants import title

page = Page(profile, settings, seed, data, runs)
study = page.study
sources = {name: study.source(name) for name in study.taken(retention.NAMES)}
measured = retention.against_teacher(study, sources)
page.answer(report.nearer(measured))

# %% [markdown]
# ## Is the teacher's structure retained?
#
# The claim is that global correlation distillation retains the spatial features ({numref}`tab-exploratory` has the
# verdict). The teacher is the frozen step-one encoder, with its own strides; every other network has the strides of
# step two. Pairs are neighbouring frames. There are two measures:
#
# * **Neighbour overlap**: of the cells of the earlier frame that are nearest to a cell of the later one for the
#   teacher, the share that is among the nearest for the student, too. At res5 (the stage that the loss compares, at the
#   training size) by plain products, as in the loss; at res4 (what label propagation uses) by cosine, both networks
#   with the strides of inference.
# * **The loss itself**: the distance between both correlations that global distillation lowers (weight 1), on pairs it
#   never saw. Less is nearer.
#
# *By chance* is the value for an unrelated order of the cells (for the loss: for a student whose correlation is flat).
# Exceeding it means little, because neighbouring frames resemble each other and any network sees that the same place
# looks alike; *random weights* are the better baseline. *Step one only* has the teacher's own weights if the teacher
# takes Lab images: at res5 it shows the effect of the other strides alone, and at res4 it is the same network.

# %% tags=["hide-input"]
page.show(
    retention.summary_table(measured, retention.AGAINST_TEACHER),
    f"How near each network is to the step-one encoder, and what chance gives: means over {measured.sequence.nunique()} clips, with 95 % intervals over clips in brackets; a lower loss is nearer. Compare the full method with the one without global distillation, and both with random weights.",
    files=(w for w in sources.values() if w != "random"),
    name="tab-retained",
)

# %% [markdown]
# The loss was trained, so it shows that training worked; the overlap shows whether more than the trained quantity was
# kept. Being nearer to the teacher is not better in itself: the tasks measure whether it helps. The next table shows the
# same on real video, where a DAVIS folder is at hand.

# %% tags=["hide-input"]
if page.at_hand("real"):
    few = {name: sources[name] for name in ("random", "step_one", "no_global", "full")}
    real = retention.against_teacher(study, few, "real")
    page.show(
        retention.summary_table(real, retention.AGAINST_TEACHER),
        f"How near networks are to the step-one encoder on {real.sequence.nunique()} clips of real video, to be read in the same way.",
        files=(w for w in few.values() if w != "random"),
    )

# %% [markdown]
# ## Where is a point found again?
#
# A point of frame 0 is compared with every cell of a later frame: heat is the softmax of the cosine of res4, at the
# temperature of label propagation. The point is the object's pixel nearest to its centre of mass; the star is the same
# for the later frame, roughly where the point should be found (the centre of an object that turns lies elsewhere).
# Clips are evenly spread over the list, and the object is the largest one; none was chosen by hand. Each map is scaled
# to its own maximum. The label below a map is the share of the heat inside the object (outlined in the second picture).

# %% tags=["hide-input"]
students = {title(name): retention.looks(study, weights, "davis") for name, weights in sources.items()}
points = viz_maps.point_figure(study, students)
if points:
    page.show(
        points,
        "Where each network finds a point of the first frame (first picture) in a later one. Look for one spot on the star; a second spot on another object is a confusion, and heat everywhere means that the network cannot tell cells apart.",
        alt="A grid of frames: the point, the later frame with the object outlined, and a heat map for each network.",
        name="fig-points",
    )
else:
    page.say("No object is visible in both frames of any clip.")

# %% [markdown]
# The maps show where the heat of one object falls; the table shows how much of the heat of all objects falls inside
# them. *Top-k* takes the most similar cells alone, which are all that propagation keeps. Chance gives the share of the
# frame that an object covers.

# %% tags=["hide-input"]
page.show(
    retention.summary_table(measured, ["mass", "top-k mass"]),
    "Share of the heat inside the right object, of all cells (*mass*) and of the most similar cells (*top-k mass*), over all clips and objects, with 95 % intervals over clips.",
)
