# %% [markdown]
# # Speed and memory
#
# Label propagation is run most often: on every checkpoint and in every sweep. This page times it and the encoder beside
# the released code's scheme (for propagation: all context cells for 32 queries at a time, masked, top-k). All
# implementations run in turns on the same tensors, and each result is compared with the reference, so every time comes
# with an error. Times are medians.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.analysis.costs import costs
from stt_study.figures.page import Page
from stt_study.results.tables import formatted
from stt_study.speed.bench import machine_text, speed_table

page = Page(profile, settings, seed, data, runs)
study = page.study
bench = study.bench()
table = speed_table(bench)
propagation = table[table.index.get_level_values("case").str.startswith("propagation")]
plain, tiles = propagation.iloc[-2], propagation.iloc[-1]
page.answer(
    f"Propagating a frame of {bench['settings']['height']}x{bench['settings']['width']} px at {tiles.name[0].removeprefix('propagation, ')} takes {tiles.ms / 1000:.3g} s, where the released code's scheme takes {plain.ms / 1000:.3g} s{' (projected from a part of the queries)' * (plain.timed == 'in part')}, {tiles['times as fast']:.0f} times as long; no label, between 0 and 1, differs from its result by more than {propagation.error.max():.0e}."
)
page.say(f"Measured on: {machine_text(bench['machine'])}.")

# %% [markdown]
# ## Times
#
# *Floor* is the shortest possible time: that of the products within the windows alone, in float32 at the rate above.
# The tiles of queries that are used (below the table) compute more. *In part* means that the reference, which would take
# minutes, was run on some of the queries and projected. For propagation, *error* is the largest difference of a label
# (between 0 and 1) where no tie decides; for the encoder it is relative to the largest value. Features are random
# vectors, because their content hardly affects the times.

# %% tags=["hide-input"]
formats = {"ms": "{:,.1f}", "times as fast": "{:.1f}", "error": "{:.0e}", "floor, ms": "{:,.0f}"}
page.show(
    formatted(table, formats),
    "Median milliseconds of each implementation, and how many times as fast it is as the first one of its case, which is also the reference for errors.",
    name="tab-speed",
)

# %% [markdown]
# To propagate a frame, queries are taken in tiles. One matrix product compares a tile with its *halo*, the cells within
# reach of any of its queries, in all context frames at once; the maximum over frames finds the best cells, which
# contain the best pairs.

# %% [markdown]
# ## What a frame costs
#
# Propagation streams frames: however long the video, it keeps only the features and labels of frame 0 and of the
# preceding frames (*kept features* is the memory that their features take). Operations of convolutions and matrix
# products are counted; parameters are those up to res4, the last stage that inference uses. Seconds include everything
# that a measurement does: reading, features, propagation, writing and scoring. They come from the measurements in
# {numref}`tab-vos`, which may have run beside other work. Operations of *HOG* are not counted, because it does not use
# PyTorch.

# %% tags=["hide-input"]
names = ["copy", "flow", "lab", "hog", "random", "supervised", "full"]
formats = {"parameters, M": "{:.2f}", "features, GFLOP": "{:.1f}", "affinity, GFLOP": "{:.1f}"}
formats |= {"kept features, MB": "{:.1f}", "seconds a frame": "{:.3f}", "frames": "{:.0f}", "threads": "{:.0f}"}
page.show(
    formatted(costs(study, "davis", names), formats),
    f"Costs per frame on {study.data_name('davis')}, with the numbers of frames and threads with which the seconds were measured. Empty cells: the method needs no features, or its operations are not counted.",
    files=study.results("davis", names),
    name="tab-costs",
)
