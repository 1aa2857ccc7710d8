"""Figures of what the local distillation selects, and of its loss; see `query_selection`."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from stt_study.analysis.held_out_pairs import batches
from stt_study.analysis.query_selection import INNER, selection_weights, variants
from stt_study.figures import viz
from stt_study.study import Study
from stt_study.variants import title as variant_title
from stt_study.video.drawing import blended

Example = tuple[dict[str, np.ndarray | Tensor], dict[str, np.ndarray]]
"""By title: pictures (S, S, 3) and maps (h, w) of a pair; by name: what a variant selects, `veiled` (S, S, 3)."""
Measured = dict[str, dict[str, pd.DataFrame]]  # encoder -> the tables of `query_selection.measure`
ACROSS = 3  # pictures in a row
VEIL = np.array([20, 30, 60])  # RGB, over what is left out


def label(name: str) -> str:
    """How the figures call one of `query_selection.NAMES` or its control."""
    return {"full": "as in the text", INNER: "all but the border"}.get(name) or variant_title(name)


def examples(study: Study, weights: Path) -> list[Example]:
    """Two pairs of the first batch, a clip each: those of which most was uncovered."""
    settings, found = study.profile.temporal, []
    compared = variants(settings)
    del compared["quarter"]  # which selects what the text's does
    for pair, level in batches(study, weights, settings.batch):
        # (2, 3, S, S) -> (S, S, 3) twice
        earlier, later = pair.views(settings.size).permute(0, 2, 3, 1).contiguous().numpy()
        ids = viz.object_ids(pair.sequence, pair.t)
        ids = cv2.resize(ids, later.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        pictures = {f"{pair.name}\nearlier frame": earlier, "later frame (query)": later}
        pictures |= {"objects": blended(later, ids), "entropy": level["entropy"][0]}
        pictures |= {"score without p": level["neg_log"][0], "colour error": level["colour"]}
        chosen = {name: veiled(later, selection_weights(level, own)[0]) for name, own in compared.items()}
        before, now = (labels[0] for labels in pair.labels(len(level["colour"])))  # the background's share of a cell
        found.append((float((now - before).clamp(min=0).mean()), pair.sequence.name, (pictures, chosen)))
    best: dict[str, Example] = {}
    for _, clip, example in sorted(found, key=lambda entry: -entry[0]):
        best.setdefault(clip, example)
    return list(best.values())[:2]


def uncertain(entropy: Tensor) -> int:
    """The number of a query whose match is uncertain: the rows of others are a single cell."""
    order = entropy.flatten().argsort()
    return int(order[int(0.9 * (len(order) - 1))])


def veiled(image: np.ndarray, weights: Tensor) -> np.ndarray:
    """An image (H, W, 3) uint8 of which a query of weight 0 goes dark; weights (h, w) in [0, 1], one a cell."""
    covered = cv2.resize(1 - weights.numpy(), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
    return (image * (1 - 0.85 * covered) + VEIL * 0.85 * covered).astype(np.uint8)


def maps_figure(examples: list[Example]) -> Figure:
    """Each example in rows of `ACROSS`: frames, objects, scores, the colour error; then what every variant selects."""
    # A score and what it selects have the same title.
    shown = [[*some.items(), *((label(name), drawn) for name, drawn in chosen.items())] for some, chosen in examples]
    rows = -(-len(shown[0]) // ACROSS) * len(examples)
    figure, axes = viz.panels(rows, ACROSS, (viz.WIDTH, 2.3 * rows))
    for axis in axes.flat:
        axis.set_axis_off()
    for pictures, own in zip(shown, axes.reshape(len(examples), -1), strict=True):
        for axis, (title, picture) in zip(own, pictures, strict=False):
            drawn = viz.picture(axis, picture, title)
            if picture.ndim == 2:
                figure.colorbar(drawn, ax=axis, shrink=0.8, format="{x:g}", ticks=MaxNLocator(3))
    return figure


def _shown(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Selections by `query_selection.measure`, without the one that is the text's; their means over pairs."""
    table = tables["variants"].query("variant != 'quarter'")
    return table, table.groupby("variant", sort=False).mean(numeric_only=True)


def kept_figure(measured: Measured, share: float) -> Figure:
    """One row an encoder: the share that each variant keeps of every pair (dots), of each row, and of each column."""
    figure, axes = viz.panels(len(measured), 3, (viz.WIDTH, 2.7 * len(measured) + 0.5), sharey="col")
    for (start, middle, end), (encoder, tables) in zip(axes, measured.items(), strict=True):
        table, means = _shown(tables)
        colours = {name: "0.5" if name == INNER else viz.COLOURS[variant_title(name)] for name in means.index}
        of = {"hue": "variant", "palette": colours}
        sns.stripplot(table, x="kept", y="variant", ax=start, size=3, jitter=False, alpha=0.6, legend=False, **of)
        start.plot(means.kept, means.index, "|", color="0.1", markersize=22)
        viz.name_rows(start, list(map(label, means.index)))
        start.set(xlim=(0, 1), ylabel="", xlabel="share of the map kept\n(dot: a pair, line: mean)", title=encoder)
        for axis, along, first in ((middle, "row", "top"), (end, "column", "left")):
            lines = table[["variant", along]].explode(along).astype({along: float})
            lines["place"] = lines.groupby(["variant", lines.index]).cumcount()
            sns.lineplot(lines, x="place", y=along, style="variant", ax=axis, errorbar=None, **of)
            axis.set(xlabel=f"{along} of the map\n(0 = {first})", ylabel="", ylim=(0, 1.02))
            axis.set_title(f"mean weight by {along}")
            axis.get_legend().remove()
        for line in (start.axvline, middle.axhline, end.axhline):
            line(share, color="0.4", linewidth=1, linestyle=":")
    lines, names = middle.get_legend_handles_labels()
    figure.legend(lines, list(map(label, names)), loc="outside lower center", ncols=4, frameon=False)
    return figure


def errors_figure(measured: Measured) -> Figure:
    """Mean error of what the coarse correlation copies, at selected (filled) and at left-out queries (hollow)."""
    kinds = {"colour": "error of the copied colour (Lab units)", "label": "share copied with a wrong object id"}
    figure, axes = viz.panels(len(measured), 2, (viz.WIDTH, 2.3 * len(measured) + 0.4), sharey=True)
    for row, (encoder, tables) in zip(axes, measured.items(), strict=True):
        _, means = _shown(tables)
        for axis, (kind, title) in zip(row, kinds.items(), strict=True):
            kept, left, y = means[f"{kind} kept"], means[f"{kind} left"], np.arange(len(means))
            axis.hlines(y, kept, left, color="0.7", linewidth=2, zorder=1)
            axis.scatter(kept, y, color=viz.ORANGE, s=55, label="selected", zorder=2)
            axis.scatter(left, y, facecolor="white", edgecolor=viz.BLUE, s=55, linewidth=2, label="left out", zorder=2)
            axis.set(title=encoder, xlabel=title)
        viz.name_rows(row[0], list(map(label, means.index)))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    return figure
