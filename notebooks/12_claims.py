# %% [markdown]
# # Claims reproduced
#
# Every claim of the paper that can be tested here, with the paper's figures and this study's. The rule, stated before
# looking: a claim that *A beats B* is **supported** if the 95 % interval of the mean difference over sequences and
# seeds lies above zero and the mean of every single seed does, **contradicted** if all lie below, else **undecided**.
# With one seed an interval covers the choice of sequences alone: read such a verdict as one about these weights. Of
# many rows some are decided by chance.
#
# Beside this run stand the reference results, computed in the same way from `results/reference`: runs of the same
# profile and data, kept in the repository, with more seeds and with the variants that this run doesn't train. Where a
# seed is in both, as seed 0 is in a default run, the two columns are not independent. *paper* has its published
# figures, for its own data ({numref}`tab-davis` to {numref}`tab-jhmdb` have more of them).
#
# Two claims are about more than a mean. That local distillation helps *most where frames don't continue each other* is
# tested where objects were hidden, which the shipped world knows: the gain in J&F from an object's first occlusion on,
# minus the gain, at the same frame numbers, of objects that weren't hidden so far; it must also be a gain there. (Cuts
# occur only in the training videos, where there are no labels to score.) That global distillation *retains* spatial
# features is tested on the features: how many of a cell's nearest neighbours are those it has for the step-one encoder,
# in points of overlap; {numref}`tab-retained` says what chance gives.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.figures import viz
from stt_study.figures.page import Page
from stt_study.results import comparison
from stt_study.results.claims import ONE_MODEL, beside, claims

page = Page(profile, settings, seed, data, runs)
study = page.study
table = claims(study)
page.data()

# %% [markdown]
# ## The paper's claims

# %% tags=["hide-input"]
page.show(
    beside(table[~table.ours]),
    "The paper's claims, one row a claim and task: the paper's figures, then differences in points with 95 % intervals in brackets, and the verdicts of the rule.",
    files=table[~table.ours].files.explode(),
    name="tab-claims",
)

# %% tags=["hide-input"]
shown = table.drop_duplicates(["claim", "task"]).rename(columns={"claim": "comparison"})  # this run's come first
shown = shown[~shown.comparison.str.startswith(ONE_MODEL)]  # their scale is another
page.show(
    viz.interval_figure(shown),
    "The claims, and this study's own comparisons, as differences in points with 95 % intervals. A claim holds where its interval lies right of zero. Filled: this run; hollow: the reference, for what this run doesn't train. Those about one model for all tasks are in the tables alone: their scale is another.",
    alt="One line a claim and task: the mean difference with its interval, around a zero line.",
    files=shown.files.explode(),
    name="fig-claims",
)

# %% [markdown]
# ## This study's own comparisons
#
# The same rule for what the paper doesn't claim in so many words.

# %% tags=["hide-input"]
page.show(
    beside(table[table.ours]),
    "Comparisons that this study adds, in the same columns; the paper has no figures for them.",
    files=table[table.ours].files.explode(),
    name="tab-own-comparisons",
)

# %% [markdown]
# ## Where the reference comes from

# %% tags=["hide-input"]
provenance = comparison.reference_runs(study)
if len(provenance):
    page.show(
        provenance,
        "How the reference results were made: seeds, time of training, processor, version and commit.",
    )
else:
    print("no reference results for this profile, its settings and its data")
