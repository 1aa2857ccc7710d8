# %% [markdown]
# # Correspondence explorer
#
# Choose a point of a clip's first frame and see where each network finds it again. The clips are evenly spread over the
# test list: none was picked for its looks. In the later frame
#
# * **heat** is the point's affinity: its cosine with every cell of that frame (res4, as label propagation sees it),
#   through a softmax at the temperature of propagation. Each map is drawn to its own maximum; the words below the
#   frames tell how much of the affinity the most similar cell has. The less that is, the more cells share the rest.
# * ◇ is the most similar cell of that frame, wherever it lies.
# * ○ is where label propagation has carried the point, frame by frame through the whole clip. A cell asks several
#   earlier frames there, and only near its own place, so ○ and ◇ may well differ, and neither need be right.

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from IPython.display import HTML

from stt_study.figures import explorer
from stt_study.figures.page import Page

page = Page(profile, settings, seed, data, runs)
study = page.study
folder = study.out / "explorer"
explorer.write_explorer(study, folder)
clips = [path for path in folder.glob("*.js") if "--" not in path.stem and path.stem != "index"]
page.answer(
    f"The explorer shows, for {len(clips)} clips, where {len(explorer.VARIANTS)} networks find any point of the first frame again, and where label propagation carries it."
)
HTML(explorer.HTML.format(folder="../_static/explorer/", script="../_static/explorer.js"))

# %% [markdown]
# Things to try (the explorer runs in the rendered book, not in JupyterLab):
#
# * **Look-alikes.** A leg or an eye has twins: on the same body, or on another. See whether heat falls on the twin,
#   too, and which networks tell them apart. Step through the frames: does ◇ jump between twins where ○ stays?
# * **Repeating texture.** On ground, stripes and flat colour one cell is like the next. Is heat spread over all of it,
#   and ◇ anywhere on it? What can keep ○ in its place is that propagation only looks nearby.
# * **Occlusion.** Choose a point that something passes in front of. No cell of the frame is right then, but softmax has
#   to put its weight somewhere: see where, and whether ○ comes back once the point does.
# * **Borders.** Choose cells on an outline, and at the edge of the frame. On an outline a cell sees a bit of both
#   sides, and what is behind changes; what leaves the frame has no right place left.
# * **What training does.** Hold a point and switch the network: random weights have learned nothing, step one has seen
#   images only, step two only video, from scratch, and the full method images, then video.
#
# ## What is stored
#
# Affinity maps of all points would take many times the room, so the explorer has the features of the shown frames, on
# the first singular vectors of each clip and network and in 8 bits, and multiplies them in the browser. ◇, its share of
# the affinity and ○ are computed here, from the features as they are, since among cells that are nearly equally similar
# a small error makes another one the first; a point is carried as a joint is in pose tracking.

# %% tags=["hide-input"]
files = [path.stat().st_size for path in folder.glob("*.js")]
print(
    f"{len(files)} files in {study.relative(folder)}, {sum(files) / 1e6:.1f} MB, the largest {max(files) / 1e6:.2f} MB"
)
