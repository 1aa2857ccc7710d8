# %% [markdown]
# # Which claims are reproduced
#
# This page lists the paper's claims that can be tested here, with the paper's figures and those of this study. The
# rules for the verdicts were written down before the runs, and a later change is noted there:
# [](../how_claims_are_decided.md). Four primary claims are decided on real video; all other comparisons are exploratory.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.figures import charts
from stt_study.figures.page import Page
from stt_study.results import comparison, report
from stt_study.results.claims import against, beside, claims, in_words, one_by_one, primary

page = Page(profile, settings, seed, data, runs)
study = page.study
table = claims(study)
deciding = primary(table)
where = "on real video" if deciding.decides.all() else "on the shipped world alone, which decides nothing"
page.answer(f"Verdicts on the four primary claims, {where}. {in_words(deciding)}")

# %% [markdown]
# ## The four primary claims

# %% tags=["hide-input"]
page.show(
    one_by_one(deciding),
    f"The primary claims, {where}: the verdict, the difference in points of J&F-Mean with its 95 % interval, the smallest effect that four of five such studies would have found, the paper's figures for its own data, and the premise. Verdicts are corrected for the number of claims ([](../how_claims_are_decided.md)), intervals and smallest effects are not.",
    files=deciding.files.explode(),
    name="tab-claims",
)

# %% [markdown]
# The premise of global distillation is hard to meet where training frames have 128 px, as in profiles `laptop` and
# `open`: the deepest stage then has 4x4 cells, and little moves from one to another. [](18_teacher_strength.ipynb) has
# 8x8 cells.

# %% tags=["hide-input"]
page.data()
for sentence in comparison.of_other_data(study):
    page.say(sentence)

# %% [markdown]
# Where this run has results, the reference results stand beside them. They are computed in the same way from
# `results/reference`: runs of the same profile, stored in the repository, with more seeds and with the variants that
# this run does not train. Where both contain the same seed, such as seed 0 of a default run, they are not independent.
#
# ## Exploratory: the other claims, and other tasks
#
# The table has the primary claims on other tasks, the paper's other claims, and comparisons that this study adds and
# for which the paper has no figures. A claim has the same premise on all tasks. p is corrected within the families that
# the rules name; with so many rows, some are decided by chance.
#
# Two claims are not about means of a task. The claim that local distillation helps *most where frames don't continue
# each other* is tested with occlusions, which the shipped world records: the gain in J&F after an object's first
# occlusion, minus the gain, at the same frame numbers, of objects that were not hidden so far. The gain after
# occlusions must also be positive. The gain of those not hidden is one mean over all clips, whose own spread the
# interval leaves out. (Cuts occur only in the training videos, which have no labels.) The claim that global
# distillation *retains* spatial features is tested on the features: the share of a cell's nearest neighbours that it
# also has for the step-one encoder, in points of overlap; {numref}`tab-retained` says what chance gives.

# %% tags=["hide-input"]
others = table.drop(deciding.index)
page.show(
    beside(others),
    "Exploratory: one row per claim and task, the paper's figures, then differences in points with 95 % intervals in brackets, p, the smallest effect and the verdict.",
    files=others.files.explode(),
    name="tab-exploratory",
)

# %% tags=["hide-input"]
drawn = table.drop_duplicates(["claim", "task"]).rename(columns={"claim": "comparison"})  # this run's come first
drawn = drawn[~drawn.baseline]  # their scale is another
page.show(
    charts.interval_figure(drawn),
    "All claims and comparisons as differences in points with 95 % intervals, not corrected for their number. Filled: this run; hollow: the reference, for variants that this run does not train. Comparisons with baselines are in the tables only, because their scale is different.",
    alt="One line per claim and task: the mean difference with its interval, around a zero line.",
    files=drawn.files.explode(),
    name="fig-claims",
)

# %% [markdown]
# ## What speaks against the paper
#
# The table has every claim, primary or not, whose whole interval (not corrected) lies below the effect that the paper
# reports or, where it reports none, below zero. Effects of hours of training on a small network need not be those of
# the paper's.

# %% tags=["hide-input"]
contrary = against(table)
if len(contrary):
    page.show(
        contrary,
        "Claims and comparisons whose difference is below the paper's, or below zero: differences in points with 95 % intervals.",
        name="tab-against",
    )
else:
    page.say("No interval lies below the paper's effect, or below zero.")

# %% [markdown]
# ## Does the shipped world rank variants as real video does?
#
# If it does not, results on the shipped world alone say nothing about real video. The rank correlation of the variants'
# results measures this. Whatever it is, results on the shipped world are exploratory; below 0.6 they do not even
# suggest what real video would show.

# %% tags=["hide-input"]
agreement, counts = report.rank_agreement(study)
page.say(
    f"Over {len(counts)} trained variants, {counts.count(1)} of them with one seed, the rank correlation (Spearman) of J&F-Mean on the shipped world and on real video is {agreement:.2f}."
    if len(counts) > 2
    else "Fewer than three trained variants were measured on both, so there is no rank correlation."
)

# %% [markdown]
# ## Where the reference comes from

# %% tags=["hide-input"]
provenance = comparison.reference_runs(study)
if len(provenance):
    page.show(
        provenance,
        "How the reference results were made: seeds, training time, processor, version and commit.",
    )
else:
    page.say("There are no reference results for this profile with these settings and data.")
