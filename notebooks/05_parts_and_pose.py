# %% [markdown]
# # Part propagation and pose tracking
#
# The same features, the same propagation, other labels: body parts and clothes in VIP's classes {cite}`zhou2018vip`, scored by the mean over classes
# of IoU (mIoU), and the fifteen joints of JHMDB {cite}`jhuang2013jhmdb`, scored by the share of joints that land within a tenth (or a fifth) of the
# person's size of the truth (PCK).

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_core import tables, viz
from stt_core.study import Study

viz.style()
study = Study(profile, settings=settings, seed=seed, data=data, runs=runs)
names = ["lab", "random", "step_one", "step_two", "full"]

# %% [markdown]
# ## Parts

# %% tags=["hide-input"]
parts = study.results("vip", names)
if parts:
    figure = viz.score_bars(tables.per_sequence(parts), "mIoU", by="variant", per="video")
    display(tables.totals(parts).round(1))
else:
    print(f"no part data in {study.relative(study.data)}")

# %% [markdown]
# A bar's dots are means over the classes of one video; the table pools counts over all videos first, as the benchmark does.
#
# ## Pose
#
# The method's code and VFS score the given frame too; CRW and UVC do not. Both are here.

# %% tags=["hide-input"]
pose = study.results("jhmdb", names)
if pose:
    figure = viz.score_bars(tables.per_sequence(pose), "PCK@0.1", by="variant", per="clip")
    display(tables.totals(pose).round(1))
else:
    print(f"no pose data in {study.relative(study.data)}")
