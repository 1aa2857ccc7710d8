# %% [markdown]
# # What held
#
# Every claim of the paper that this run can test, with the paper's figures and this run's. The rule, stated before looking:
# a claim that *A beats B* is **supported** if the 95 % interval of the mean difference over sequences (Student's t) lies above
# zero, **contradicted** if it lies below, **undecided** if it holds zero. The intervals cover the choice of sequences, not of
# the training's seed: one seed can't speak for others, so read a verdict as one about this run's weights.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_core import report, tables
from stt_core.study import Study

study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
claims = report.claims(study)
tables.as_text(claims.set_index(["claim", "data"]))

# %% [markdown]
# The paper's difference is in J&F-Mean on DAVIS-2017 validation, ResNet-18 at stride 8; rows of other tasks test the same claim
# by that task's headline figure.

# %% tags=["hide-input"]
print(f"seed {seed}, profile {study.profile.profile}, data {study.relative(study.data)}")
print(
    f"{len(claims)} comparisons, none corrected for their number: about one in twenty would stand out by chance alone"
)
claims.groupby("verdict").size().rename("claims").to_frame()
