# %% [markdown]
# # Step one: spatial features from images
#
# The encoder first learns to tell images apart. MoCo {cite}`he2020moco` shows a network two crops of every image,
# recoloured and blurred in different ways, and asks it to find the partner of each crop among many others. The network
# must describe whatever the crops have in common, which makes its features *discriminative in space*. It needs no
# labels.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from dataclasses import asdict

import pandas as pd

from stt_study.analysis import held_out_pairs
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
trained = not study.profile.published.student
learned = "Step one was not trained here: the profile names published weights."
if trained:
    accuracy, chance = page.metrics("step_one").accuracy, 1 / (study.profile.spatial.queue + 1)
    some = len(accuracy) // 20 + 1
    halfway, end = (accuracy[:last].tail(some).mean() for last in (len(accuracy) // 2, len(accuracy)))
    learned = f"At the end of its {len(accuracy)} steps, step one ranks a query's own partner first in {end:.0%} of the cases (halfway in {halfway:.0%}), where chance gives {chance:.1%}."
page.answer(
    learned,
    report.beside(
        study, {"step_one": "step one", "lab": "the Lab image itself", "random": "an untrained network"}, "davis"
    ),
)

# %% tags=["hide-input"]
page.show(
    pd.Series(asdict(study.profile.spatial), name="step one, this run").to_frame(),
    "Settings of step one. `size` and `load_size` are in pixels, `steps` and `warmup` in batches.",
)

# %% [markdown]
# ## Training
#
# The paper's student starts from a MoCo trained on Lab images, and its teacher is a published MoCo or DetCo encoder.
# This study can train both, so that the whole chain, from images to tables, runs on any machine. The student's encoder
# takes CIE Lab images because step two hides one of their colour channels.
#
# Training writes `weights.pth` and `metrics.csv`; a training that was stopped resumes from its last checkpoint.
# Accuracy is the share of queries whose own partner ranks above every key of the queue.

# %% tags=["hide-input"]
if trained:
    spatial = study.profile.spatial
    page.training(
        ["step_one"],
        ["loss", "accuracy", "lr"],
        f"Step one's training, running means: the loss, the share of queries whose own partner ranks first, and the learning rate. In the first {-(-spatial.queue // spatial.batch)} steps the queue still holds random keys, which are easily told from the partner. The keys that a query must be told from become harder as the features improve, so neither loss nor accuracy needs to move in one direction.",
        name="fig-spatial-training",
    )

# %% [markdown]
# How strongly crops are changed, the rate and the temperature of the small profiles were chosen on validation clips of
# the shipped world, before any test clip was measured: the accuracy had to rise to the end, and J&F-Mean to be above
# that of the Lab image itself.

# %% tags=["hide-input"]
if held_out_pairs.split_of(study) == "train":
    scores = (
        study.measure("davis", study.source(name), "train")["metrics"]["J&F-Mean"] for name in ("step_one", "lab")
    )
    own, lab = (100 * score for score in scores)
    page.say(f"On this run's validation clips, step one's J&F-Mean is {own:.1f}, that of the Lab image {lab:.1f}.")

# %% [markdown]
# If the profile's teacher takes RGB images, as in the paper, a second encoder is trained in the same way on RGB images.
# With a Lab teacher, a frozen copy of the encoder above is the teacher.

# %% tags=["hide-input"]
page.say(
    f"The teacher of this run takes {'Lab' if study.profile.teacher == 'lab' else 'RGB'} images; its weights are `{study.relative(study.teacher)}`."
)

# %% [markdown]
# ## Matches on a real stereo pair
#
# scikit-image {cite}`vanderwalt2014skimage` includes a stereo pair whose disparity was measured
# {cite}`scharstein2014middlebury`. Every cell of the left image is matched to its nearest neighbour, by cosine,
# anywhere in the right image; its error is the distance to the true place. An untrained network may be a strong
# baseline here: it is a random, translation-invariant descriptor of a patch, and the two views hardly differ in scale
# or light.

# %% tags=["hide-input"]
page.stereo(
    ["lab", "random", "step_one"],
    "The error of each match: dark is right, yellow is lost; where it is white, the true place is unknown or outside of the right image. Look at smooth panels and at the floor, where neighbouring cells look alike.",
    name="fig-spatial-stereo",
)
