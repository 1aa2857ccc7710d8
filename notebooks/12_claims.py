# %% [markdown]
# # Claims reproduced
#
# The paper's claims that can be tested here, with the paper's figures and this study's. How they are decided was
# written down before the runs: [](../how_claims_are_decided.md). Four primary claims are decided on real video; all
# else is exploratory.
#
# Beside this run stand the reference results, computed in the same way from `results/reference`: runs of the same
# profile and data, kept in the repository, with more seeds and with the variants that this run doesn't train. Where a
# seed is in both, as seed 0 is in a default run, the two are not independent.

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
from stt_study.results.claims import ONE_MODEL, beside, claims, one_by_one, primary

page = Page(profile, settings, seed, data, runs)
study = page.study
table = claims(study)
deciding = primary(table) if len(table) else table
real = len(table) and deciding.decides.all()
where = "on real video" if real else "on the shipped world, which decides nothing: real video is missing"
counted = [
    f"{'this run' if origin == comparison.OWN else 'the reference'} ({' or '.join(f'{n}' for n in sorted(some.seeds.unique()))} seeds): {report.listed([f'{n} {verdict}' for verdict, n in some.verdict.value_counts().items()])}"
    for origin, some in (deciding.groupby("origin", sort=False) if len(table) else ())
]
if counted:
    page.answer(f"Verdicts on the four primary claims {where}. " + "; ".join(counted).capitalize() + ".")
page.data()

# %% [markdown]
# ## The four primary claims

# %% tags=["hide-input"]
page.show(
    one_by_one(deciding),
    f"The primary claims, {where}: the paper's figures for its own data, then differences in points of J&F-Mean with 95 % intervals in brackets, the smallest effect that would have been found in four of five such studies, the premise and the verdict.",
    files=deciding.files.explode(),
    name="tab-claims",
)

# %% [markdown]
# ## Exploratory: the other claims, and other tasks
#
# The same columns for the primary claims on other tasks, for the paper's other claims, and for comparisons that this
# study adds, of which the paper has no figures. Of many rows some are decided by chance.
#
# Two claims are about more than a mean. That local distillation helps *most where frames don't continue each other* is
# tested where objects were hidden, which the shipped world knows: the gain in J&F from an object's first occlusion on,
# minus the gain, at the same frame numbers, of objects that weren't hidden so far; it must also be a gain there. (Cuts
# occur only in the training videos, where there are no labels to score.) That global distillation *retains* spatial
# features is tested on the features: how many of a cell's nearest neighbours are those it has for the step-one encoder,
# in points of overlap; {numref}`tab-retained` says what chance gives.

# %% tags=["hide-input"]
others = table.drop(deciding.index)
page.show(
    beside(others),
    "Exploratory: one row a claim and task, the paper's figures, then differences in points with 95 % intervals in brackets, the smallest effect and the verdict.",
    files=others.files.explode(),
    name="tab-exploratory",
)

# %% tags=["hide-input"]
drawn = table.drop_duplicates(["claim", "task"]).rename(columns={"claim": "comparison"})  # this run's come first
drawn = drawn[~drawn.comparison.str.startswith(ONE_MODEL)]  # their scale is another
page.show(
    charts.interval_figure(drawn),
    "All claims and comparisons as differences in points with 95 % intervals, not corrected for their number. Filled: this run; hollow: the reference, for what this run doesn't train. Those about one model for all tasks are in the tables alone: their scale is another.",
    alt="One line a claim and task: the mean difference with its interval, around a zero line.",
    files=drawn.files.explode(),
    name="fig-claims",
)

# %% [markdown]
# ## Does the shipped world rank variants as real video does?
#
# Where it doesn't, what is found on the shipped world alone says nothing about real video. The rank correlation of the
# variants' figures tells; below 0.6 they count as exploratory, whatever their intervals say.

# %% tags=["hide-input"]
agreement, variants = report.rank_agreement(study)
print(
    f"Spearman's correlation of J&F-Mean on the shipped world and on real video, over {variants} trained variants: {agreement:.2f}"
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
