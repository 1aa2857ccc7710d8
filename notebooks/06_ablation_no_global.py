# %% [markdown]
# # Without global distillation
#
# The global loss keeps the correlation of the deepest stage near the frozen step-one encoder, so that step two does not
# forget what step one learned. Here it is off; all else is as in the full method. Beside it: learning without
# forgetting {cite}`li2016lwf` in its place (the student's features of the teacher's own inputs stay near the
# teacher's), and neither distillation.

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
    "Training with and without global distillation. Compare the reconstruction, fine and coarse: the guard asks for something else beside it.",
)

# %% [markdown]
# ## On the tasks

# %% tags=["hide-input"]
page.data()

# %% [markdown]
# A difference is a mean over sequences and seeds, in points of the task's headline figure, with a 95 % interval over
# both ([](../how_claims_are_decided.md)); sequences of DAVIS count by their objects, as in its own mean, videos and
# clips of the other tasks alike, while their tables pool all frames. With one seed the interval covers the choice of
# sequences alone; *single seeds* has the lowest and the highest mean of one seed. *better* names the one that the
# interval favours, not corrected for the number of rows; *smallest effect* is what would have been found in four of
# five such studies. *origin* says whether this run measured both or, where it doesn't train one of them, the reference
# results are shown.
#
# Whether a difference is one of short training, a longer one tells: with `ARGS="-p settings.temporal.steps 1500"` the
# command above trains this page's variants so many steps.

# %% tags=["hide-input"]
page.compared("full", ["no_global", "forget", "neither"], "one row a variant", figure=True)

# %% [markdown]
# ## Sequence by sequence

# %% tags=["hide-input"]
page.sequences(names[:-1])

# %% [markdown]
# ## What the teacher asks for
#
# A loss can only help if its target is worth learning. On held-out pairs of neighbouring frames, with everything run as
# in training: the share of pixels that get a wrong id if the earlier frame's ids are copied by the correlation (*label
# error*), how peaked a row of it is (*peak*), how often a cell's most probable partner lies at the same place (between
# neighbours most things stay within their cell of 32 px, so a teacher that often says otherwise is often wrong), how
# often it is the teacher's, and the loss. Products aren't normalised, so a cell of long features can attract others;
# and the fewer cells a map has, the less there is to teach. The claim that global distillation helps has a premise: the
# teacher's label error must be below the student's at the start of step two and below that of ids that all stay where
# they are ({numref}`tab-claims` says whether it holds).

# %% tags=["hide-input"]
students = {label_errors.START: study.spatial(), **{title(name): study.weights(name) for name in names}}
print(f"{(study.profile.temporal.size // 32) ** 2} cells a map")
page.show(
    label_errors.targets(study, students).round(3),
    "The correlation of the teacher and of each student, means over cells; all but the loss lie between 0 and 1. Look first at the teacher's label error: a student whose own is smaller learns errors.",
    name="tab-targets",
    files=[study.teacher, *students.values()],
)
