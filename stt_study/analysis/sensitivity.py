"""How much a result depends on the settings of label propagation, one at a time, on video object segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd
from tqdm import tqdm

from stt_core import labels
from stt_core.errors import InputError
from stt_core.features import FeatureSource, feature_source, features_of
from stt_core.pictures import read_image
from stt_core.propagation import Inference, propagate_frames
from stt_study.analysis.held_out_pairs import split_of
from stt_study.benchmarks import labelled_videos, metrics
from stt_study.bootstrap import bootstrap
from stt_study.evenly import evenly
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study
from stt_study.variants import title

MOST = 6  # sequences
NUMBERS = {
    "preceding frames": ("num_preceding", (0, 1, 5, 10, 20, 40)),
    "top-k": ("topk", (1, 5, 10, 20, 40)),
    "temperature": ("temperature", (0.01, 0.03, 0.07, 0.1, 0.2, 1.0)),
}
RADII = (0.25, 0.5, 1, 2)  # times the profile's
WORDS = {
    "window": ("window", {"square": "square", "circle": "circle"}),
    "frame 0 is seen": ("first_windowed", {"windowed": True, "whole": False}),
    "frame 0 counts": ("first_twice", {"twice": True, "once": False}),
}
VOTES = ("top-k", "temperature")  # axes that may suit one kind of features more than another


@dataclass(frozen=True)
class Setting:
    """Settings of propagation, and of what comes after it."""

    inference: Inference
    normalise: bool = True  # min-max normalise every label map before argmax


def settings_around(own: Setting) -> dict[str, dict[float | str, Setting]]:
    """Axis -> value -> `own` with that value, the own value among them. Single values are left out."""
    base = own.inference
    radii = [max(1, round(base.radius * factor)) for factor in RADII]
    numbers = NUMBERS | {"radius": ("radius", radii)}
    axes: dict[str, dict] = {}
    for axis, (field, values) in numbers.items():
        every = sorted({*values, getattr(base, field)})
        axes[axis] = {value: replace(own, inference=replace(base, **{field: value})) for value in every}
    for axis, (field, values) in WORDS.items():
        axes[axis] = {w: replace(own, inference=replace(base, **{field: value})) for w, value in values.items()}
    if not base.with_first:
        axes["preceding frames"].pop(0, None)
        del axes["frame 0 is seen"], axes["frame 0 counts"]
    axes["maps normalised"] = {"yes": replace(own, normalise=True), "no": replace(own, normalise=False)}
    return {axis: values for axis, values in axes.items() if len(values) > 1}


def scores(
    sequence: labelled_videos.Sequence, source: FeatureSource, settings: list[Setting]
) -> list[dict[str, float]]:
    """Number of "objects" and mean "J&F" (0 to 1) of a sequence under each setting."""
    length = len(sequence.frames)
    masks = [labelled_videos.read_sequence_mask(sequence, t) for t in range(length - 1)]  # the last isn't scored
    given = np.where(masks[0] == 255, 0, masks[0])
    count = int(given.max())
    if length < 3 or not count:
        raise InputError(f"{sequence.frames[0].parent} needs three frames and an object in the first mask.")
    features = list(features_of(source, map(read_image, sequence.frames[:-1]), settings[0].inference.resize))
    first = labels.to_grid(labels.one_hot(given, count), features[0].shape[1:], "nearest")
    found: dict[Setting, np.ndarray] = {}
    for inference in dict.fromkeys(setting.inference for setting in settings):
        carried = propagate_frames(features, first, **inference.propagation())
        for ids, maps in zip(masks[1:], islice(carried, 1, None), strict=True):
            for setting in (setting for setting in settings if setting.inference == inference):
                decoded = labels.decode_masks(maps, ids.shape, normalise=setting.normalise)
                pairs = [metrics.frame_scores(decoded == k, ids == k) for k in range(1, count + 1)]
                found[setting] = found.get(setting, 0) + np.sum(pairs, axis=0)  # of J and F
    return [{"objects": count, "J&F": float(found[s].mean() / (count * (length - 2)))} for s in settings]


def clips(study: Study) -> tuple[str, list[labelled_videos.Sequence]]:
    """The list that settings are looked at on (see `held_out_pairs.split_of`), and up to `MOST` of its sequences."""
    split = split_of(study)
    return split, evenly(study.sequences("davis", split), MOST)


def sensitivity(study: Study, name: str, axes: Sequence[str] | None = None) -> pd.DataFrame:
    """J&F-Mean of a variant or baseline on `clips`, stored: a row an axis (of all or `axes`), value and sequence."""
    source, own = feature_source(study.source(name), **study.opening), Setting(study.profile.evaluation.davis)
    split, sequences = clips(study)
    around = {axis: values for axis, values in settings_around(own).items() if axes is None or axis in axes}
    settings = list(dict.fromkeys(setting for values in around.values() for setting in values.values()))
    names = [sequence.name for sequence in sequences]
    key = [source.identity, study.opening, settings, split, names]
    key += [folder_fingerprint(study.folder("davis")), code_key(__name__)]

    def measure() -> dict[str, list[dict]]:
        bar = tqdm(sequences, desc=f"sensitivity {name}", disable=None)
        return {sequence.name: scores(sequence, source, settings) for sequence in bar}

    rows, stored = [], computed(study.out / "sensitivity" / name, key, measure)
    for axis, values in around.items():
        for value, setting in values.items():
            row = {"variant": title(name), "axis": axis, "value": value, "own": setting == own}
            rows += [{**row, "sequence": s, **stored[s][settings.index(setting)]} for s in names]
    return pd.DataFrame(rows)


def means(table: pd.DataFrame) -> pd.DataFrame:
    """J&F-Mean, all objects counting alike as in DAVIS's own table: one row a variant, axis and value, order kept."""
    weighted = table.assign(sum=table["J&F"] * table.objects)
    grouped = weighted.groupby(["variant", "axis", "value", "own"], sort=False)[["sum", "objects"]].sum()
    return grouped.assign(**{"J&F-Mean": grouped["sum"] / grouped.objects}).drop(columns="sum").reset_index()


def largest_changes(table: pd.DataFrame) -> pd.DataFrame:
    """How far each axis moves one variant's J&F-Mean, the farthest first: a row an axis; 95 % intervals over clips."""
    rows = {}
    for axis, values in means(table).groupby("axis", sort=False):
        own = values[values.own].iloc[0]
        some = table[table.axis == axis]
        single = some.pivot(index="sequence", columns="value", values="J&F")
        objects = some.groupby("sequence").objects.first().loc[single.index].to_numpy(float)
        row = {"own": own.value, "J&F-Mean": 100 * own["J&F-Mean"], "best of": len(values)}
        moved = []
        for extreme, change, which in (("best", "gain", "idxmax"), ("worst", "loss", "idxmin")):
            to = values.loc[values["J&F-Mean"].agg(which)]
            differences = 100 * (single[to.value] - single[own.value]).to_numpy()
            low, high, _ = bootstrap(differences[None], objects)
            bounds = f" [{low:z.1f}, {high:z.1f}]" if np.isfinite(low) else ""
            text = f"{np.average(differences, weights=objects):+z.1f}{bounds}"
            row |= {extreme: to.value, change: "" if to.value == own.value else text}
            moved.append(abs(to["J&F-Mean"] - own["J&F-Mean"]))
        rows[axis] = row | {"moved": max(moved)}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.sort_values("moved", ascending=False, kind="stable").drop(columns="moved")
