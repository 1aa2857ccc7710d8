# %% [markdown]
# # The data of this run
#
# Without a data folder, the study generates its own data, the *shipped world*: articulated, textured creatures walk over
# textured, moving ground, under a moving camera and changing light, with occluders, look-alikes and sensor noise.
# Training, validation and test use disjoint textures and creatures. With `DATA=…`, real data take its place.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from skimage.data import stereo_motorcycle

from stt_core.files import read_json
from stt_core.pictures import read_image
from stt_study.evenly import evenly
from stt_study.figures import viz
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
images, pairs = study.images(160), study.pairs(160)
counts = {"training images": len(images), "training videos": len(pairs.videos)}
counts["training frames"] = sum(len(frames) for frames in pairs.videos)
for task in filter(study.has, ("davis", "vip", "jhmdb", "real")):
    sequences = study.sequences(task)
    counts[f"{task}: test sequences"] = len(sequences)
    counts[f"{task}: test frames"] = sum(len(sequence.frames) for sequence in sequences)
tested = [f"{count:,} ({kind.partition(':')[0]})" for kind, count in counts.items() if "test sequences" in kind]
page.answer(
    f"This run learns from {len(images):,} images and {len(pairs.videos):,} videos ({counts['training frames']:,} frames) without labels; it is tested on {report.listed(tested)} sequences."
)
page.show(pd.Series(counts, name="count").to_frame(), "The amount of training and test data of this run.")

# %% [markdown]
# ## Images for step one
#
# The shipped world is written in the official layouts of the data sets that it stands in for, so that the same code
# reads the real ones: images as ImageNet {cite}`deng2009imagenet`, unlabelled videos as YouTube-VOS
# {cite}`xu2018youtubevos`, object masks as DAVIS-2017 {cite}`ponttuset2017davis`, body parts as VIP {cite}`zhou2018vip`
# and joints as JHMDB {cite}`jhuang2013jhmdb`.

# %% tags=["hide-input"]
sheet = [images[(0, i)].permute(1, 2, 0).numpy() for i in evenly(range(len(images)), 24)]
page.show(
    viz.image_grid([sheet[i : i + 8] for i in range(0, len(sheet), 8)]),
    "Training images of step one, evenly chosen from the list. Each image is a class of its own: the loss asks the encoder to tell it from every other image.",
    alt="A sheet of 24 small training images in three rows.",
    name="fig-images",
)

# %% [markdown]
# ## Videos for step two
#
# Step two sees unlabelled frames alone, two at a time. The figure shows training pairs as the loader returns them, both
# frames cropped in the same way.

# %% tags=["hide-input"]
drawn = [pairs[(0, i)].permute(0, 2, 3, 1).numpy() for i in evenly(range(len(pairs)), 8)]
page.show(
    viz.image_grid([[pair[0] for pair in drawn], [pair[1] for pair in drawn]], ["reference", "query"]),
    "Training pairs of step two: the earlier frame above, the later one below. Where something moved, the match of a cell lies some cells away.",
    alt="Eight pairs of video frames, the reference above its query.",
    name="fig-pairs",
)

# %% [markdown]
# Training videos may have a cut or a jump, where one frame does not continue the other. There, reconstruction teaches
# wrong matches, which local distillation is meant to correct. The shipped world records where they are.

# %% tags=["hide-input"]
listing = study.folder("videos") / "train" / "events.json"
events = read_json(listing) if listing.exists() else {}
rows, titles = [], []
for kind in ("cuts", "jumps"):
    for name in [name for name, e in events.items() if e[kind]][:1]:
        frames = sorted((listing.parent / "JPEGImages" / name).glob("*.jpg"))
        at = [frame.stem for frame in frames].index(events[name][kind][0])
        rows.append([read_image(frame) for frame in frames[at - 2 : at + 2]])
        titles.append(f"{kind[:-1]} after the second")
if rows:
    broken = sum(bool(e["cuts"] or e["jumps"]) for e in events.values())
    page.say(f"Of the {len(events)} training videos, {broken} have a cut or a jump.")
    page.show(
        viz.image_grid(rows, titles),
        "Four neighbouring frames around a cut and around a jump. After the second frame, cells have no match, or none nearby.",
        alt="Two rows of four frames; after the second frame of each the picture changes abruptly.",
        files=[listing],
        name="fig-cuts",
    )
else:
    page.say("Cuts are not recorded for these videos.")

# %% [markdown]
# ## Labels for evaluation
#
# The figures show labels over time: objects as in DAVIS-2017 (beside the shipped world's, those of real video where a
# DAVIS folder is at hand), parts as in VIP, and joints in the order of JHMDB.

# %% tags=["hide-input"]
page.clips(
    "davis",
    4,
    "Object masks over time, one colour per object. A method is given the masks of the first frame only.",
    name="fig-objects",
)
page.clips("real", 4, "Object masks of real video over time, one colour per object.")
words = "Parts over time, one colour per class. Of people, left and right are separate classes."
page.clips("vip", 3, words, name="fig-parts")
page.clips("jhmdb", 3, "Joints over time. A joint keeps its colour.", name="fig-joints")

# %% [markdown]
# ## A real stereo pair
#
# scikit-image includes a stereo pair of a motorcycle whose disparity was measured by structured light
# {cite}`scharstein2014middlebury`. Every run reports how far its nearest-neighbour matches lie from the truth.

# %% tags=["hide-input"]
left, right, disparity = stereo_motorcycle()
measured = np.isfinite(disparity)
page.show(
    viz.image_grid([[left, right]], column_titles=["left", "right"]),
    f"A real stereo pair. Its disparity is known at {measured.mean():.0%} of the pixels and is {disparity[measured].max():.0f} px at most.",
    alt="Two photographs of a motorcycle, taken side by side.",
    name="fig-stereo",
)
