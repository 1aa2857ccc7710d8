# %% [markdown]
# # Your own video
#
# Give a mask of the first frame, or points, or both, and label propagation carries them through the rest of the video.
# This page does what `stt propagate` does on the command line. Its parameters are
#
# - `video`: a video file, or a folder of frames (relative paths start at the repository's folder),
# - `mask`: a PNG of the first frame's objects: any ids, 0 is background; or one object in white on black,
# - `points`: a CSV with the header `name,x,y`, in pixels of the first frame,
# - `weights`: as of `stt propagate`: `full` and others that come with the package, a weights file, `lab`, …,
# - `resize`: the short side of the frames, in pixels, from which features are computed; 0 means the profile's value.
#
# Without a video, the page takes the first test sequence of the run's own data.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""
video = ""
mask = ""
points = ""
weights = "full"
resize = 0

# %% tags=["hide-input"]
from dataclasses import replace

import pandas as pd
from IPython.display import Video

from stt_study.benchmarks.label_sources import dense_source
from stt_study.evenly import evenly
from stt_study.figures import viz
from stt_study.figures.page import Page
from stt_study.results import report
from stt_study.store import hash_of
from stt_study.trainings import ROOT
from stt_study.video.follow import propagate_video, run_settings
from stt_study.video.frames import open_video
from stt_study.video.given import write_inner_points

page = Page(profile, settings, seed, data, runs)
study = page.study
results = study.out / "own_video"
if video:
    path, inference = ROOT / video, study.profile.evaluation.real
    first = {"mask": ROOT / mask if mask else None, "points": ROOT / points if points else None}
else:
    sequence, inference = study.sequences("davis")[0], study.profile.evaluation.davis
    path, first = sequence.frames[0].parent, {"mask": sequence.masks[0], "points": results / f"{sequence.name}.csv"}
    write_inner_points(first["points"], sequence.masks[0])
inference = replace(inference, resize=resize or inference.resize)
file = ROOT / weights
source = dense_source(str(file) if file.is_file() else weights, stride=study.profile.evaluation.stride)
clip = open_video(path)
key = hash_of([run_settings(source, clip, inference, **first), clip.fingerprint(len(clip.files))])
out = results / f"{clip.path.stem}-{key}"
run = propagate_video(source, path, out, inference, **first)
tables = {kind: pd.read_csv(out / f"{kind}.csv") for kind in ("masks", "points") if (out / f"{kind}.csv").exists()}
ends = {kind: table[table.frame == table.frame.max()] for kind, table in tables.items()}
named = {"masks": "object", "points": "point"}
gone = {"masks": lambda end: end.area_px == 0, "points": lambda end: end.x.isna()}
counts = [
    f"{len(end)} {named[kind]}{'s' * (len(end) > 1)} ({gone[kind](end).sum()} lost at the end)"
    for kind, end in ends.items()
]
page.answer(
    f"Label propagation carried {report.listed(counts)} through {run['frames']} frames of {clip.size[1]}x{clip.size[0]} px."
)

# %% [markdown]
# ## Propagation
#
# Every input and setting has a folder of results of its own, so a run that was stopped can go on where it was.

# %% tags=["hide-input"]
sizes = {file.name: f"{file.stat().st_size / 1e3:.1f} kB" for file in sorted(out.glob("*.*"))}
page.show(pd.Series(sizes, name="size").to_frame(), f"The files in `{study.relative(out)}`, and their sizes.")

# %% tags=["hide-input"]
numbers = evenly(range(run["frames"]), 6)
film = out / "overlay.mp4"
drawn = open_video(film).frames(skip=set(range(run["frames"])) - set(numbers))
page.show(
    viz.image_grid([[frame.image for frame in drawn]], column_titles=[f"frame {t}" for t in numbers]),
    "The labels of the first frame, carried through the video: objects as coloured areas, points as dots.",
    alt="Six frames of the video with the propagated objects and points.",
    files=[film],
    name="fig-own",
)

# %% tags=["hide-input"]
if film.stat().st_size < 2e6:
    display(Video(film, embed=True, html_attributes="controls loop muted"))
else:
    page.say(f"The film is `{study.relative(film)}`.")

# %% [markdown]
# ## Confidence
#
# The confidence of a point is the height of its peak relative to the first frame; that of an object is the mean share
# of the vote in its cells. Both are 100 % in the first frame and 0 once nothing is left. Labels blur as they are
# propagated, a point's most of all in the first step, so confidence falls with time even where labels are right; a
# sudden drop later on suggests that the object is hidden or lost.

# %% tags=["hide-input"]
for kind, table in tables.items():
    by = "name" if kind == "points" else "object"
    page.show(
        viz.score_curves(table.astype({by: str}), "frame", "confidence", by, viz.SINCE),
        f"Confidence of the {kind}. Look for sudden drops after frame 1, not for the slow fall.",
        alt=f"Lines of confidence over frames, one for each of the {kind}.",
        files=[out / f"{kind}.csv"],
    )
