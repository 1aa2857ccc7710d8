# %% [markdown]
# # Correspondence explorer
#
# Choose a point of a clip's first frame and see where each network finds it again. The clips are evenly spread over the
# test list; none was chosen by hand. In the later frame
#
# * **heat** is the point's affinity: its cosine with every cell of that frame (res4, as in label propagation), through
#   a softmax at the temperature of propagation. Each map is scaled to its own maximum; the text below the frames says
#   how much of the affinity the most similar cell has. The lower this share, the more cells share the rest.
# * ◇ is the most similar cell of that frame, wherever it lies.
# * ○ is the place to which label propagation has carried the point, frame by frame through the whole clip. Propagation
#   uses several earlier frames and searches only near a cell's own place, so ○ and ◇ may differ, and both may be wrong.

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
    f"The explorer shows, for {len(clips)} clips, where {len(explorer.SOURCES)} networks find any point of the first frame again, and where label propagation carries it."
)
HTML(explorer.HTML.format(folder="../_static/explorer/", script="../_static/explorer.js"))

# %% [markdown]
# Things to try (the explorer runs in the rendered book, not in JupyterLab):
#
# * **Look-alikes.** A leg or an eye has twins, on the same body or on another one. Check whether heat falls on the
#   twin, too, and which networks tell them apart. Step through the frames: does ◇ jump between twins where ○ stays?
# * **Repeating texture.** On ground, stripes and flat colour, neighbouring cells look alike. Is heat spread over all of
#   them, with ◇ anywhere among them? ○ may stay in its place because propagation only searches nearby.
# * **Occlusion.** Choose a point that is hidden later. No cell of the frame is right then, but the softmax has to put
#   its weight somewhere: see where, and whether ○ returns when the point does.
# * **Borders.** Choose cells on an outline and at the edge of the frame. A cell on an outline covers a part of both
#   sides, and its background changes; a point that leaves the frame has no right place.
# * **Effect of training.** Keep a point and switch the network: random weights are untrained, step one has seen images
#   only, step two has seen video only, and the full method has seen images, then video.
#
# ## What is stored
#
# Affinity maps of all points would be many times as large, so the explorer stores the features of the shown frames,
# projected on the first singular vectors of each clip and network, in 8 bits, and multiplies them in the browser. ◇,
# its share of the affinity and ○ are computed in advance from the exact features, because a small error can change
# which of several similar cells comes first. A point is propagated like a joint in pose tracking.

# %% tags=["hide-input"]
files = [path.stat().st_size for path in folder.glob("*.js")]
page.say(
    f"The explorer's {len(files)} files are in `{study.relative(folder)}` and take {sum(files) / 1e6:.1f} MB; the largest has {max(files) / 1e6:.2f} MB."
)
