"""DAVIS-2017: video object segmentation, J and F of the objects of the first frame (paper section 4)."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from stt_core.errors import InputError
from stt_core.files import listed, write_text
from stt_core.propagation import Inference
from stt_study.benchmarks import labelled_videos, metrics
from stt_study.benchmarks.label_sources import Source
from stt_study.benchmarks.run import Benchmark


def davis_sequences(
    root: str | Path, split: str = "val", year: str = "2017", names: Iterable[str] = ()
) -> list[labelled_videos.Sequence]:
    """Sequences of `ImageSets/<year>/<split>.txt` (or `names` of them) at 480p; year 2016 merges each one's objects."""
    root = labelled_videos.official_folder(root, DAVIS.official)
    path, sequences = root / "ImageSets" / year / f"{split}.txt", []
    if not (root / "JPEGImages" / "480p").is_dir() and (root / "JPEGImages" / "Full-Resolution").is_dir():
        raise InputError(f"{root} has Full-Resolution alone, but DAVIS is measured at 480p; unpack that archive, too.")
    for name in labelled_videos.checked_names(path, dict.fromkeys(names or listed(path))):
        frames = labelled_videos.frame_files(root / "JPEGImages" / "480p" / name, ".jpg")
        masks = labelled_videos.masks_of(frames, root / "Annotations" / "480p" / name)
        labelled_videos.check_steps(frames)
        sequences.append(labelled_videos.Sequence(name, frames, masks, merged=year == "2016"))
    return sequences


def _score(sequence: labelled_videos.Sequence, source: Source, inference: Inference, out: Path) -> dict:
    """J and F of every object."""
    length = len(sequence.frames)
    if length < 3:
        folder = sequence.frames[0].parent
        raise InputError(f"{folder} has {length} frames, but first and last are not scored; give three up.")
    if not (labelled_videos.read_sequence_mask(sequence, 0) % 255).any():
        raise InputError(f"{sequence.masks[0]} has no object to follow; give its first frame a mask.")
    predictions = labelled_videos.carried_masks(sequence, source, inference, out)
    annotations = (labelled_videos.read_sequence_mask(sequence, t) for t in range(length))
    objects = metrics.sequence_scores(sequence.name, predictions, annotations, length)
    return {"objects": objects, "offset": metrics.pooled_offset([record["offset"] for record in objects])}


def _objects(records: list[dict]) -> list[dict]:
    return [scores for record in records for scores in record["objects"]]


def _tables(results: dict, out: Path) -> None:
    """The official evaluation's two tables."""
    objects = pd.DataFrame(_objects(results["sequences"]))[["name", "J-Mean", "F-Mean"]]
    objects = objects.rename(columns={"name": "Sequence"})
    for name, table in (("global", pd.DataFrame([results["metrics"]])), ("per-sequence", objects)):
        text = table.to_csv(index=False, float_format="%.3f")
        write_text(out / f"{name}_results-{results['settings']['split']}.csv", text)


PAPER = Inference()
DAVIS = Benchmark(
    name="davis",
    official="DAVIS-2017",
    count=30,
    headline="J&F-Mean",
    presets={
        "s8": PAPER,
        "s4": Inference(radius=35),
        # Other methods' protocols at stride 8, for any features.
        "crw": replace(PAPER, temperature=0.05, window="circle", first_windowed=False),
        "vfs": replace(PAPER, window="circle"),
        "dino": replace(PAPER, num_preceding=7, topk=5, temperature=0.1, first_twice=False),
    },
    read=davis_sequences,
    score=_score,
    totals=lambda records: metrics.davis_totals(_objects(records)),
    tables=_tables,
)
