# %% [markdown]
# # Teacher's strength
#
# "The stronger the teacher, the better", the authors write, but they give no curve. This page measures one.
#
# These trainings belong to profile `teacher` and take hours: `make notebook NB=18 PROFILE=teacher`. With any other
# profile, this page shows the reference results, if there are any.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.analysis.label_errors import STAY
from stt_study.figures import charts
from stt_study.figures.page import Page
from stt_study.results import teacher_curve

page = Page(profile, settings, seed, data, runs)
study = teacher_curve.study_of(page.study)
curves = {task: teacher_curve.curve(study, task) for task in ("davis", "real") if study.has(task)}
curves = {task: table for task, table in curves.items() if len(table)}
found = {study.data_name(task): teacher_curve.conclusion(table) for task, table in curves.items()}
page.answer(
    *map(teacher_curve.able, list(curves.values())[:1]),
    *(f"{words[0]} (Measured on {where}.)" for where, words in found.items() if words),
)

# %% [markdown]
# ## The curve
#
# All trainings are as in the full method at the paper's geometry (256 px, so that the deepest stage has 8x8 cells, and
# pairs of frames far enough apart for objects to leave their cell); only the teacher of the global distillation
# differs: none, an untrained encoder (whose residual blocks still are their shortcuts, so that it sees colours and
# edges), the encoder of step one, the same with normalised features (a switch of the released code that is off by
# default), the encoder of a step one that is four times as long, and an **oracle**, whose correlation is the true one
# of the shipped world. Each teaches with the carried weight ([](03_temporal_step.ipynb)) and with a quarter of it.
#
# If the oracle helps and step one's teacher does not, the teacher is the cause. If the oracle does not help either, no
# better teacher can be expected to help; but with few seeds only a large effect can be found or ruled out.
#
# A teacher's **strength** is measured by its label error: the share of pixels with a wrong label if its correlation
# copies the labels of the earlier frame, on validation clips, with frames as far apart as in training. Only cells that
# are visible in the earlier frame count. Even the oracle's error is not zero, because a cell of 32 px that comes from
# two others is copied from both; *stay* is a teacher for which nothing moves. The **gain** is the difference in
# J&F-Mean to the same training without a teacher, with a 95 % interval over seeds and clips
# ([](../how_claims_are_decided.md)).
#
# The oracle has no row for a cell of which more than half is hidden in the earlier frame, outside of it, or beyond a
# cut; the loss leaves these cells out. Encoders have a row for every cell, right or wrong.

# %% tags=["hide-input"]
for where, words in found.items():
    for sentence in words[1:]:
        page.say(f"{sentence} (Measured on {where}.)")
for task, table in curves.items():
    page.show(
        charts.strength_figure(table, STAY),
        f"Gain in J&F over no teacher, by the teacher's strength, on {study.data_name(task)}; bars: 95 % intervals; dotted: a teacher for which nothing moves. Filled: this run's results; hollow: the reference's.",
        alt="Dots with bars, one per teacher, over its label error, with a zero line.",
        files=table.files.explode(),
    )
if not curves:
    page.say("There are no results yet: `make notebook NB=18 PROFILE=teacher` makes them.")

# %% tags=["hide-input"]
for task, table in curves.items():
    page.show(
        teacher_curve.shown(table),
        f"Each teacher's label error and gain over no teacher, on {study.data_name(task)}: mean, 95 % interval, and the smallest effect that would be found.",
        files=table.files.explode(),
    )
