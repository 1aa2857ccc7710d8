# %% [markdown]
# # The data of this run
#
# The study ships a world made of code: articulated, textured creatures that walk over textured, moving ground, under a
# moving camera and drifting light, with occluders, look-alikes and sensor noise. It is written in the official layouts
# of the data sets it stands in for, so that the same loaders and evaluators take the real ones: images as ImageNet
# {cite}`deng2009imagenet`, unlabelled videos as YouTube-VOS {cite}`xu2018youtubevos`, object masks as DAVIS-2017
# {cite}`ponttuset2017davis`, body parts as VIP {cite}`zhou2018vip` and joints as JHMDB {cite}`jhuang2013jhmdb`.
# Training, validation and test use disjoint textures and creatures.

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
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_study.evenly import evenly
from stt_study.figures import viz
from stt_study.figures.page import Page

page = Page(profile, settings, seed, data, runs)
study = page.study
images = Images(study.folder("images"), load_size=160)
pairs = FramePairs(study.folder("videos"), size=160, min_gap=study.profile.min_gap, max_gap=study.profile.max_gap)
counts = {"training images": len(images), "training videos": len(pairs.videos)}
counts["training frames"] = sum(len(frames) for frames in pairs.videos)
for task in filter(study.has, ("davis", "vip", "jhmdb", "real")):
    sequences = study.sequences(task)
    counts[f"{task}: test sequences"] = len(sequences)
    counts[f"{task}: test frames"] = sum(len(sequence.frames) for sequence in sequences)
tested = " and ".join(f"{number:,} {kind.split(': test ')[1]} of {kind.split(':')[0]}" for kind, number in counts.items() if "sequences" in kind)
page.answer(
    f"This run learns from {len(images):,} images and {len(pairs.videos):,} videos ({counts['training frames']:,} frames) without labels, and is tested on {tested}."
)
page.show(pd.Series(counts, name="count").to_frame(), "How much this run learns from, and how much it is tested on.")

# %% [markdown]
# ## Images for step one

# %% tags=["hide-input"]
sheet = [images[(0, i)].permute(1, 2, 0).numpy() for i in evenly(range(len(images)), 24)]
page.show(
    viz.image_grid([sheet[i : i + 8] for i in range(0, len(sheet), 8)]),
    "Training images of step one, evenly chosen from the list. Each is its own class: the loss asks to tell every image from every other.",
    alt="A sheet of 24 small training images in three rows.",
    name="fig-images",
)

# %% [markdown]
# ## Videos for step two
#
# No labels here: these frames are all that step two sees, two at a time. Training pairs, as they leave the loader (both
# cut alike), the earlier frame above the later one:

# %% tags=["hide-input"]
drawn = [pairs[(0, i)].permute(0, 2, 3, 1).numpy() for i in evenly(range(len(pairs)), 8)]
page.show(
    viz.image_grid([[pair[0] for pair in drawn], [pair[1] for pair in drawn]], ["reference", "query"]),
    "Training pairs of step two: the earlier frame above, the later one below. Look for what moved: the match of a cell lies some cells away.",
    alt="Eight pairs of video frames, the reference above its query.",
    name="fig-pairs",
)

# %% [markdown]
# Some training videos hold a cut or a jump, where frames do not continue each other; there, reconstruction teaches the
# wrong thing, which is what the local distillation is about. In the shipped world it is known where they are:

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
    print(f"{broken} of {len(events)} training videos have a cut or a jump")
    page.show(
        viz.image_grid(rows, titles, width=7.0),
        "Four neighbouring frames around a cut and around a jump. After the second frame no match is to be found, or none nearby.",
        alt="Two rows of four frames; after the second frame of each the picture changes abruptly.",
        files=[listing],
        name="fig-cuts",
    )
else:
    print("nothing is recorded about cuts in these videos")

# %% [markdown]
# ## Labels for evaluation
#
# Over time: objects, as DAVIS-2017 has them, of the shipped world and of real video wherever a DAVIS folder is at hand;
# body parts, in the classes of VIP; and joints, in the order of JHMDB.

# %% tags=["hide-input"]
page.clips(
    "davis",
    4,
    "Object masks of four test sequences over time, a colour an object. Only the first frame's are given to a method.",
    name="fig-objects",
)
page.clips("real", 4, "The same of real video, wherever a DAVIS folder is at hand.")
words = "Body parts of three test videos over time, a colour a class. Left and right are classes of their own."
page.clips("vip", 3, words, name="fig-parts")
page.clips("jhmdb", 3, "Joints of three test clips over time. A joint keeps its colour.", name="fig-joints")

# %% [markdown]
# ## One real pair that comes with a package
#
# scikit-image brings a stereo pair of a motorcycle, with the disparity measured by structured light
# {cite}`scharstein2014middlebury`. Every run reports how far nearest-neighbour matches land from the truth on it.

# %% tags=["hide-input"]
left, right, disparity = stereo_motorcycle()
measured = np.isfinite(disparity)
page.show(
    viz.image_grid([[left, right]], column_titles=["left", "right"], width=9.0),
    f"A real stereo pair. Its disparity is known at {measured.mean():.0%} of the pixels and is {disparity[measured].max():.0f} px at most.",
    alt="Two photographs of a motorcycle, taken side by side.",
    name="fig-stereo",
)
