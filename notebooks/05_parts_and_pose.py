# %% [markdown]
# # Part propagation and pose tracking
#
# Features and propagation are the same as before, but the labels are others: body parts and clothes in VIP's classes
# {cite}`zhou2018vip`, scored by IoU averaged over classes (mIoU), and the fifteen joints of JHMDB
# {cite}`jhuang2013jhmdb`, scored by the share of joints that lie within a tenth (up to a half) of the person's size of
# the true place (PCK). Where BADJA is at hand, the joints of its real animals are propagated, too.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
names = ["copy", "flow", "lab", "hog", "random", "supervised", "step_one", "step_two", "full"]
words = {"full": "the full method", "step_one": "step one alone", "lab": "the Lab image itself"}
page.answer(report.beside(study, words, "vip"), report.beside(study, words, "jhmdb"))

# %% [markdown]
# ## Parts

# %% tags=["hide-input"]
parts = study.results("vip", names)
if page.at_hand("vip"):
    page.bars(
        parts,
        "video",
        "mIoU of parts. Each dot is one video's mean over its classes; the bars pool counts over all videos, as the table does.",
        name="fig-vip",
    )
    page.totals(
        parts,
        "Parts, mIoU in percent. As in the benchmark, counts are pooled over all videos first.",
        name="tab-parts",
    )
    page.clip(
        "vip",
        page.worst(parts),
        parts,
        f"Video `{page.worst(parts)}`, on which the full method does worst. Small parts are lost first: of people, look for hands, feet and the borders between clothes.",
        name="fig-parts-failure",
    )

# %% [markdown]
# ## Pose
#
# The method's code and VFS {cite}`xu2021vfs` score the given frame, too; CRW {cite}`jabri2020crw` and UVC
# {cite}`li2019uvc` do not. The table has both measures.

# %% tags=["hide-input"]
pose = study.results("jhmdb", names)
if page.at_hand("jhmdb"):
    page.bars(
        pose,
        "clip",
        "PCK@0.1 of joints: the share found within a tenth of the person's size. Each dot is a clip; bars are means over joints, as in the table.",
        name="fig-jhmdb",
    )
    page.totals(
        pose,
        "PCK of joints in percent, from the strictest tolerance to the loosest, with the given frame and without it.",
        name="tab-pose",
    )
    page.pck(
        pose,
        "PCK over the tolerance, without the given frame. A method whose curve is ahead on the left places joints exactly; joints that are still missed at the right end are lost.",
        name="fig-pck",
    )
    words = "on which the full method does worst: the true joints, then the joints that each method found."
    page.clip("jhmdb", page.worst(pose), pose, f"Clip `{page.worst(pose)}`, {words}")

# %% [markdown]
# ## Animals
#
# BADJA {cite}`biggs2018badja` annotates joints of real animals in videos of DAVIS, in about every fifth frame. The
# first annotated frame is given; joints that are visible there are followed, and scored in frames where they are
# visible. PCK@0.1 and PCK@0.2 are JHMDB's measure. The measure of BADJA's authors counts a joint as found within 0.2
# times the square root of the area of the animal's mask; it is the mean over the sequences whose masks are at hand.
# Some of the videos are in DAVIS's training list; the caption counts those that were trained on, without labels.

# %% tags=["hide-input"]
animals = study.results("badja", names)
if page.at_hand("badja"):
    page.bars(
        animals,
        "sequence",
        f"Joints of real animals: {study.data_name('badja')}. Each dot is a sequence.",
        name="fig-badja",
    )
    page.totals(
        animals,
        "Share of the animals' joints that were found, in percent, by JHMDB's measure and by that of BADJA's authors.",
    )
    page.say(" ".join(animals["full method"]["notes"]))
    page.pck(animals, "PCK of the animals' joints over the tolerance, by JHMDB's measure, without the given frame.")
    words = (
        "on which the full method does worst: the true joints that are visible, then the joints that each method found."
    )
    page.clip("badja", page.worst(animals), animals, f"Sequence `{page.worst(animals)}`, {words}")
