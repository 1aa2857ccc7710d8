# %% [markdown]
# # At scale
#
# The paper's trainings are for GPUs, and this page says what they ask for before anyone pays for it. Operations and
# memory are counted on the very models of this study at their true size, on tensors without content. Time is
# estimated from GPUs' data sheets, and the estimate's own assumptions are put beside measurements. `stt plan` prints the
# same for any profile.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from stt_study.figures import scale as viz_scale
from stt_study.figures import viz
from stt_study.figures.captions import show
from stt_study.profile import load_profile
from stt_study.speed import budget, feeding, gpus, throughput
from stt_study.study import Study

viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
paper = load_profile("paper")
on, count = gpus.gpu("h100"), 4
planned = budget.Budget(paper, count)
one, two = planned.step_one(), planned.step_two()

# %% [markdown]
# ## A step
#
# Of every operation PyTorch's own formula gives the arithmetic (of convolutions and matrix products, a multiplication and an
# addition counted as two), and the sizes of what goes in and comes out give the bytes that have to be moved. Memory is what the results hold at
# a time, forward and backward. Not in it: CUDA's own memory, workspaces, gaps, and the random crops and
# colours of step one.

# %% tags=["hide-input"]
show(
    study,
    budget.rounded(budget.step_table([one, two])).T,
    f"One step of profile `paper` on one of {count} GPUs. GB are 10⁹ bytes; *peak* is the most that is held at a time, weights and the optimizer's memory included.",
    name="tab-step-cost",
)

# %% [markdown]
# Arithmetic is the smaller part of the time. Each operation takes at least its arithmetic at the full rate or its bytes at the
# full bandwidth, whichever is longer, and a network with few channels on large maps, and correlations of every cell with every other in
# 32 bits, mostly wait for memory.

# %% tags=["hide-input"]
kinds = {job.title: gpus.by_kind(job.cost.ops, on) for job in (one, two)}
table = pd.concat(kinds, names=["training", "operations"]).reset_index(level=0)
show(
    study,
    budget.rounded(table.assign(time=table["time"].map("{:.0%}".format))),
    f"Where operations, bytes and the least possible time of a step go, on a {on.title}.",
)

# %% [markdown]
# How near to that least time does a real training come? NVIDIA has published what its own PyTorch training of a ResNet-50 reaches, and the least
# time of that training can be counted in the same way.

# %% tags=["hide-input"]
reached = gpus.calibration()
shares = {name: reached[name].map("{:.0%}".format) for name in ("reached", "of the 16-bit peak")}
show(
    study,
    budget.rounded(reached.assign(**shares)),
    "NVIDIA's published rates of a ResNet-50 in mixed precision, beside what the same count allows at most.",
)
low, high = gpus.REACHED
print(
    f"assumed from here on: {low:.0%} to {high:.0%} of what is possible, and {1e6 * gpus.LAUNCH:.0f} µs to start an operation"
)

# %% [markdown]
# ## Hours

# %% tags=["hide-input"]
show(
    study,
    budget.rounded(budget.as_ranges(budget.time_table(planned.jobs(), on))),
    f"Every training of profile `paper`, one seed, on {count} × {on.title}: from the faster to the slower estimate.",
    name="tab-gpu-hours",
)

# %% tags=["hide-input"]
spread = budget.over_gpus(paper, (1, 2, 4, 8))
show(
    study,
    viz_scale.hours_figure(spread),
    "Hours of both steps of profile `paper` over the number of GPUs, both axes logarithmic. A line is the slower estimate, its band reaches down to the faster one. Where a line goes flat, starting operations takes longer than computing them: then more GPUs don't help.",
    alt="Two panels of falling lines: hours of step one and of step two over one to eight GPUs, one line a kind of GPU.",
    name="fig-gpu-hours",
)

# %% [markdown]
# ## Memory

# %% tags=["hide-input"]
show(
    study,
    viz_scale.memory_figure(spread),
    "The least memory of a step over a GPU's share of the batch, both axes logarithmic; grey lines: the GB that GPUs have.",
    alt="Two panels of rising lines: memory of step one over images and of step two over pairs on a GPU, with and without computing the encoder twice.",
    name="fig-gpu-memory",
)

# %% [markdown]
# ## Feeding
#
# A GPU that waits for its data is paid for nothing. Here one core reads JPEGs, in the way the trainings do: 500 × 375 px for step one, as most of ImageNet,
# and frames of 1280 × 720 px for step two, as YouTube-VOS. They are made of photographs with grain, since those data sets may not
# be at hand; where this run has images and videos of its own, they are measured, too. Augmentation is the GPU's work, and cutting out is in the figures.

# %% tags=["hide-input"]
with TemporaryDirectory() as folder:
    images, videos = feeding.write_images(Path(folder) / "images"), feeding.write_videos(Path(folder) / "videos")
    rates = [
        (feeding.image_rate(images, paper.spatial, what="images, 500 × 375"), one),
        (feeding.pair_rate(videos, paper.temporal, what="pairs, 1280 × 720"), two),
    ]
own = study.profile
rates += [
    (feeding.image_rate(study.folder("images"), paper.spatial, what="this run's images"), one),
    (feeding.pair_rate(study.folder("videos"), paper.temporal, what="this run's pairs", aspect=own.aspect), two),
]
show(
    study,
    budget.rounded(budget.as_ranges(feeding.feeding_table(rates, on))).T,
    f"What one core of this machine gives, in processor time, beside what one of {count} × {on.title} takes at the faster and the slower estimate; and with 8 workers a GPU the share of that need, and the hours of the training. Above 1, the GPU never waits.",
    name="tab-feeding",
)

# %% [markdown]
# ## Estimates and trainings
#
# What this machine needs for a step of its own profile is measured, a few steps of the real training loops on random pixels, and put beside
# what the run's own trainings took. Those may have shared the machine with other notebooks; then they took longer than promised.

# %% tags=["hide-input"]
beside = throughput.beside_trainings(study)
show(
    study,
    budget.rounded(beside).T,
    f"Steps of profile `{study.profile.profile}` as measured now, and its trainings: *promised* is the median step times their number.",
    files=[weights.parent / "seconds.json" for weights in (study.spatial(), study.weights("full"))],
)
