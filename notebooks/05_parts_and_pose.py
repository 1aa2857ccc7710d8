# %% [markdown]
# # Part propagation and pose tracking
#
# The same features, the same propagation, other labels: body parts and clothes in VIP's classes {cite}`zhou2018vip`,
# scored by the mean over classes of IoU (mIoU), and the fifteen joints of JHMDB {cite}`jhuang2013jhmdb`, scored by the
# share of joints that land within a tenth (to a half) of the person's size of the truth (PCK). Where BADJA is at hand,
# the joints of its real animals, too.

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
        "mIoU of body parts. A dot is one video's mean over its classes, a bar the mean of the dots.",
        name="fig-vip",
    )
    page.totals(
        parts,
        "Body parts, mIoU in percent, counts pooled over all videos first, as the benchmark does.",
        name="tab-parts",
    )
    page.clip(
        "vip",
        page.worst(parts),
        parts,
        f"Video `{page.worst(parts)}`, on which the full method does worst. Small parts go first: look for hands, feet and the borders between clothes.",
        name="fig-parts-failure",
    )

# %% [markdown]
# ## Pose
#
# The method's code and VFS {cite}`xu2021vfs` score the given frame too; CRW {cite}`jabri2020crw` and UVC
# {cite}`li2019uvc` do not. Both are here.

# %% tags=["hide-input"]
pose = study.results("jhmdb", names)
if page.at_hand("jhmdb"):
    page.bars(
        pose,
        "clip",
        "PCK@0.1 of joints: the share found within a tenth of the person's size. A dot is a clip, a bar the mean of the dots.",
        name="fig-jhmdb",
    )
    page.totals(
        pose,
        "PCK of joints in percent, from the strictest tolerance to the loosest, with the given frame and without it.",
        name="tab-pose",
    )
    page.pck(
        pose,
        "PCK over the tolerance, the given frame left out. A curve that is ahead on the left places joints exactly; at the right end, joints that are missed are lost.",
        name="fig-pck",
    )
    words = "on which the full method does worst: the true joints, then those that each method found."
    page.clip("jhmdb", page.worst(pose), pose, f"Clip `{page.worst(pose)}`, {words}")

# %% [markdown]
# ## Animals
#
# BADJA {cite}`biggs2018badja` has real animals' joints on DAVIS's videos, in about every fifth frame. The first
# annotated frame is given; a joint is followed if it is visible there, and scored where it is visible. PCK@0.1 and 0.2
# are JHMDB's measure; its authors' own counts a joint as found closer than 0.2 times the square root of the area of the
# animal's mask, and is the mean over the sequences whose masks are at hand.

# %% tags=["hide-input"]
animals = study.results("badja", names)
if page.at_hand("badja"):
    page.bars(animals, "sequence", "Joints of real animals. A dot is a sequence.", name="fig-badja")
    page.totals(
        animals,
        "Share of the animals' joints that were found, in percent, by JHMDB's measure and by the authors' own.",
    )
    print(*animals["full method"]["notes"], sep="\n")
    page.pck(animals, "PCK of the animals' joints over the tolerance, by JHMDB's measure, the given frame left out.")
    words = "on which the full method does worst: the true joints that are visible, then those that each method found."
    page.clip("badja", page.worst(animals), animals, f"Sequence `{page.worst(animals)}`, {words}")
