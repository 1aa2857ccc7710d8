"""How near students are to the teacher by `retention`'s measures, and what it asks for on held-out pairs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from stt_core.checkpoints import file_hash, load_encoder
from stt_core.color import drop_channel, normalize_rgb, rgb_to_lab
from stt_core.correlation import correlation
from stt_core.encoder import STANDARD, STUDENT, Encoder
from stt_core.features import feature_source
from stt_core.losses import global_distillation_loss, teacher_correlation
from stt_core.propagation import Inference
from stt_core.temporal import TemporalSettings
from stt_study.analysis import retention
from stt_study.analysis.held_out_pairs import BATCH, HeldOut, held_out, label_error
from stt_study.analysis.retention import Look, chosen_clips, coverage, looks, pair_times
from stt_study.benchmarks import labelled_videos
from stt_study.bootstrap import bootstrap
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study
from stt_study.variants import title

NAMES = ("random", "step_one", "step_two", "neither", "no_global", "no_local", "full")
TARGETS = 64  # pairs at most
STAY = "all stay where they are"
NEAREST = {"res5": 5, "res4": 10}  # k; at most a third of the map
AGAINST_TEACHER = ("overlap res5", "overlap res4", "CKA res5", "CKA res4", "loss")
CHANCE = {"overlap res5": "chance res5", "overlap res4": "chance res4", "loss": "flat loss"}
CHANCE |= {"mass": "area", "top-k mass": "area"}
"""Measure -> the column that says what it is by chance."""


def clip_record(
    pairs: list[HeldOut], teacher: Look, student: Look, training: TemporalSettings, inference: Inference
) -> dict[str, float]:
    """A student's measures on a clip, means over its pairs or nan; "flat loss": of one that sees no difference."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        later_first = pair.frames[::-1]
        maps = {stage: [see(f)[stage] for see in (teacher, student) for f in later_first] for stage in NEAREST}
        values = {}
        for stage, k in NEAREST.items():
            # The loss compares plain products, label propagation cosines.
            of = maps[stage] if stage == "res5" else [F.normalize(m, dim=0) for m in maps[stage]]
            cells = of[0][0].numel()
            k = max(1, min(k, cells // 3))
            rows = [retention.nearest(*of[i : i + 2], k) for i in (0, 2)]
            values |= {f"overlap {stage}": retention.neighbour_overlap(*rows), f"chance {stage}": k / cells}
        taught, own = (tuple(m[None] for m in maps["res5"][i : i + 2]) for i in (0, 2))  # each (query, reference)
        target = teacher_correlation(*taught, training.teacher_temperature, training.teacher_cosine)
        values["loss"] = global_distillation_loss(*own, target).item()
        values["flat loss"] = (target - 1 / target.shape[2]).square().mean().item()
        values |= _points(pair, student, inference)
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    frames = dict.fromkeys(frame for pair in pairs for frame in pair.frames)
    for stage in NEAREST:
        cells = [torch.cat([see(f)[stage].flatten(1).T for f in frames]) for see in (teacher, student)]  # (N, C) each
        found[f"CKA {stage}"] = [retention.linear_cka(*cells)]
    return {name: float(pd.Series(values).mean()) for name, values in found.items()}  # without nan


def _points(pair: HeldOut, student: Look, inference: Inference) -> dict[str, float]:
    """Means over the objects of frame 0 that the later frame shows, too."""
    first, now = (labelled_videos.read_sequence_mask(pair.sequence, i) for i in (0, pair.t))
    here, there = (student(pair.sequence.frames[i])["res4"] for i in (0, pair.t))
    rows = []
    for k in sorted({*np.unique(first).tolist()} & {*np.unique(now).tolist()} - {0, 255}):
        cell = retention.cell_of(retention.central_pixel(first == k), first.shape, here.shape[1:])
        inside = coverage((now == k).astype(np.uint8), there.shape[1:])[1]
        maps = [retention.point_map(here, cell, there, inference.temperature, n) for n in (None, inference.topk)]
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
        column["by chance"] = ""
        if measure.startswith("CKA"):
            column["by chance"] = number.format(0)
        elif measure in CHANCE:
            column["by chance"] = number.format(table.groupby("variant")[CHANCE[measure]].mean().mean())
    return pd.DataFrame(columns)


def nearer(study: Study, task: str, better: str, worse: str) -> dict[str, np.ndarray]:
    """Measure of `AGAINST_TEACHER` -> one variant minus another (seeds, clips), in the measure's own unit."""
    wide = []
    for run in map(study.with_seed, study.seeds):
        table = against_teacher(run, {name: run.source(name) for name in (better, worse)}, task)
        wide.append(table.pivot(index="sequence", columns="variant"))
    return {m: np.stack([(w[m][title(better)] - w[m][title(worse)]).to_numpy() for w in wide]) for m in AGAINST_TEACHER}


def targets(study: Study, students: dict[str, Path]) -> pd.DataFrame:
    """A row for the teacher, each student (title -> weights), as in training, and `STAY`: means over `TARGETS` pairs.

    "label error": the share of pixels that get a wrong id if the earlier frame's ids are copied by the correlation.
    """
    settings, rows, pairs = study.profile.temporal, {}, held_out(study, TARGETS)
    batches = shown(pairs, settings.size)
    taught = taught_by(study.teacher, batches, settings)
    found = {"teacher": taught}
    for name, path in students.items():
        encoder, _ = load_encoder(path, strides=STUDENT[0], pool=STUDENT[1])
        dropped = (drop_channel(rgb_to_lab(rgb), 1 + i % 2) for i, rgb in enumerate(batches))
        found[name] = _coarsest(encoder.train(), dropped)
    found[STAY] = torch.eye(taught.shape[1]).expand_as(taught)
    labels = [pair.labels(settings.size // 32) for pair in pairs]
    for name, own in found.items():
        best = own.argmax(dim=2)
        wrong = [label_error(own[i : i + 1], *some).mean().item() for i, some in enumerate(labels)]
        rows[name] = {
            "label error": float(np.mean(wrong)),
            "peak": own.amax(dim=2).mean().item(),
            "same place": (best == torch.arange(own.shape[1])).float().mean().item(),
            "as the teacher": (best == taught.argmax(dim=2)).float().mean().item(),
            "loss": (own - taught).square().mean().item(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def shown(pairs: Sequence[HeldOut], size: int) -> list[Tensor]:
    """The pairs at a size in px, batch by batch, (2 B, 3, size, size) in [0, 1]: all references, then all queries."""
    views = torch.stack([pair.views(size) for pair in pairs])  # (P, 2, 3, H, W)
    return [some.transpose(0, 1).flatten(0, 1).float() / 255 for some in views.split(BATCH)]


def taught_by(teacher: Path, batches: Iterable[Tensor], settings: TemporalSettings) -> Tensor:
    """(P, N, N) that a teacher asks for on the pairs of `shown`."""
    encoder, colours = load_encoder(teacher, strides=STANDARD[0], pool=STANDARD[1])
    prepare = rgb_to_lab if colours == "lab" else normalize_rgb
    how = {"temperature": settings.teacher_temperature, "cosine": settings.teacher_cosine}
    return _coarsest(encoder, map(prepare, batches), partial(teacher_correlation, **how))


@torch.no_grad()
def _coarsest(encoder: Encoder, batches: Iterable[Tensor], correlate: Callable[..., Tensor] = correlation) -> Tensor:
    """(P, N, N) of the coarsest maps of P pairs; batches (2 B, 3, H, W), all references, then all queries."""
    halves = (encoder(frames, ("res5",))["res5"].chunk(2) for frames in batches)
    return torch.cat([correlate(query, reference) for reference, query in halves])
