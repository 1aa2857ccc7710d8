# %% [markdown]
# # Step two: temporal features from videos
#
# Starting from step one, the student sees pairs of frames with one colour channel hidden, and must reconstruct that
# channel of the later frame by copying from the earlier one. Copying works only where features of the same surface
# agree over time, which makes them *temporally repetitive*.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from dataclasses import asdict

import pandas as pd

from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
loss = page.metrics("full")[["fine", "coarse"]].sum(axis=1)
some = len(loss) // 20 + 1
first, last = loss.head(some).mean(), loss.tail(some).mean()
page.answer(
    f"Over the {len(loss)} steps of the full method, the reconstruction loss of both levels {'falls' if last < first else 'does not fall'}: its mean is {first:.3f} in the first twentieth of the steps and {last:.3f} in the last."
)
page.show(
    pd.json_normalize(asdict(study.settings("full"))).T.set_axis(["step two, this run"], axis="columns"),
    "Settings of step two, for the full method. `size` is in pixels, and a radius is in cells of its level; `local.…` are the settings of local distillation.",
)

# %% [markdown]
# ## Carrying the paper's weights to this geometry
#
# A mean-squared error between softmax maps depends on how many cells the maps have, so the paper's weights, 1000 and 50
# at 256 px, have another effect on smaller frames. This study therefore measures, on the same pairs and with the same
# starting weights, the gradient of every term at the paper's geometry and at this run's, and chooses weights that keep
# each distillation's ratio to the reconstruction (equation {eq}`eq-carried`).

# %% tags=["hide-input"]
balance = study.balance()
table = pd.DataFrame(
    {
        "gradient norm at 256 px": balance["paper"],
        "gradient norm here": balance["here"],
        "ratio to reconstruction at the paper's weights": balance["ratio"],
        "weight that carries the ratio over": balance["weights"],
    }
)
page.say(
    f"This run uses the weights {'that carry the ratio over' if study.profile.carry_weights else 'of its settings'}."
)
page.show(
    table.map(lambda value: f"{value:.4g}" if pd.notna(value) else ""),
    "The gradient norm of each term at both geometries, measured with all weights at 1, the ratio of a distillation to the reconstruction, and the weight that keeps this ratio here.",
)

# %% [markdown]
# ## Training
#
# Two distillation losses are added to the reconstruction: the **global** one keeps the correlation of the deepest stage
# near that of the frozen step-one encoder, and the **local** one lets the coarse pyramid level learn from the fine one
# at queries whose match is uncertain. [](00_method.ipynb) has the equations.

# %% tags=["hide-input"]
page.training(
    ["full"],
    ["fine", "coarse", "local", "global"],
    "The four terms of step two, weights included, as running means. The distillations are added to the reconstruction, so compare their sizes with it. The local loss may rise although it is minimised: reconstruction sharpens the correlations of both levels, and sharp ones that disagree are farther apart than flat ones.",
    name="fig-temporal-training",
)

# %% [markdown]
# Training from scratch has no step-one encoder, hence no global distillation. The profile's `scratch_lr` is its
# learning rate.

# %% tags=["hide-input"]
page.training(
    ["full", "step_two"],
    ["fine", "coarse", "local"],
    "Step two after step one, and from random weights. A lower reconstruction error does not have to mean better matches: the tasks measure those.",
)

# %% [markdown]
# ## The learning rate, on validation clips
#
# The learning rate matters as much as the losses. For profile `laptop`, every variant in a primary claim (but step one
# only, which has no step two) was trained at the same rates for the same number of steps and uses the rate that is best
# for it on validation clips; profiles `open` and `teacher` have the same rates. They were chosen before any test clip
# was measured. To repeat the sweep, which trains every variant again at every rate:
# `make notebook NB=03 ARGS="-p settings.rates [0.0003,0.001,0.003]"`.

# %% tags=["hide-input"]
rates, count = report.rate_sweep(study)
if len(rates):
    largest = max(rates, key=float)
    edge = (rates.idxmax(axis="columns") == largest).sum()
    page.show(
        rates.round(2),
        f"J&F-Mean on validation clips in percent, one row per variant and one column per learning rate ({report.seeds_text(count)}). The best rate of {edge} of {len(rates)} variants is the largest that was tried, so a larger one may be better still.",
    )
else:
    page.say("No sweep is stored for this profile.")

# %% [markdown]
# ## Matches on a real stereo pair

# %% tags=["hide-input"]
page.stereo(
    ["lab", "random", "step_one", "step_two", "full"],
    "The error of each match on a pair that no training saw: dark is right, yellow is lost, white is unknown. Compare the full method with step one, from which it starts.",
)
