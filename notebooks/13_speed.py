# %% [markdown]
# # Speed and memory
#
# Label propagation is what one runs most: on every checkpoint, in every sweep. This page times it and the encoder
# beside the released code's scheme (of propagation: all context cells for 32 queries at a time, masked, top-k). All
# ways run in turns on the same tensors, and each result is compared with the reference's, so a time without its error
# does not exist here. Times are medians.

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
    f"Propagating a frame of {bench['settings']['height']}x{bench['settings']['width']} px at the largest size measured ({tiles.name[0]}) takes {tiles.ms:,.0f} ms, where the released code's scheme takes {plain.ms:,.0f} ms{' (projected from a part of the queries)' * (plain.timed == 'in part')}; the largest error of a label is {propagation.error.max():.0e}, of 1."
)
page.say(f"Measured on: {machine_text(bench['machine'])}.")

# %% [markdown]
# ## Times
#
# *Floor* is what the products of exact windows alone would take in float32 at the rate above; tiles compute more than
# windows, but nothing else of them is waste. *In part* means that the reference was run on some of the queries and
# projected: it would take minutes. For propagation, *error* is the largest difference of a label, in 0 to 1, where no
# tie decides; else it is relative to the largest value. Features are random vectors: the time of either way hardly
# depends on what is in them.

# %% tags=["hide-input"]
formats = {"ms": "{:,.1f}", "times as fast": "{:.1f}", "error": "{:.0e}", "floor, ms": "{:,.0f}"}
page.show(
    formatted(table, formats),
    "Median milliseconds of each way, and how many times as fast it is as the first of its case, which is the reference that errors are taken against.",
    name="tab-speed",
)

# %% [markdown]
# How a frame is propagated: queries are taken in tiles. One matrix product compares a tile with its *halo*, the cells
# within reach of any of its queries, in all context frames at once; the maximum over frames finds the best cells, and
# the best pairs are among those.

# %% [markdown]
# ## What a frame costs
#
# Propagation streams frames: however long the video, only the features and labels of frame 0 and the preceding ones are
# kept; *kept features* is what those take. Operations are counted, those of convolutions and matrix products, and the
# parameters are those up to res4, which is as far as inference goes. Seconds are of everything that a measurement does:
# reading, features, propagation, writing and scoring, in the measurements that {numref}`tab-vos` shows; they were taken
# whenever they were needed, perhaps beside other work. *HOG* is computed without PyTorch, whose operations alone are
# counted.

# %% tags=["hide-input"]
names = ["copy", "flow", "lab", "hog", "random", "supervised", "full"]
formats = {"parameters, M": "{:.2f}", "features, GFLOP": "{:.1f}", "affinity, GFLOP": "{:.1f}"}
formats |= {"kept features, MB": "{:.1f}", "seconds a frame": "{:.3f}", "frames": "{:.0f}", "threads": "{:.0f}"}
page.show(
    formatted(costs(study, "davis", names), formats),
    f"Costs of a frame on {study.data_name('davis')}, and on how many frames and threads the seconds were measured. Empty: needs no features.",
    files=study.results("davis", names),
    name="tab-costs",
)
