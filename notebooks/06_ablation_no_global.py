# %% [markdown]
# # Without global distillation
#
# The global loss keeps the correlation of the deepest stage near the frozen step-one encoder, so that step two does not
# forget what step one learned. On this page it is off; everything else is as in the full method. Three more trainings
# are compared: with a teacher of cosines, whose features are normalised (a switch of the released code that is off by
# default); learning without forgetting {cite}`li2016lwf` in its place (the student's features of the teacher's own
# inputs stay near the teacher's); and training without either distillation.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.analysis import label_errors
from stt_study.figures.page import Page
from stt_study.results import report
from stt_study.variants import title

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["no_global", "full"]
words = {"full": "the full method", "no_global": "the same training without global distillation"}
page.answer(report.beside(study, words))

# %% [markdown]
# ## Training

# %% tags=["hide-input"]
page.training(
    names,
    ["fine", "coarse", "local", "global"],
    "Training with and without global distillation. Compare the reconstruction, fine and coarse: global distillation may slow it down, because it has another target.",
)

# %% [markdown]
# ## On the tasks

# %% tags=["hide-input"]
page.data()

# %% [markdown]
# A difference is a mean over sequences and seeds, in points of the task's headline figure, with a 95 % interval over
# both ([](../how_claims_are_decided.md)). Sequences of DAVIS are weighted by their number of objects, as in its
# official mean; videos and clips of the other tasks have equal weights, while their tables pool all frames. With one
# seed, the interval covers the choice of sequences alone; *single seeds* lists the lowest and the highest mean of one
# seed. *better* names a variant where *p* is at most 0.05, without correction for the number of rows. *smallest
# effect* is the effect that four of five such studies would have found. *origin* says whether this run measured both
# variants; if it does not train one of them, the reference results are shown.
#
# To see whether a difference remains after longer training, add `ARGS="-p settings.temporal.steps 1500"` to the command
# at the end of this page: it then trains this page's variants for so many steps.

# %% tags=["hide-input"]
page.compared("full", ["no_global", "teacher_cosine", "forget", "neither"], "one row per variant", figure=True)

# %% [markdown]
# ## Sequence by sequence

# %% tags=["hide-input"]
page.sequences(names[:-1])

# %% [markdown]
# ## Is the teacher's target right?
#
# A loss can only help if its target is worth learning. The table measures the target on held-out pairs of frames, as
# far apart as those of training are on average, with all networks run as in training:
#
# * *label error*: the share of pixels that get a wrong id if the correlation copies the earlier frame's ids;
# * *peak*: the largest probability in a row of the correlation;
# * *same place*: how often a cell's most probable partner lies at the same place (between frames so near to each other
#   most things stay within their cell of 32 px, so a teacher that often says otherwise is often wrong);
# * *as the teacher*: how often the most probable partner is the teacher's;
# * the loss.
#
# *Teacher, with cosines* is what the training with a teacher of cosines learns from.
#
# Products are not normalised, so a cell with long features can attract others; and the fewer cells a map has, the less
# there is to teach. The claim that global distillation helps has a premise: the teacher's label error must be below the
# student's at the start of step two, and below that of ids that all stay where they are ({numref}`tab-claims` says
# whether it holds).

# %% tags=["hide-input"]
students = {label_errors.START: study.spatial(), **{title(name): study.weights(name) for name in names}}
page.show(
    label_errors.targets(study, students).round(3),
    f"The correlation of the teacher and of each student on maps of {(study.profile.temporal.size // 32) ** 2} cells, means over cells; all but the loss lie between 0 and 1. Look first at the teacher's label error: a student whose own is smaller learns errors.",
    name="tab-targets",
    files=[study.teacher, *students.values()],
)
