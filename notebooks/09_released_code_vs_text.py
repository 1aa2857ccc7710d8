# %% [markdown]
# # The released code and the text
#
# The local distillation of the paper's text and that of its released code are not the same loss. They differ in four
# points, none of which was studied before as far as we know:
#
# 1. **Target rows sum to 1/4.** Where the text pools the fine correlation, the code averages over the references of a
#    cell instead of adding them up.
# 2. **A score without p.** The text takes the entropy, *−Σ p log p*; the code takes *−Σ log p*, which is
#    *smallest* for a flat map. Both then keep the *highest*.
# 3. **Sorted by rows.** The text keeps the highest 70 % of the map. The code sorts inside every row of the map, takes
#    a single sorted row and compares every row with it, cell by cell: the first column with its highest score, the
#    last with its lowest. *T* then chooses that row, not the share that is kept.
# 4. **Soft weights.** At *T* = -1 the code weighs queries by their score instead of selecting them, and leaves out
#    the outer 3 cells of the map.
#
# Here is what each does alone, and together (1 to 3, which is the code at *T* = 0.7, and 1, 2 and 4, which is the code
# at *T* = -1): how many queries take part, which ones, and what the loss then asks for. Everything is measured on
# held-out pairs of neighbouring frames, squeezed to the size of training, with the encoder as training runs it: one
# colour channel hidden, statistics of the batch. Each figure has the start of step two (*step one*) and its end (*full
# method*).

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
import pandas as pd

from stt_study.analysis import deviations, held_out_pairs, query_selection
from stt_study.figures import selection as viz_selection
from stt_study.figures.page import Page
from stt_study.results import report

page = Page(profile, settings, seed, data, runs)
study = page.study
words = {"full": "the loss of the text", "released": "the released code's at T = 0.7"}
page.answer(report.beside(study, words | {"released_soft": "the released code's at T = -1"}))
weights = {"step one": study.spatial(), "full method": study.weights("full")}
measured = {name: query_selection.measure(study, path) for name, path in weights.items()}
share, pairs = study.profile.temporal.local.share, len(measured["step one"]["pairs"])
print(f"{pairs} pairs of {study.relative(study.folder('davis'))}, list “{held_out_pairs.split_of(study)}”")

# %% [markdown]
# ## How many queries take part
#
# The share of the map that is kept. For soft weights it is the effective share, (Σ *w*)² / (*N* Σ *w*²): what
# share of equal weights would count as much. The dotted line is *T*. The text keeps the same share of every pair,
# wherever in the map; the other two panels show where along the map each selection falls. *All but the border* is a
# control: every query alike, but for the border that soft weights leave out.

# %% tags=["hide-input"]
page.show(
    viz_selection.kept_figure(measured, share),
    "What share of the queries takes part (left), and where along the map each selection falls. The text keeps the same share everywhere; a ramp from left to right is the missing flatten.",
    alt="Bars of the share of queries kept by each variant, and curves of it over columns and rows of the map.",
    files=weights.values(),
    name="fig-kept",
)

# %% [markdown]
# ## Which ones
#
# Pairs of neighbouring labelled frames under the trained encoder, one a clip: those in which most background came into
# view. Above: the frames, the annotated objects, the two scores, and how far the hidden colour is off where the coarse
# correlation copies it. Below: what each variant selects; what is left out is dark. Quarter rows alone select what the
# text selects.

# %% tags=["hide-input"]
examples = viz_selection.examples(study, weights["full method"])
page.show(
    viz_selection.maps_figure(examples),
    "Pairs under the trained encoder. Above: frames, objects, both scores, and how far the copied colour is off. Below: what each variant selects; what is left out is dark.",
    alt="Rows of small maps: frames, score maps, and the selection of each variant over the later frame.",
    files=weights.values(),
    name="fig-selected",
)

# %% [markdown]
# ### What the scores measure
#
# The idea of the text: a query whose match is uncertain needs the fine level's help. Does an uncertain query indeed
# match worse? Rank correlations (Spearman, within a pair, mean over pairs) of the two scores with each other, and of
# each with two errors of what the coarse correlation copies from the earlier frame: the hidden colour, and the
# object's id. The scores come from products that are not scaled down, so a softmax over them may be nearly one-hot:
# the last rows say how the entropy is spread, in nats, and what share of the queries has less than 0.01 of it, which
# a share of 70 % has to choose from as well.

# %% tags=["hide-input"]
ranks = {
    "entropy with neg_log": "entropy and score without p",
    "entropy with colour": "entropy and colour error",
    "neg_log with colour": "score without p and colour error",
    "entropy with label": "entropy and object error",
    "neg_log with label": "score without p and object error",
    "entropy 10 %": "entropy, 10th percentile",
    "entropy 50 %": "entropy, median",
    "entropy 90 %": "entropy, 90th percentile",
    "certain": "share of queries below 0.01 nats",
}
columns = {name: tables["pairs"][list(ranks)].agg(["mean", "std"]).T for name, tables in measured.items()}
page.show(
    pd.concat(columns, axis=1).rename(index=ranks).round(3),
    "Rank correlations of the scores with each other and with both errors, then the spread of the entropy: mean and standard deviation over pairs. A score that tells which queries match badly rises with both errors.",
    files=weights.values(),
)

# %% [markdown]
# ### How well the selected ones match
#
# The same two errors as above, at selected and at left-out queries, means over pairs. A selection of the queries that
# need help has its filled dot to the right of the hollow one. Again, soft weights are to be compared with *all but
# the border*: what that alone does is no merit of a score.

# %% tags=["hide-input"]
page.show(
    viz_selection.errors_figure(measured),
    "Errors of what the coarse correlation copies, at selected (filled) and at left-out queries (hollow). A selection of queries that need help has its filled dot on the right.",
    alt="Pairs of a filled and a hollow dot joined by a line, one pair a variant.",
    files=weights.values(),
    name="fig-errors",
)

# %% [markdown]
# ## What the loss then asks for
#
# A row of the coarse correlation is a softmax and sums to 1, so it can't reach a target that sums to 1/4. The nearest
# row that it can reach is the target with the missing 3/4 spread evenly over the window: a flat row with a low peak.
#
# The loss before its weight, on the same pairs with the same encoder; the least that any coarse correlation could
# reach; and the loss of one that has learnt all that the fine one can teach, the pooled fine map itself. Under the text
# the last is zero; with quarter rows it lies above the least, and what lies between them pulls towards flat rows. Then
# the norm of the gradient, at the coarse correlation and where it leaves the softmax, which is what reaches the
# features, and whether it points where the text's does.

# %% tags=["hide-input"]
figures = {
    "loss": "loss",
    "floor": "least possible",
    "matched": "if pooled fine",
    "gradient": "gradient, coarse correlation",
    "softmax": "gradient, past the softmax",
    "cosine": "cosine with the text's",
}
losses = pd.concat({name: tables["variants"] for name, tables in measured.items()}, names=["encoder"])
losses["variant"] = losses.variant.map(viz_selection.label)
means = losses.groupby(["encoder", "variant"], sort=False)[list(figures)].mean().rename(columns=figures)
page.show(
    means.dropna().round(12).map("{:.3g}".format),
    "The loss, means over pairs: what it is, the least that is possible, and what is left of it once the coarse correlation is the pooled fine one; then norms of its gradient, and its direction.",
    files=weights.values(),
    name="tab-pull",
)

# %% [markdown]
# ## What it does to the results
#
# The same training with each difference alone and with all of them. Two things stay as in the text in every row:
# gradients don't pass through soft weights (in the released code they do), and all else of the method. The differences'
# intervals are over sequences and seeds ([](06_ablation_no_global.ipynb) says how).

# %% tags=["hide-input"]
names = ["quarter", "neg_log", "rows", "soft", "released", "released_soft"]
page.data()
words = "under the text's loss (full method) and under its variants"
page.compared("full", names, words, name="tab-released")

# %% [markdown]
# ## What else differs
#
# The rest of the released code is followed: strides and stem of student and teacher, random crops, rates and their
# warm-up, residual blocks that begin as their shortcuts, masks read at the centre of a cell, how far a joint's Gaussian
# reaches, and frame 0 of parts and joints scored at the size of the encoder's input. What isn't followed at inference
# can be measured, with the full method's weights as they are:
#
# * Frames are shrunk bilinearly there, which skips pixels where a frame shrinks to less than half its size: what is
#   seen then hangs on where the pixels fall. Here every pixel counts.
# * OpenCV's conversion to Lab, an approximation, takes the place of the formula.
# * The places of given joints are cut to whole pixels, which moves them by half a pixel on average, most of them up and
#   to the left.

# %% tags=["hide-input"]
page.show(
    deviations.measured(study).set_index("difference").round(2),
    "The full method's figures in percent, as this study computes them and with the released code's choice in its place.",
    files=[study.source("full")],
    name="tab-deviations",
)

# %% [markdown]
# What follows can't be measured without other trainings or data:
#
# * Training frames are shrunk bilinearly there, too.
# * An epoch there has one pair of every video, drawn at random; here it has all pairs of every video, so that long
#   videos count for more. Where all are of one length, the same pairs come in another order.
# * Published encoders, trained on ImageNet for 200 epochs, take the place of this study's step one
#   (`published` in a profile names their files), and batches of 128 pairs, 90,000 steps and YouTube-VOS that of a small
#   profile's. Where a profile's `precision` is `auto`, some processors train in bfloat16; the released code doesn't.
# * Labels go to the grid by way of the resized picture there, and straight from the picture here: a cell reads its id
#   less than a pixel of the resized picture away. A given joint to the left of the picture is missing here; there, what
#   reaches into the picture of its Gaussian is followed. Both need VIP's and JHMDB's own clips.
