"""How much a result depends on the settings of label propagation, one at a time, on video object segmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from stt_core import labels
from stt_core.encoder import INFERENCE, STAGES, folded
from stt_core.errors import InputError
from stt_core.features import feature_source, resized
from stt_core.pictures import read_image
from stt_core.propagation import Inference
from stt_study.analysis.held_out_pairs import split_of
from stt_study.analysis.retention import opened
from stt_study.analysis.shared_search import SharedSearch
from stt_study.benchmarks import labelled_videos, metrics
from stt_study.bootstrap import bootstrap_interval
from stt_study.evenly import evenly
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study
from stt_study.variants import NO_ENCODER, title

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
LAYERS = ("res3", "res4", "res5")
AT_STRIDE_4 = 5  # preceding frames where strides are compared: an affinity at stride 4 costs 16 times one at stride 8
SEARCHLESS = ("top-k", "temperature", "frame 0 counts", "maps normalised")
"""Axes whose settings all share the search of the profile's own."""


@dataclass(frozen=True)
class Setting:
    """Settings of propagation, and of what comes before and after it."""

    inference: Inference
    stride: int = 8  # pixels per cell
    layer: str = "res4"  # of the encoder
    normalise: bool = True  # min-max normalise every label map before argmax


def settings_around(own: Setting, layers: Sequence[str] = LAYERS) -> dict[str, dict[float | str, Setting]]:
    """Axis -> value -> `own` with that value, the own value among them. Axes with a single value are left out.

    Args:
        layers: of the encoder, where features have any.
    """
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
    axes["layer"] = {layer: replace(own, layer=layer) for layer in layers}
    fewer = replace(base, num_preceding=min(base.num_preceding, AT_STRIDE_4))
    axes[f"stride, {fewer.num_preceding} preceding"] = {
        stride: replace(own, stride=stride, inference=replace(fewer, radius=base.radius * own.stride // stride))
        for stride in sorted({*INFERENCE, own.stride}, reverse=True)
    }
    return {axis: values for axis, values in axes.items() if len(values) > 1}


def encoder_of(
    weights: str, layers: Sequence[str], *, stride: int, depth: int = 18, width: float = 1.0, seed: int = 0
) -> Callable[[np.ndarray], dict[str, Tensor]]:
    """What turns an image (H, W, 3) uint8 RGB into features (C, ceil(H / stride), ceil(W / stride)) of each layer.

    A layer that is finer than `stride` at the encoder's inference strides gives every second (fourth) of its cells, which
    are those that the next layer's stride takes. With "lab" and such, the only layer is "res4".

    Raises:
        InputError: as `features.feature_source`.
        ValueError: features that have no layers.
    """
    source = feature_source(weights, stride=stride, depth=depth, width=width, seed=seed)
    if tuple(layers) == ("res4",):
        return lambda image: {"res4": source(image)}
    if weights == "lab" or weights.startswith("timm:"):
        raise ValueError(f"{weights} has no layers {layers}")
    strides, pool = INFERENCE[stride]
    own = dict(zip(STAGES, np.cumprod(strides) * (2 if pool == "none" else 4), strict=True))
    every = {layer: stride // own[layer] for layer in layers}
    encoder, prepare = opened(weights, INFERENCE[stride], depth, width, seed)
    encoder = folded(encoder).to(source.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode(image: np.ndarray) -> dict[str, Tensor]:
        rgb = torch.from_numpy(np.ascontiguousarray(image)).to(source.device)
        rgb = rgb.permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        maps = encoder(prepare(rgb).contiguous(memory_format=torch.channels_last), layers)
        return {layer: maps[layer][0, :, ::step, ::step] for layer, step in every.items()}

    return encode


def scores(
    sequence: labelled_videos.Sequence,
    encoders: dict[int, Callable[[np.ndarray], dict[str, Tensor]]],
    settings: list[Setting],
) -> list[dict[str, float]]:
    """J&F-Mean of a sequence under each setting, all sequence's objects averaged, a frame at a time.

    Args:
        encoders: stride -> as `encoder_of` gives it, with the settings' layers.
        settings: with the same `resize`.

    Returns:
        One dict a setting: "objects" (their number), "J&F" (0 to 1).

    Raises:
        InputError: fewer than three frames, or a first mask without an object.
    """
    length, given = len(sequence.frames), labelled_videos.read_sequence_mask(sequence, 0)
    given = np.where(given == 255, 0, given)
    count = int(given.max())
    if length < 3 or not count:
        raise InputError(
            f"{sequence.frames[0].parent} needs three frames and an object in the first mask to be scored."
        )
    inputs: dict[tuple[int, str], list[int]] = {}
    for i, setting in enumerate(settings):
        inputs.setdefault((setting.stride, setting.layer), []).append(i)
    searches = {key: SharedSearch([settings[i].inference for i in some], length) for key, some in inputs.items()}
    sums = np.zeros((len(settings), 2))  # of J and F
    for t, path in enumerate(sequence.frames):
        image = resized(read_image(path), settings[0].inference.resize)
        features = {(s, name): maps for s, encode in encoders.items() for name, maps in encode(image).items()}
        if t == 0:
            for key, propagation in searches.items():
                maps = labels.to_grid(labels.one_hot(given, count), features[key].shape[1:], "nearest")
                propagation.put(0, features[key], maps)
            continue
        ids = labelled_videos.read_sequence_mask(sequence, t) if t < length - 1 else None  # the last frame isn't scored
        for key, some in inputs.items() if ids is not None else ():
            decoded: dict[tuple, list[float]] = {}
            for i, maps in zip(some, searches[key].propagate(t, features[key]), strict=True):
                seen = (settings[i].normalise, id(maps))
                if seen not in decoded:
                    masks = labels.decode_masks(maps, ids.shape, normalise=settings[i].normalise)
                    decoded[seen] = [metrics.frame_scores(masks == k, ids == k) for k in range(1, count + 1)]
                sums[i] += np.sum(decoded[seen], axis=0)
    return [{"objects": count, "J&F": float(score)} for score in sums.mean(axis=1) / (count * (length - 2))]


def clips(study: Study) -> tuple[str, list[Sequence]]:
    """The list that settings are looked at on (see `held_out_pairs.split_of`), and up to `MOST` of its sequences chosen.

    Raises:
        InputError: there are no such sequences.
    """
    split = split_of(study)
    return split, evenly(study.sequences("davis", split), MOST)


def sensitivity(study: Study, name: str, axes: Sequence[str] | None = None) -> pd.DataFrame:
    """J&F-Mean of a variant or baseline on `clips`, one setting at a time changed from the profile's; stored.

    Args:
        axes: some of those of `settings_around`; None: all. Those of `SEARCHLESS` take little longer than one setting.

    Returns:
        One row an axis, value and sequence: "variant" (its title), "axis", "value", "own" (whether the profile's),
        "sequence", "objects" (their number), "J&F" (0 to 1).

    Raises:
        ValueError: "copy" and "flow" propagate nothing.
    """
    if name in ("copy", "flow"):
        raise ValueError(f"{name} has no settings of propagation.")
    weights = study.source(name)
    own = Setting(study.profile.evaluation.davis, study.profile.evaluation.stride)
    around = settings_around(own, ("res4",) if name in NO_ENCODER else LAYERS)
    around = {axis: values for axis, values in around.items() if axes is None or axis in axes}
    settings = list(dict.fromkeys(setting for values in around.values() for setting in values.values()))
    split, sequences = clips(study)
    identity = feature_source(weights, **study.opening).identity
    names = [sequence.name for sequence in sequences]
    prints = [folder_fingerprint(study.folder("davis")), code_key(__name__)]

    def measure() -> dict[str, list[dict]]:
        layers: dict[int, list[str]] = {}
        for setting in settings:
            layers[setting.stride] = [*dict.fromkeys([*layers.get(setting.stride, []), setting.layer])]
        encoders = {s: encoder_of(weights, some, **study.opening | {"stride": s}) for s, some in layers.items()}
        bar = tqdm(sequences, desc=f"sensitivity {name}", disable=None)
        return {sequence.name: scores(sequence, encoders, settings) for sequence in bar}

    key, rows = [identity, study.opening, settings, split, names, prints], []
    stored = computed(study.out / "sensitivity" / name, key, measure)
    for axis, values in around.items():
        # Strides are compared with fewer preceding frames, so there the profile's stride stands for the profile.
        for value, setting in values.items():
            mine = value == own.stride if axis.startswith("stride") else setting == own
            row = {"variant": title(name), "axis": axis, "value": value, "own": mine}
            rows += [{**row, "sequence": s, **stored[s][settings.index(setting)]} for s in names]
    return pd.DataFrame(rows)


def means(table: pd.DataFrame) -> pd.DataFrame:
    """J&F-Mean, all objects counting alike as in DAVIS's own table: one row a variant, axis and value, order kept."""
    weighted = table.assign(sum=table["J&F"] * table.objects)
    grouped = weighted.groupby(["variant", "axis", "value", "own"], sort=False)[["sum", "objects"]].sum()
    return grouped.assign(**{"J&F-Mean": grouped["sum"] / grouped.objects}).drop(columns="sum").reset_index()


def largest_changes(table: pd.DataFrame) -> pd.DataFrame:
    """How far each axis moves J&F-Mean from the profile's own value: one row a variant and axis, in points.

    Returns:
        "own" (value), "J&F-Mean" (in percent), "best of" (how many values), "best" (value), "gain", "worst" (value), "loss";
        gain and loss as text with their 95 % bootstrap intervals over clips, "" where the own value is the best or the worst. The
        best of several values gains something by chance alone. Sorted by the larger of gain and loss, largest first.
    """
    rows = []
    for (variant, axis), values in means(table).groupby(["variant", "axis"], sort=False):
        own = values[values.own].iloc[0]
        best, worst = (values.loc[values["J&F-Mean"].agg(which)] for which in ("idxmax", "idxmin"))
        some = table[(table.variant == variant) & (table.axis == axis)]
        scores = some.pivot(index="sequence", columns="value", values="J&F")
        objects = some.groupby("sequence").objects.first().loc[scores.index].to_numpy(float)

        def change(to: pd.Series, own: pd.Series = own, scores: pd.DataFrame = scores, n: np.ndarray = objects) -> str:
            if to.value == own.value:
                return ""
            differences = 100 * (scores[to.value] - scores[own.value]).to_numpy()
            low, high = bootstrap_interval(differences[None], n)
            bounds = f" [{low:.1f}, {high:.1f}]" if np.isfinite(low) else ""
            return f"{np.average(differences, weights=n):+.1f}{bounds}"

        row = {"variant": variant, "axis": axis, "own": own.value, "J&F-Mean": 100 * own["J&F-Mean"]}
        row |= {"best of": len(values), "best": best.value, "gain": change(best)}
        row |= {"worst": worst.value, "loss": change(worst)}
        row["moved"] = max(best["J&F-Mean"] - own["J&F-Mean"], own["J&F-Mean"] - worst["J&F-Mean"])
        rows.append(row)
    return pd.DataFrame(rows).sort_values("moved", ascending=False, kind="stable").drop(columns="moved")
