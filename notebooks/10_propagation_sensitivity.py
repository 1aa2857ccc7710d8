# %% [markdown]
# # How much depends on the settings of propagation
#
# Label propagation has a handful of settings, and methods that are compared in one table often differ in them. This
# page changes one setting at a time, with all others and the trained encoder as they are: any change in the results is
# due to the protocol, not to the features.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.analysis import sensitivity
from stt_study.analysis.sensitivity import VOTES
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
page.say(
    f"Measured on {len(clips)} clips of `{study.relative(study.folder('davis'))}`, list “{split}”: {names}. Frames are resized to {study.profile.evaluation.davis.resize}; a table below has the profile's own settings."
)

# %% [markdown]
# ## One setting at a time
#
# * **preceding frames**: how many frames before the query are references, beside frame 0; 0 leaves frame 0 alone.
# * **top-k** and **temperature**: how many of the most similar cells vote, and how sharply.
# * **radius** and **window**: how far from its own place a query searches, in cells, and whether in a square or a
#   circle.
# * **frame 0 is seen** through that window or as a whole (then an object that moves far can be found again).
# * **frame 0 counts** twice while it is also one of the preceding frames, as in this method's released code, or once.
# * **maps normalised**: whether each object's map is stretched to 0 … 1 before the largest one wins.
#
# The clips are validation clips where the data have any (list “train”), so that no setting is chosen on the test clips.
#
# All panels share one scale, so a flat curve belongs to a setting that does not matter here.

# %% tags=["hide-input"]
page.show(
    charts.sensitivity_figure(full),
    "J&F-Mean over the values of each setting, the others kept. Coloured: the mean over objects; grey: single clips. The dotted line marks the profile's own value.",
    alt="Small panels, one per setting of propagation, each with the mean J&F over its values and thin lines for single clips.",
    name="fig-sensitivity",
)

# %% [markdown]
# The best of several values has some gain by chance alone, and there are few clips: a small gain is no reason to change
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
# If the best temperature or top-k of one method differs from that of another, a table with one setting for both is
# unfair to one of them. The figure compares the full method, step one alone and random weights.

# %% tags=["hide-input"]
others = [sensitivity.sensitivity(study, name, VOTES) for name in ("step_one", "random")]
together = pd.concat([full[full.axis.isin(VOTES)], *others])
page.show(
    charts.sensitivity_figure(together),
    "The same for three kinds of features. If the peaks lie at different values, one setting for all is unfair to some.",
    alt="Small panels, one per setting, each with a line of mean J&F for three kinds of features.",
)

# %% [markdown]
# ## Stride 4 on real video
#
# The paper's largest gain comes with the stride of the features ({numref}`tab-davis` lists results for both strides).
# Here the weights are the same and windows have the same size in px, so a change is due to the stride. The affinity
# takes 16 times as long, so only the variants in the profile's `fine` are measured; other rows are from the reference,
# where it has them.

# %% tags=["hide-input"]
finer = report.strides(study)
if len(finer):
    shown = tables.with_intervals(finer).set_index("method").rename_axis(None).drop(columns="file")
    page.show(
        shown.round(1),
        "J&F-Mean on real video at both strides, and stride 4 minus the other in points, with 95 % intervals in brackets.",
        files=finer.file,
        name="tab-strides",
    )
else:
    page.say('Nothing was measured at stride 4: `make notebook NB=10 ARGS="-p settings.fine [full,step_two]"` does it.')
