# %% [markdown]
# # The method
#
# Correspondence needs features with two properties. They must be **discriminative**: a cell must look different from
# its neighbours, or it cannot be found again. They must also be **repetitive**: the same point of the world must look
# alike in the next frame, although it moved, turned or is now in shadow. Images teach the first and videos the second,
# so the method learns them one after the other {cite:p}`li2023stt`: [step one](step-one) on images, [step
# two](step-two) on videos. In step two a global loss keeps what step one has learned, and a local one lets the coarse
# level learn from the fine one. [Label propagation](propagation) then measures how well cells find their partners
# ({numref}`fig-propagation` shows it at work).
#
# Each section has the equation and the function that computes it, quoted from the library's source. Symbols are
# explained in [](../notation.md).

# %% tags=["parameters"]
profile = "laptop"
settings = {}
seed = 0
data = ""
runs = ""

# %% tags=["hide-input"]
from stt_study.analysis.held_out_pairs import batches
from stt_study.figures import method
from stt_study.figures.page import Page

page = Page(profile, settings, seed, data, runs)
study = page.study
full, no_global = study.weights("full"), study.weights("no_global")
pair, level = next(batches(study, full, study.profile.temporal.batch))

# %% [markdown]
# (step-one)=
# ## Step one: spatial features
#
# An encoder, a ResNet {cite:p}`he2016resnet`, learns from single images by momentum contrast
# {cite:p}`he2020moco,chen2020mocov2`. Two random views are cut out of each image. One is embedded by the encoder and
# gives the query $q$; the other is embedded by the *key encoder* and gives its key $k_+$. Among that key and the keys
# $k_1 \dots k_Q$ of earlier images, kept in a queue, the query must single out its own:
#
# ```{math}
# :label: eq-nce
# \mathcal{L}_\text{NCE} = -\log \frac{\exp(q \cdot k_+ / \tau)}{\exp(q \cdot k_+ / \tau) + \sum_{n=1}^{Q} \exp(q \cdot k_n / \tau)}
# ```
#
# All embeddings have length 1. The key encoder isn't trained; its weights $\theta_k$ follow the encoder's $\theta_q$
# slowly, so that keys made some steps ago still fit:
#
# ```{math}
# :label: eq-momentum
# \theta_k \leftarrow m\,\theta_k + (1 - m)\,\theta_q
# ```
#
# ```{literalinclude} /stt_core/spatial.py
# :pyobject: MoCo.forward
# :caption: "`stt_core/spatial.py`: the loss of a batch, equation {eq}`eq-nce`"
# :dedent: 4
# ```
#
# The method trains the student's start on Lab images and its teacher on RGB images; some of the publication's teachers
# were trained with DetCo {cite:p}`xie2021detco` instead. The small profiles train one encoder, on Lab, and freeze a
# copy of it as the teacher.

# %% tags=["hide-input"]
page.show(
    method.views_figure(study),
    "The loss treats two views of an image as the same and everything else as different, so the encoder must recognise an image by what cropping and recolouring leave unchanged.",
    alt="A row of training images, and below each two cut-outs with changed colours.",
    name="fig-views",
)

# %% [markdown]
# (step-two)=
# ## Step two: temporal features
#
# Two frames of a video, a moment apart, go through the encoder, cropped in the same way: 60 to 100 % of the frame, at
# an aspect of 1.5 to 2.0, resized to a square. (Where a profile's frames are square, aspects are divided by 16:9;
# otherwise crops would hardly differ.) The earlier frame is the *reference*, the later one the *query*. Both are in Lab
# colours with one of the two colour channels set to zero. This channel must be reconstructed, and the network cannot
# see it.
#
# The loss of a batch has four terms:
#
# ```{math}
# :label: eq-total
# \mathcal{L} = \mathcal{L}_\text{fine} + \mathcal{L}_\text{coarse}
#   + \lambda_\text{local}\,\mathcal{L}_\text{local} + \lambda_\text{global}\,\mathcal{L}_\text{global}
# ```
#
# ```{literalinclude} /stt_core/temporal.py
# :pyobject: SpatialThenTemporal.forward
# :caption: "`stt_core/temporal.py`: all terms of step two, equation {eq}`eq-total`"
# :dedent: 4
# ```

# %% [markdown]
# ### Correlation
#
# Where does query cell $i$ come from? Its features $q_i$ are compared with those of the reference cells $k_j$ in a
# square window $\mathcal{W}_r(i)$ around the same place:
#
# ```{math}
# :label: eq-correlation
# c_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt{C})}{\sum_{j' \in \mathcal{W}_r(i)} \exp(q_i \cdot k_{j'} / \sqrt{C})},
# \qquad c_{ij} = 0 \text{ for } j \notin \mathcal{W}_r(i)
# ```
#
# The window covers the motion to be expected between two frames: 12 cells at stride 4 and 6 cells at stride 8 are both
# 48 px.
#
# ```{literalinclude} /stt_core/correlation.py
# :pyobject: correlation
# :caption: "`stt_core/correlation.py`: where each query cell comes from, equation {eq}`eq-correlation`"
# ```
#
# ### Reconstruction, at two levels
#
# If the correlation is right, it carries the reference's colours $y^r$ to where they are in the query
# {cite:p}`vondrick2018colorization,lai2019corrflow,lai2020mast`:
#
# ```{math}
# :label: eq-reconstruction
# \hat y_i = \sum_j c_{ij}\, y^r_j,
# \qquad
# \mathcal{L}_\text{level} = \frac{1}{HW} \sum_{x} \operatorname{smooth}_{L_1}\!\bigl(20\,(\operatorname{up}(\hat y)_x - y_x)\bigr)
# ```
#
# Here $\operatorname{up}$ enlarges the cells' colours to the image's size, bilinearly, and $x$ runs over pixels. The
# loss is taken at the *fine* level (stride 4) and at the *coarse* level (stride 8). Colours are sampled at the cells'
# first pixels, not averaged over the cells, and enlarged as if they came from the cells' centres; this offset of 1.5
# and 3.5 px is the released code's.
#
# ```{literalinclude} /stt_core/losses.py
# :pyobject: reconstruction_loss
# :caption: "`stt_core/losses.py`: colours carried over and compared, equation {eq}`eq-reconstruction`"
# ```

# %% tags=["hide-input"]
page.show(
    method.reconstruction_figure(study, pair, level),
    f"What reconstruction compares (held-out pair {pair.name}, the full method): the hidden channel, carried by the correlation, beside the truth. Coarse cells cannot carry fine patterns; errors of the fine level show where the match itself is wrong.",
    alt="Six panels: two video frames, the hidden colour channel of the first, the channel as carried by two levels, and the true one.",
    files=[full],
    name="fig-reconstruction",
)

# %% [markdown]
# ### Local correlation distillation
#
# Labels are propagated with the coarse level's features, but colours distinguish fine cells better than coarse ones,
# each of which contains many colours. Moreover, where frames do not continue each other (after a cut, a jump, or where
# an object appears from behind another), there is no right colour to copy, and reconstruction teaches wrong matches
# ({numref}`fig-pairs` shows training pairs). Therefore the coarse correlation learns from the fine one, most of all
# where it is uncertain. To compare them, the fine correlation is pooled: $2 \times 2$ queries are averaged, and
# $2 \times 2$ references are added up, because together their probabilities are those of one larger cell:
#
# ```{math}
# :label: eq-pool
# t_{ij} = \frac{1}{4} \sum_{i' \in i} \sum_{j' \in j} c^\text{fine}_{i'j'}
# ```
#
# ```{math}
# :label: eq-local
# \mathcal{L}_\text{local} = \frac{1}{\lvert\mathcal{S}\rvert\, N} \sum_{i \in \mathcal{S}} \sum_{j=1}^{N} \bigl(c^\text{coarse}_{ij} - t_{ij}\bigr)^2
# ```
#
# The target $t$ passes no gradient: the fine level teaches, the coarse level learns.
#
# ```{literalinclude} /stt_core/correlation.py
# :pyobject: pool_correlation
# :caption: "`stt_core/correlation.py`: the target, equation {eq}`eq-pool`"
# ```
#
# ```{literalinclude} /stt_core/losses.py
# :pyobject: local_distillation_loss
# :caption: "`stt_core/losses.py`: the coarse level learns, equation {eq}`eq-local`"
# ```

# %% [markdown]
# ### Which queries: selection by entropy
#
# A query that has found its partner needs no teacher. The distillation is meant for the others, which are identified by
# the entropy of their match at the coarse level:
#
# ```{math}
# :label: eq-entropy
# p_{ij} = \operatorname*{softmax}_{j \in \mathcal{W}_r(i)} (q_i \cdot k_j),
# \qquad H_i = -\sum_j p_{ij} \log p_{ij}
# ```
#
# The share $T = 0.7$ of queries with the highest entropy makes up $\mathcal{S}$. Note that the products are *not*
# scaled by $\sqrt{C}$ here, and that window cells beyond the image's border take part with product 0.
#
# ```{literalinclude} /stt_core/losses.py
# :pyobject: entropy_map
# :caption: "`stt_core/losses.py`: how uncertain a match is, equation {eq}`eq-entropy`"
# ```
#
# ```{literalinclude} /stt_core/losses.py
# :pyobject: selection_mask
# :caption: "`stt_core/losses.py`: the queries that take part, $\\mathcal{S}$"
# ```

# %% tags=["hide-input"]
page.show(
    method.local_figure(study, pair, level),
    "What local distillation compares: the entropy of every cell's matches, the share of cells that it selects (the others are dark), and for one of them (dot) the target from the fine level beside the coarse correlation that is to learn it.",
    alt="Five panels: a video frame, its entropy map, the selected cells, and two small maps of matching probability.",
    files=[full],
    name="fig-local",
)

# %% [markdown]
# ### Global correlation distillation
#
# The paper argues that reconstruction alone makes the network forget: colours of nearby frames can be matched by
# features that say little about *what* is seen ({numref}`tab-claims` has the result of this study). The frozen encoder
# of step one is therefore used as a teacher. The student imitates its correlation, not its features, at the coarsest
# level (stride 32) and over all references:
#
# ```{math}
# :label: eq-global
# \mathcal{L}_\text{global} = \frac{1}{N^2} \sum_{i,j} \Bigl(
#   \operatorname*{softmax}_j \frac{q_i \cdot k_j}{\sqrt{C}} - \operatorname*{softmax}_j \frac{\tilde q_i \cdot \tilde k_j}{0.07} \Bigr)^2
# ```
#
# with $\tilde q$ and $\tilde k$ the teacher's features of the same two frames, with no channel dropped.
#
# ```{literalinclude} /stt_core/losses.py
# :pyobject: teacher_correlation
# ```
#
# ```{literalinclude} /stt_core/losses.py
# :pyobject: global_distillation_loss
# :caption: "`stt_core/losses.py`: staying near the teacher, equation {eq}`eq-global`"
# ```

# %% tags=["hide-input"]
page.show(
    method.global_figure(study, pair, {"without it": str(no_global), "full method": str(full)}),
    "What global distillation compares: all cells of the later frame (rows) with all cells of the earlier (columns), for the frozen teacher and for students trained without it and with it; the error is the mean squared difference to the teacher's, on this pair.",
    alt="Two video frames and three square matrices of matching probability.",
    files=[study.teacher, no_global, full],
    name="fig-global",
)

# %% [markdown]
# (text-and-code)=
# ## Where the released code differs from the text
#
# The library follows the text by default. Each difference of the released code is one field of `LocalDistillation`, and
# `LocalDistillation.released()` has the first three; its `soft` adds the fourth:
#
# | | the text | the released code | field |
# |---|---|---|---|
# | Pooling over references | probabilities add up: a row of $t$ sums to 1 | averaged: a row sums to 1/4 | `target_rows` |
# | Uncertainty | entropy, $-\sum p \log p$, largest for a flat map | $-\sum \log p$, *smallest* for a flat map | `score` |
# | Selection | the highest share $T$ of a map's queries | a flatten is missing: scores are sorted inside each row, and every row is compared with one sorted row | `selection` |
# | $T = -1$ | | soft weights: the score, borders of 3 cells zeroed, min-max normalised | `soft` |

# %% [markdown]
# (carrying-weights)=
# ## Carrying the paper's weights to a smaller geometry
#
# The weights 1000 and 50 of {eq}`eq-total` were chosen for frames of 256 px. The losses that they multiply depend on
# the size of the maps: a mean-squared error between two softmax maps over $N$ references shrinks as $1/N$ where the
# maps are peaked, and as $1/(N\,\lvert\mathcal{W}\rvert)$ where they are flat over a window, while the reconstruction
# error of a colour doesn't depend on $N$ at all. At 128 px, the paper's numbers weigh 4 to 16 times what they do at 256
# px.
#
# The effect of a weight is how strongly its term changes the network in comparison with the others, so this ratio is
# what this study carries over. With $g_\text{rec}$ and $g_d$ the gradients of the reconstruction (both levels) and of a
# distillation $d$, all weights 1, with respect to the student's parameters:
#
# ```{math}
# :label: eq-carried
# \lambda_d^\text{here} = \lambda_d^\text{paper} \cdot
#   \frac{\lVert g_d\rVert^\text{paper}}{\lVert g_\text{rec}\rVert^\text{paper}} \cdot
#   \frac{\lVert g_\text{rec}\rVert^\text{here}}{\lVert g_d\rVert^\text{here}}
# ```
#
# "Paper" is measured on the same videos and from the same weights, with frames of 256 px and windows of 12 and 6 cells;
# "here" with the profile's own. At the paper's geometry the rule gives back 1000 and 50.
#
# ```{literalinclude} /stt_study/balance.py
# :pyobject: carried_weights
# :caption: "`stt_study/balance.py`: the weights for this geometry, equation {eq}`eq-carried`"
# ```

# %% [markdown]
# (propagation)=
# ## Label propagation
#
# The labels of frame 0 are given: masks, body parts or joints. Every later frame takes its labels from its *context*,
# frame 0 and the frames just before it. For each query cell the similarities to the cells of all context frames within
# its window are cosines; the $k$ best, $\mathcal{K}(i)$, vote:
#
# ```{math}
# :label: eq-propagation
# a_{ij} = \operatorname*{softmax}_{j \in \mathcal{K}(i)} \frac{\cos(q_i, k_j)}{\tau},
# \qquad \ell_i = \sum_{j \in \mathcal{K}(i)} a_{ij}\, \ell_j
# ```
#
# Labels are maps: one for each object and one for the background, the first mask reduced to the cells; for joints, one
# Gaussian blob each. The propagated maps are enlarged to the frame bilinearly and each is stretched to 0 … 1; a pixel
# gets the object whose map is largest there, and a joint lies at the weighted mean of its map's five largest values
# (`stt_core/labels.py`).
#
# As in the released code, frame 0 counts twice while it is among the preceding frames. Because labels are taken from
# propagated labels, errors add up in time; frame 0, always in the context, limits this.
#
# ```{literalinclude} /stt_core/propagation.py
# :pyobject: Context.propagate
# :dedent: 4
# :caption: "`stt_core/propagation.py`: frame by frame, equation {eq}`eq-propagation`"
# ```
#
# Between two frames at 480p there are 41 million pairs of cells. The window leaves a tenth of them, and in the end ten
# cells vote, of all 21 context frames together. So `affinity` never forms the whole: it multiplies tiles of queries
# with the cells around them.
#
# ```{literalinclude} /stt_core/affinity.py
# :pyobject: affinity
# :caption: "`stt_core/affinity.py`: the best $k$ cells of each query and their weights"
# ```
#
# {numref}`tab-speed` shows how much time this saves.
