"""What each loss did to the representation: how much of the teacher's structure is left, where correlation lands.

Networks run as they are used after training: in eval mode, on whole frames with no channel dropped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from stt_core.checkpoints import file_hash, load_encoder
from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.encoder import STANDARD, STUDENT, random_encoder
from stt_core.features import feature_source, resized
from stt_core.losses import global_distillation_loss, teacher_correlation
from stt_core.pictures import read_image
from stt_core.propagation import Inference
from stt_core.temporal import TemporalSettings
from stt_study.analysis.held_out_pairs import HeldOut, coverage
from stt_study.benchmarks import labelled_videos
from stt_study.bootstrap import bootstrap
from stt_study.evenly import evenly
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study
from stt_study.variants import title

NAMES = ("random", "step_one", "step_two", "neither", "no_global", "no_local", "full")
NEAREST = {"res5": 5, "res4": 10}  # k; at most a third of the map
AGAINST_TEACHER = ("overlap res5", "overlap res4", "loss")
CHANCE = {"overlap res5": "chance res5", "overlap res4": "chance res4", "loss": "flat loss"}
CHANCE |= {"mass": "area", "top-k mass": "area"}
"""Measure -> the column that says what it is by chance."""
MOST = 12  # clips
PAIRS = 2  # of neighbouring frames, a clip
KEPT = 64  # frames whose maps are kept, so that the teacher's serve all students
Look = Callable[[Path], dict[str, Tensor]]


def nearest(query: Tensor, reference: Tensor, k: int) -> Tensor:
    """(Hq Wq, k) reference cells of (C, Hr, Wr) with the largest products, for every query cell of (C, Hq, Wq)."""
    cells, others = query.flatten(1).T, reference.flatten(1)  # (Nq, C), (C, Nr)
    return torch.cat([(some @ others).topk(k, dim=1).indices for some in cells.split(1024)])


def neighbour_overlap(one: Tensor, other: Tensor) -> float:
    """Share, 0 to 1, of the neighbours in `one` (N, k) that are in the same row of `other` (N, k); chance is k / Nr."""
    return (one[:, :, None] == other[:, None]).any(dim=2).double().mean().item()


def point_map(
    features: Tensor, cell: tuple[int, int], later: Tensor, temperature: float, k: int | None = None
) -> Tensor:
    """(H, W), sums to 1: where a cell (row, column) of features (C, H, W) is found in later ones, or their k best."""
    query, later = F.normalize(features[:, cell[0], cell[1]], dim=0), F.normalize(later, dim=0)
    similarity = torch.einsum("c,chw->hw", query, later)
    if k is not None and k < similarity.numel():
        similarity = similarity.masked_fill(similarity < similarity.flatten().topk(k).values[-1], -torch.inf)
    return (similarity / temperature).flatten().softmax(dim=0).view_as(similarity)


def central_pixel(inside: np.ndarray) -> tuple[int, int]:
    """(x, y) px of the pixel of a region (H, W) bool that is nearest to the region's centre of mass."""
    places = np.argwhere(inside)  # (n, 2) of y, x; the centre itself may lie beside a bent object
    y, x = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(x), int(y)


def cell_of(xy: tuple[int, int], size: Sequence[int], grid: Sequence[int]) -> tuple[int, int]:
    """(row, column) of the cell of a grid (h, w) that holds a pixel of an image of size (H, W)."""
    return xy[1] * grid[0] // size[0], xy[0] * grid[1] // size[1]


def looks(study: Study, weights: str, task: str, layout: tuple[Sequence[int], str] = STUDENT) -> Look:
    """Frame's path -> maps (C, h, w): "res5" as in training, "res4" as for propagation; kept."""
    spatial, size, (strides, pool) = study.profile.spatial, study.profile.temporal.size, layout
    if weights == "random":
        encoder = random_encoder(spatial.depth, spatial.width, study.seed, strides=strides, pool=pool).eval()
        colours = "lab"
    else:
        encoder, colours = load_encoder(weights, strides=strides, pool=pool)
    prepare = rgb_to_lab if colours == "lab" else normalize_rgb
    source = feature_source(weights, **study.opening)
    resize = getattr(study.profile.evaluation, task).resize

    @lru_cache(KEPT)
    @torch.no_grad()
    def look(path: Path) -> dict[str, Tensor]:
        image = read_image(path)
        rgb = torch.from_numpy(resized(image, (size, size))).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        return {"res5": encoder(prepare(rgb), ("res5",))["res5"][0], "res4": source(resized(image, resize)).cpu()}

    return look


def chosen_clips(study: Study, task: str) -> list[labelled_videos.Sequence]:
    """Up to `MOST` labelled test sequences of "davis", "real" or "vip", evenly spread over the list."""
    return evenly(study.sequences(task), MOST)


def pair_times(length: int) -> list[int]:
    """Numbers of the later frames of up to `PAIRS` pairs of neighbours, evenly inside a video of so many frames."""
    return sorted({max(1, round(length * (i + 1) / (PAIRS + 1))) for i in range(PAIRS)} & set(range(1, length)))


def clip_record(
    pairs: list[HeldOut], teacher: Look, student: Look, training: TemporalSettings, inference: Inference
) -> dict[str, float]:
    """A student's measures on a clip, means over its pairs or nan; "flat loss": of one that sees no difference."""
    records = []
    for pair in pairs:
        later_first = pair.frames[::-1]
        maps = {stage: [see(f)[stage] for see in (teacher, student) for f in later_first] for stage in NEAREST}
        values = {}
        for stage, k in NEAREST.items():
            # The loss compares plain products, label propagation cosines.
            of = maps[stage] if stage == "res5" else [F.normalize(m, dim=0) for m in maps[stage]]
            cells = of[0][0].numel()
            k = max(1, min(k, cells // 3))
            rows = [nearest(*of[i : i + 2], k) for i in (0, 2)]
            values |= {f"overlap {stage}": neighbour_overlap(*rows), f"chance {stage}": k / cells}
        taught, own = (tuple(m[None] for m in maps["res5"][i : i + 2]) for i in (0, 2))  # each (query, reference)
        target = teacher_correlation(*taught, training.teacher_temperature, training.teacher_cosine)
        values["loss"] = global_distillation_loss(*own, target).item()
        values["flat loss"] = (target - 1 / target.shape[2]).square().mean().item()
        records.append(values | _points(pair, student, inference))
    return pd.DataFrame(records).mean().to_dict()  # without nan


def _points(pair: HeldOut, student: Look, inference: Inference) -> dict[str, float]:
    """Means over the objects of frame 0 that the later frame shows, too."""
    first, now = (labelled_videos.read_sequence_mask(pair.sequence, i) for i in (0, pair.t))
    here, there = (student(pair.sequence.frames[i])["res4"] for i in (0, pair.t))
    rows = []
    for k in sorted({*np.unique(first).tolist()} & {*np.unique(now).tolist()} - {0, 255}):
        cell = cell_of(central_pixel(first == k), first.shape, here.shape[1:])
        inside = coverage((now == k).astype(np.uint8), there.shape[1:])[1]
        maps = [point_map(here, cell, there, inference.temperature, n) for n in (None, inference.topk)]
        rows.append([*((m * inside).sum().item() for m in maps), inside.mean().item()])
    means = np.mean(rows, axis=0) if rows else [np.nan] * 3
    return dict(zip(("mass", "top-k mass", "area"), map(float, means), strict=True))


def against_teacher(study: Study, sources: dict[str, str], task: str = "davis") -> pd.DataFrame:
    """`clip_record` of sources (name -> `Study.source`) on "davis" or "real": one row a variant (title) and clip."""
    training, inference, rows = study.profile.temporal, getattr(study.profile.evaluation, task), []
    seen = [training.size, training.teacher_temperature, training.teacher_cosine, file_hash(study.teacher)]
    data = folder_fingerprint(study.folder(task))
    teacher = cache(lambda: looks(study, str(study.teacher), task, STANDARD))  # opened once, if anything is missing

    def measure(weights: str) -> dict[str, dict]:
        student, found = looks(study, weights, task), {}
        for clip in tqdm(chosen_clips(study, task), desc="retention", disable=None):
            pairs = [HeldOut(clip, t) for t in pair_times(len(clip.frames))]
            found[clip.name] = clip_record(pairs, teacher(), student, training, inference)
        return found

    for name, weights in sources.items():
        identity = feature_source(weights, **study.opening).identity
        key = [identity, study.opening, asdict(inference), data, *seen, code_key(__name__)]
        place = study.out / "retention" / f"{task}-{name}-seed{study.seed}"
        stored = computed(place, key, partial(measure, weights))
        rows += [{"variant": title(name), "sequence": clip, **record} for clip, record in stored.items()]
    return pd.DataFrame(rows)


def summary_table(table: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """A row a variant, a column a measure: "mean [low, high]" over clips (95 % bootstrap); last row: `CHANCE`."""
    columns: dict[str, dict[str, str]] = {}
    for measure in measures:
        number = "{:.4f}" if measure == "loss" else "{:.2f}"
        column = columns[measure] = {}
        for variant, values in table.groupby("variant", sort=False)[measure]:
            *bounds, _ = bootstrap(values.dropna().to_numpy()[None])
            interval = f" [{number}, {number}]".format(*bounds) if np.isfinite(bounds).all() else ""
            column[variant] = number.format(values.mean()) + interval if values.notna().any() else ""
        column["by chance"] = number.format(table.groupby("variant")[CHANCE[measure]].mean().mean())
    return pd.DataFrame(columns)


def nearness(study: Study, task: str, name: str) -> dict[str, dict[str, float]]:
    """Clip -> the measures of `AGAINST_TEACHER` of a variant or baseline, on "davis" or "real"."""
    table = against_teacher(study, {name: study.source(name)}, task).set_index("sequence")
    return table[list(AGAINST_TEACHER)].to_dict(orient="index")
