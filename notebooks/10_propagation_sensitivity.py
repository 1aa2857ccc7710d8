# %% [markdown]
# # How much hangs on the settings of propagation
#
# Label propagation has a handful of settings, and methods that are compared in one table often differ in them. Here one
# at a time is changed from the profile's own, all others kept, with the trained encoder as it is: whatever moves is the
# protocol's doing, not the features'.
#
# * **preceding frames**: how many frames before the query are references, beside frame 0; 0 leaves frame 0 alone.
# * **top-k** and **temperature**: how many of the most similar cells vote, and how sharply.
# * **radius** and **window**: how far from its own place a query looks, in cells, and whether in a square or a circle.
# * **frame 0 is seen** through that window, or whole (an object that moves far is found again).
# * **frame 0 counts** twice while it is also one of the preceding frames, as in this method's released code, or once.
# * **maps normalised**: whether each object's map is stretched to 0 … 1 before the largest wins.
#
# The clips are validation clips where the data have any (list “train”), so that nobody is tempted to choose by the test
# clips. An affinity depends on features and not on labels: settings that see the same cells share one search.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.analysis import sensitivity
from stt_study.analysis.sensitivity import SEARCHLESS
from stt_study.figures import charts
from stt_study.figures.page import Page
from stt_study.results import report, tables

page = Page(profile, settings, seed, data, runs)
study = page.study
full = sensitivity.sensitivity(study, "full")
changes = sensitivity.largest_changes(full)
most = changes.iloc[0]
moves = [f"{most[change]} points at {most[to]}" for to, change in (("best", "gain"), ("worst", "loss")) if most[change]]
page.answer(
    f"Of the settings of propagation, *{most.name}* moves the full method's J&F-Mean most: from {most['J&F-Mean']:.1f} at the profile's own value, {most.own}, by {report.listed(moves) or 'nothing'}."
)
split, clips = sensitivity.clips(study)
names = ", ".join(clip.name for clip in clips)
print(f"{len(clips)} clips of {study.relative(study.folder('davis'))}, list “{split}”: {names}")
print(f"the profile's settings: {study.profile.evaluation.davis}")

# %% [markdown]
# ## One setting at a time
#
# All panels share their scale, so a flat one is a setting that doesn't matter here.

# %% tags=["hide-input"]
page.show(
    charts.sensitivity_figure(full),
    "J&F-Mean over the values of each setting, the others kept. Thick: the mean over objects; grey: single clips. The ring on the dotted line is the profile's own value.",
    alt="Small panels, one a setting of propagation, each with the mean J&F over its values and thin lines for single clips.",
    name="fig-sensitivity",
)

# %% [markdown]
# The best of several values gains something by chance alone, and the clips are few: a small gain is no reason to change
# a setting.

# %% tags=["hide-input"]
page.show(
    changes.round(1),
    "How far each setting moves J&F-Mean, in points, the farthest first: the best of its values with the gain over the profile's own, and the worst with the loss, with 95 % bootstrap intervals over clips.",
    name="tab-sensitivity",
)

# %% [markdown]
# ## Is it the same for other features?
#
# If the best temperature or top-k of one method differs from another's, a table with one setting for both is unfair to
# one of them. These settings share one search, so they are cheap to compare: the full method, step one alone, and
# random weights.

# %% tags=["hide-input"]
others = [sensitivity.sensitivity(study, name, SEARCHLESS) for name in ("step_one", "random")]
together = pd.concat([full[full.axis.isin(SEARCHLESS)], *others])
page.show(
    charts.sensitivity_figure(together),
    "The same for three kinds of features. If the peaks lie at different values, one setting for all is unfair to some.",
    alt="Small panels, one a setting, each with a line of mean J&F for three kinds of features.",
)

# %% [markdown]
# ## Stride 4 on real video
#
# The paper's largest gain comes with the stride of the features ({numref}`tab-davis` has its rows of both). Here the
# weights are the same and windows have the same size in px, so what moves is the stride's doing. The affinity takes 16
# times as long, so this is measured only of those that the profile's `fine` names; others are the reference's, where it
# has them.

# %% tags=["hide-input"]
finer = report.strides(study)
if len(finer):
    shown = tables.with_intervals(finer).set_index("method").drop(columns="file")
    page.show(
        shown.round(1),
        "J&F-Mean on real video at both strides, and stride 4 minus the other in points, with 95 % intervals in brackets.",
        files=finer.file,
        name="tab-strides",
    )
else:
    print('nothing measured at stride 4: make notebook NB=10 ARGS="-p settings.fine [full,step_two]"')
