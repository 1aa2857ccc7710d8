# %% [markdown]
# # The released code and the text
#
# The local distillation in the paper's text and the one in its released code are not the same loss. They differ in four
# points, none of which has been studied before, as far as we know. This page measures each difference alone and all
# together.

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
page.say(
    f"This page measures {pairs} pairs of frames from `{study.relative(study.folder('davis'))}`, list “{held_out_pairs.split_of(study)}”."
)

# %% [markdown]
# ## The four differences
#
# 1. **Target rows sum to 1/4.** Where the text pools the fine correlation, the code averages over the references of a
#    cell instead of adding them up.
# 2. **A score without p.** The text takes the entropy, *−Σ p log p*; the code takes *−Σ log p*, which is *smallest* for
#    a flat map. Both then keep the *highest*.
# 3. **Sorted by rows.** The text keeps the highest 70 % of the map. The code sorts the scores inside every row of the
#    map, takes a single sorted row and compares every row with it, cell by cell: the first column with the highest
#    score of that row, the last column with its lowest. *T* then selects that row instead of the share that is kept.
# 4. **Soft weights.** At *T* = -1 the code weighs queries by their score instead of selecting them, and leaves out the
#    outer 3 cells of the map.
#
# Differences 1 to 3 together are the code at *T* = 0.7; 1, 2 and 4 are the code at *T* = -1. Everything is measured on
# held-out pairs of frames, as far apart as training pairs are on average, resized to the size of training, with the
# encoder as in training: one colour channel is hidden, and batch statistics are used. Each figure shows the start of
# step two (*step one*) and its end (*full method*).

# %% [markdown]
# ## How many queries take part
#
# The first panel shows the share of the map that is kept. For soft weights, this is the effective share, (Σ *w*)² /
# (*N* Σ *w*²): the share of equal weights that would count as much. The dotted line is *T*. The text keeps the same
# share of every pair, anywhere in the map; the other two panels show where in the map each selection falls. *All but
# the border* is a control: all queries have the same weight, except at the border that soft weights leave out.

# %% tags=["hide-input"]
page.show(
    viz_selection.kept_figure(measured, share),
    "The share of the queries that take part (left), and where in the map each selection falls. The text keeps the same share everywhere; a ramp from left to right is due to the missing flatten.",
    alt="Bars of the share of queries kept by each variant, and curves of it over columns and rows of the map.",
    files=weights.values(),
    name="fig-kept",
)

# %% [markdown]
# ## Which ones
#
# The figure shows such pairs with the trained encoder, one per clip: those in which most background came into view.
# With *target rows sum to 1/4* alone, the same queries are selected as by the text, so this difference is not shown.

# %% tags=["hide-input"]
examples = viz_selection.examples(study, weights["full method"])
page.show(
    viz_selection.maps_figure(examples),
    "Pairs with the trained encoder. First rows of each pair: the frames, the annotated objects, both scores, and the error of the hidden colour where the coarse correlation copies it. Last rows: what each variant selects; queries that it leaves out are dark.",
    alt="Rows of small maps: frames, score maps, and the selection of each variant over the later frame.",
    files=weights.values(),
    name="fig-selected",
)

# %% [markdown]
# ### What the scores measure
#
# The text assumes that a query whose match is uncertain needs the fine level's help. Do uncertain queries match worse?
# The table has rank correlations (Spearman, within a pair, mean over pairs) of the two scores with each other, and of
# each score with two errors of what the coarse correlation copies from the earlier frame: the hidden colour and the
# object's id. The scores come from products that are not scaled down, so a softmax over them may be nearly one-hot. The
# last rows therefore show the distribution of the entropy, in nats, and the share of queries below 0.01 nats; a share
# of 70 % may have to include some of those.

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
    "Rank correlations of the scores with each other and with both errors, then the spread of the entropy: mean and standard deviation over pairs. A score that identifies queries with bad matches rises with both errors.",
    files=weights.values(),
)

# %% [markdown]
# ### How well the selected ones match
#
# The figure shows the same two errors at selected and at left-out queries, as means over pairs. Compare soft weights
# with *all but the border*: an effect of leaving out the border is not due to the score.

# %% tags=["hide-input"]
page.show(
    viz_selection.errors_figure(measured),
    "Errors of what the coarse correlation copies, at selected (filled) and at left-out queries (hollow). If a selection takes the queries that need help, its filled dot is to the right of the hollow one.",
    alt="Pairs of a filled and a hollow dot joined by a line, one pair per variant.",
    files=weights.values(),
    name="fig-errors",
)

# %% [markdown]
# ## What the loss then trains
#
# A row of the coarse correlation is a softmax and sums to 1, so it cannot reach a target that sums to 1/4. The nearest
# row that it can reach is the target with the missing 3/4 spread evenly over the window: a flat row with a low peak.
#
# The table lists the loss before its weight, on the same pairs and with the same encoder; the least loss that any
# coarse correlation could reach; and the loss of a coarse correlation that equals the pooled fine one, which is all
# that the fine level can teach. With the text's loss, the last is zero. With quarter rows it is above the least, and
# the difference pulls towards flat rows. The last columns are the norm of the gradient at the coarse correlation and
# behind the softmax, where it reaches the features, and its cosine with the gradient of the text's loss.

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
    "The loss, means over pairs: its value, the least that is possible, and what remains of it when the coarse correlation equals the pooled fine one; then norms and direction of its gradient.",
    files=weights.values(),
    name="tab-pull",
)

# %% [markdown]
# ## What it does to the results
#
# The tables compare trainings with each difference alone and with all of them. In every row, the rest of the method is
# as in the text, and gradients do not pass through soft weights (in the released code they do). Intervals of
# differences are over sequences and seeds; [](06_ablation_no_global.ipynb) explains the columns.

# %% tags=["hide-input"]
names = ["quarter", "neg_log", "rows", "soft", "released", "released_soft"]
page.data()
words = "under the text's loss (full method) and under its variants"
page.compared("full", names, words, name="tab-released")

# %% [markdown]
# ## What else differs
#
# In everything else this study follows the released code: strides and stem of student and teacher, how crops are drawn,
# how the learning rate rises and falls, residual blocks that begin as their shortcuts, masks read at the centre of a
# cell, the extent of a joint's Gaussian, and frame 0 of parts and joints scored at the size of the encoder's input. The
# exceptions at inference can be measured with the full method's weights. The released code
#
# * shrinks frames bilinearly, which skips pixels where a frame shrinks to less than half its size, so that the result
#   depends on where the pixels fall; here every pixel counts;
# * uses OpenCV's conversion to Lab, an approximation, in place of the formula;
# * cuts the places of given joints to whole pixels, which moves them by half a pixel on average, mostly up and to the
#   left.

# %% tags=["hide-input"]
page.show(
    deviations.measured(study).set_index("difference").round(2),
    "The full method's figures in percent, as this study computes them and with the released code's choice in its place.",
    files=[study.source("full")],
    name="tab-deviations",
)

# %% [markdown]
# The other differences were not measured, most because they take other trainings or data. The released code
#
# * trains a whole ResNet-18 on frames of 256 px, with windows, learning rates and weights of the losses for that size;
#   profile `paper` has these, while the small profiles have others (`notebooks/profiles`; page
#   [](03_temporal_step.ipynb) says how they were chosen);
# * has a switch, off by default, for a teacher of normalised features, which [](06_ablation_no_global.ipynb) and
#   [](18_teacher_strength.ipynb) turn on;
# * shrinks training frames bilinearly, too;
# * has a teacher of its own, an encoder of RGB; in the small profiles the teacher is the encoder of Lab from which the
#   student starts (`teacher: rgb` in a profile trains one more);
# * pairs each listed frame with the next one, and its crops are 1.5 to 2 times as wide as high; profiles for other data
#   have other distances and, where frames are square, other crops (`min_gap`, `max_gap`, `aspect`);
# * takes one random pair of every video in an epoch; here an epoch has all pairs of every video, so long videos count
#   for more (if all have the same length, only the order of the pairs differs);
# * starts from published encoders, trained on ImageNet for 200 epochs, where this study trains step one (`published` in
#   a profile names files to use instead), and trains on YouTube-VOS with batches of 128 pairs for 90,000 steps, more
#   than the small profiles do; and it never trains in bfloat16, which `precision: auto` chooses on some processors;
# * takes labels to the grid by way of the resized picture; here they come straight from the picture, so a cell reads
#   its id less than a pixel of the resized picture away. It also follows the visible part of the Gaussian of a given
#   joint left of the picture, which counts as missing here.
