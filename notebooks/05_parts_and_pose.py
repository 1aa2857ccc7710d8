# %% [markdown]
# # Part propagation and pose tracking
#
# The same features, the same propagation, other labels: body parts and clothes in VIP's classes {cite}`zhou2018vip`, scored by the mean over classes
# of IoU (mIoU), and the fifteen joints of JHMDB {cite}`jhuang2013jhmdb`, scored by the share of joints that land within a tenth (to a half) of the
# person's size of the truth (PCK). Where BADJA is at hand, the joints of its real animals, too.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from pathlib import Path

from IPython.display import Image

from stt_study.benchmarks.registry import TASKS
from stt_study.figures import viz
from stt_study.figures.captions import show
from stt_study.results import tables
from stt_study.study import Study

viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
names = ["copy", "flow", "lab", "random", "supervised", "step_one", "step_two", "full"]

# %% [markdown]
# ## Parts

# %% tags=["hide-input"]
parts = study.results("vip", names)
if parts:
    files = [result["path"] for result in parts.values()]
    show(
        study,
        viz.score_bars(tables.per_sequence(parts), "mIoU", by="variant", per="video"),
        "mIoU of body parts. A dot is one video's mean over its classes, a bar the mean of the dots.",
        alt="One bar a method with its mean mIoU, and a dot for each video.",
        files=files,
        name="fig-vip",
    )
    show(
        study,
        tables.totals(parts).round(1),
        "Body parts, mIoU in percent, counts pooled over all videos first, as the benchmark does.",
        files=files,
        name="tab-parts",
    )
    worst = tables.per_sequence(parts).query("variant == 'full method'").set_index("sequence")["mIoU"].idxmin()
    show(
        study,
        viz.strips(next(s for s in study.sequences("vip") if s.name == worst), parts),
        f"Video `{worst}`, on which the full method does worst. Small parts go first: look for hands, feet and the borders between clothes.",
        alt="Rows of six frames with coloured body parts: the annotation, then one row a method.",
        files=files,
        name="fig-parts-failure",
    )
else:
    print(f"no part data in {study.relative(study.data)}")

# %% [markdown]
# ## Pose
#
# The method's code and VFS {cite}`xu2021vfs` score the given frame too; CRW {cite}`jabri2020crw` and UVC {cite}`li2019uvc` do not. Both are here.

# %% tags=["hide-input"]
pose = study.results("jhmdb", names)
if pose:
    files = [result["path"] for result in pose.values()]
    show(
        study,
        viz.score_bars(tables.per_sequence(pose), "PCK@0.1", by="variant", per="clip"),
        "PCK@0.1 of joints: the share found within a tenth of the person's size. A dot is a clip, a bar the mean of the dots.",
        alt="One bar a method with its mean PCK at 0.1, and a dot for each clip.",
        files=files,
        name="fig-jhmdb",
    )
    show(
        study,
        tables.totals(pose).round(1),
        "PCK of joints in percent, from the strictest tolerance to the loosest, with the given frame and without it.",
        files=files,
        name="tab-pose",
    )
else:
    print(f"no pose data in {study.relative(study.data)}")


# %% tags=["hide-input"]
def show_first_overlay(result: dict) -> None:
    path = Path(result["path"]).parent / "overlays" / f"{result['sequences'][0]['name'].replace('/', '--')}.png"
    words = "Rings: the true joints; dots: those that the full method found, joined by its error. The first clip."
    show(study, Image(path), words, alt="Frames of one clip with rings and dots at the joints.", files=[path])


if pose:
    show_first_overlay(pose["full method"])

# %% [markdown]
# ## Animals
#
# BADJA {cite}`biggs2018badja` has real animals' joints on DAVIS's videos, in about every fifth frame. The first annotated frame is given; a joint is followed if it is visible
# there, and scored where it is visible. PCK@0.1 and 0.2 are JHMDB's measure; its authors' own counts a joint as found closer than 0.2 times the square root of the
# area of the animal's mask, and is the mean over the sequences whose masks are at hand.

# %% tags=["hide-input"]
animals = study.results("badja", names)
if animals:
    files = [result["path"] for result in animals.values()]
    show(
        study,
        viz.score_bars(tables.per_sequence(animals), TASKS["badja"].headline, by="variant", per="sequence"),
        "Joints of real animals. A dot is a sequence.",
        alt="One bar a method with its mean share of joints found, and a dot for each sequence.",
        files=files,
        name="fig-badja",
    )
    show(
        study,
        tables.totals(animals).round(1),
        "Share of the animals' joints that were found, in percent, by JHMDB's measure and by the authors' own.",
        files=files,
    )
    print(*animals["full method"]["notes"], sep="\n")
else:
    print(f"no BADJA in {study.relative(study.data)}")

# %% tags=["hide-input"]
if animals:
    show_first_overlay(animals["full method"])
