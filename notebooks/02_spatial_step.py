# %% [markdown]
# # Step one: spatial features from images
#
# The encoder first learns to tell images apart. MoCo {cite}`he2020moco` shows a network two crops of every image,
# recoloured and blurred in different ways, and asks it to find the partner of each crop among many others. Whatever
# survives the crop and the recolouring, the network must describe; that is what makes features *discriminative in
# space*. No labels are used.
#
# The paper's student starts from a MoCo trained on Lab images, and its teacher is a published MoCo or DetCo encoder.
# Here both are trained, so that the whole chain runs from images to tables on any machine. The student's encoder sees
# CIE Lab because step two hides one of its colours.

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
accuracy, chance = page.metrics("step_one").accuracy, 1 / (study.profile.spatial.queue + 1)
page.answer(
    f"At the end of its {len(accuracy)} steps, step one ranks a query's own partner first in {accuracy.tail(len(accuracy) // 20 + 1).mean():.0%} of the cases, where chance gives {chance:.1%}.",
    report.beside(study, {"step_one": "step one", "lab": "the Lab image itself", "random": "an untrained network"}, "davis"),
)
page.show(
    pd.Series(asdict(study.profile.spatial), name="step one, this run").to_frame(),
    "Settings of step one. `size` and `load_size` are in pixels, `steps` and `warmup` in batches.",
)

# %% [markdown]
# ## Training
#
# Training leaves `weights.pth` and `metrics.csv`; if it was stopped, it goes on from its last checkpoint. Accuracy is
# the share of queries whose own partner ranks above every key of the queue.

# %% tags=["hide-input"]
page.training(
    ["step_one"],
    ["loss", "accuracy", "lr"],
    "Step one's training, running means: the loss, and the share of queries whose own partner ranks first. The keys it is told from get harder as they get better, so neither need move in one direction.",
    name="fig-spatial-training",
)

# %% [markdown]
# If the profile's teacher takes RGB, as in the paper, a second encoder is trained the same way on RGB. With a Lab
# teacher, the frozen copy of the encoder above is the teacher.

# %% tags=["hide-input"]
print(f"teacher: {study.relative(study.teacher)} ({study.profile.teacher} input)")

# %% [markdown]
# ## A real check: matches on a stereo pair
#
# scikit-image {cite}`vanderwalt2014skimage` brings a stereo pair whose disparity was measured
# {cite}`scharstein2014middlebury`. Every cell of the left image is matched to its nearest neighbour, by cosine,
# anywhere in the right one, and the distance to the true place is taken. An untrained network may be a strong baseline
# here, since the two views hardly differ in scale or light: it is already a random, translation-invariant descriptor of
# a patch.

# %% tags=["hide-input"]
page.stereo(
    ["lab", "random", "step_one"],
    "How far off each match is: dark is right, yellow is lost. Look at smooth panels and at the floor, where one cell looks like the next.",
    name="fig-spatial-stereo",
)
