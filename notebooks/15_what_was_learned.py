# %% [markdown]
# # What was learned
#
# Scores say how well labels are carried; they don't say what a loss did to the features. Here the networks themselves
# are compared, on the labelled test clips: how much of the step-one encoder's structure is left, and where a point is
# found again. The networks run as they are used, in evaluation mode and on whole frames with no
# colour channel dropped. A 95 % interval is a bootstrap over clips, for the weights of this run.

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
# verdict). The teacher is the frozen step-one encoder, with its own strides; every other network has the strides of step
# two. Pairs are neighbouring frames. Three measures:
#
# * **Neighbour overlap**: of the cells of the earlier frame that are nearest to a cell of the later one for the
#   teacher, the share that is among the nearest for the student, too. At res5 (the stage that the loss compares, at the
#   training size) by plain products, as in the loss; at res4 (what label propagation uses) by cosine, both networks
#   with the strides of inference.
# * **CKA** {cite}`kornblith2019cka`: similarity of two feature maps up to rotation and scale, cells as samples. It is
#   the unbiased form, which unrelated features bring to 0 on average; 1 is the same.
# * **The loss itself**: the distance between both correlations that global distillation lowers (weight 1), on pairs it
#   never saw. Less is nearer.
#
# Chance is what an unrelated order of the cells gives (for the loss: a student whose correlation is flat). Beating it
# says little: neighbouring frames resemble each other, and any network sees that the same place looks alike. *Random
# weights* are therefore the honest floor. *Step one only* has the teacher's own weights if the teacher reads Lab: at
# res5 it shows what the other strides alone change, at res4 it is the same network.

# %% tags=["hide-input"]
page.show(
    retention.summary_table(measured, retention.AGAINST_TEACHER),
    "How near each network is to the step-one encoder, and what chance gives: means, with 95 % intervals over clips in brackets; a lower loss is nearer. Compare the full method with the one without global distillation, and both with random weights.",
    files=(w for w in sources.values() if w != "random"),
    name="tab-retained",
)

# %% [markdown]
# These are five views of one question, not five tests of it; the loss is what was trained for, so it says that training
# worked, and the others that more than the trained quantity stayed. Nearer to the teacher isn't better in itself:
# whether it helps is measured with the tasks.
#
# The same on real video, wherever a DAVIS folder is at hand.

# %% tags=["hide-input"]
if page.at_hand("real"):
    few = {name: sources[name] for name in ("random", "step_one", "no_global", "full")}
    real = retention.against_teacher(study, few, "real")
    print(f"{real.sequence.nunique()} clips of real video")
    page.show(
        retention.summary_table(real, retention.AGAINST_TEACHER),
        "How much of the step-one encoder is left on real video, read in the same way.",
        files=(w for w in few.values() if w != "random"),
    )

# %% [markdown]
# ## Where is a point found again?
#
# A point of frame 0 is compared with every cell of a later frame: softmax of the cosine of res4, at the temperature of
# label propagation. The point is the object's pixel nearest to its centre of mass; the star is the same of the later
# frame, roughly where the point should be found (an object that turns has its centre elsewhere). Clips are evenly
# spread over the list, the object is the largest: none was picked for its looks. Heat is drawn to each map's own
# maximum. Below: the share of the heat inside the object (outlined in the second column). Look for one spot on the
# star; a copy of it on another creature is a confusion, and heat all over says that cells can't be told apart.

# %% tags=["hide-input"]
students = {title(name): retention.looks(study, weights, "davis") for name, weights in sources.items()}
points = viz_maps.point_figure(study, students)
if points:
    page.show(
        points,
        "Where a point of the first frame (first column) is found in a later one, per network. Look for one spot on the star; a second spot is a confusion.",
        alt="A grid of frames: the point, the later frame with the object outlined, and a heat map for each network.",
        name="fig-points",
    )
else:
    print("no object is seen in both frames")

# %% [markdown]
# One object of a clip shows where heat falls, all of them show how much of it falls right; *top-k* is of the most
# similar cells alone, which are all that propagation keeps. By chance, that is the share of the frame that an object
# covers.

# %% tags=["hide-input"]
page.show(
    retention.summary_table(measured, ["mass", "top-k mass"]),
    "Share of the heat inside the right object, of all of it (*mass*) and of the most similar cells' (*top-k mass*), over all clips and objects, with 95 % intervals over clips.",
)
