"""What a notebook asks for: data, trained weights, measured results."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache
from glob import glob
from pathlib import Path

import pandas as pd
import torch

from stt_core.features import feature_source
from stt_core.files import read_json
from stt_core.propagation import Inference
from stt_core.provenance import machine
from stt_study.benchmarks import run
from stt_study.benchmarks.label_sources import Source, label_source
from stt_study.benchmarks.labelled_videos import Sequence, read_sequence_mask
from stt_study.benchmarks.registry import TASKS
from stt_study.benchmarks.stereo import stereo_matches, stereo_scores
from stt_study.speed import bench
from stt_study.store import code_key, computed, folder_fingerprint, made
from stt_study.trainings import LEARNED_FROM, ROOT, Trainings
from stt_study.variants import BASELINES, ROWS, title

# Folders in a data set's layout that hold another's data.
STAND_INS = {"vip-camvid": "CamVid (not VIP, but in its layout)"}


@cache
def _objects(sequences: tuple[Sequence, ...]) -> int:
    """Of the first frames' masks."""
    masks = (read_sequence_mask(sequence, 0) for sequence in sequences)
    return sum(int(ids[ids < 255].max(initial=0)) for ids in masks)


class Study(Trainings):
    """`Trainings`, and what is measured of their weights."""

    @property
    def opening(self) -> dict:
        """How `features.feature_source` opens weights for this profile."""
        own, stride = self.profile.spatial, self.profile.evaluation.stride
        return {"stride": stride, "depth": own.depth, "width": own.width, "seed": self.seed}

    def source(self, name: str) -> str:
        """What `label_sources.label_source` takes, for a baseline or a variant (trained where it is missing)."""
        if name == "supervised":
            return str(self.supervised)
        return name if name in BASELINES else str(self.weights(name))

    @property
    def supervised(self) -> Path | None:
        """Supervised weights where the profile's `supervised` says, or None: not everyone has them."""
        found = (path for pattern in self.profile.supervised for path in sorted(glob(str(ROOT / pattern))))
        return next(map(Path, found), None)

    def tasks(self, name: str) -> list[str]:
        """The tasks that a variant or baseline is measured on: all at hand, "fine" only where the profile says so."""
        return [task for task in TASKS if self.has(task) and (task != "fine" or name in self.profile.fine)]

    def stride(self, task: str) -> int:
        """Stride of the features that a task is measured with."""
        return 4 if task == "fine" else self.profile.evaluation.stride

    def inference(self, task: str) -> Inference:
        """Settings of propagation for a task; "fine" has real video's, with a window of the same size in px."""
        own = self.profile.evaluation
        if task != "fine":
            return getattr(own, task)
        coarse = getattr(own, self.profile.real_video)
        return replace(coarse, radius=coarse.radius * own.stride // 4)

    def opened(self, task: str, weights: str) -> Source:
        """What carries labels on a task, of what `source` gives."""
        return label_source(weights, **self.opening | {"stride": self.stride(task)})

    def measure(self, task: str, weights: str, split: str = "val", inference: Inference | None = None) -> dict:
        """Results of a task, measured where missing, of what `source` gives; `inference`: in place of the profile's."""
        benchmark, root = TASKS[task], self.folder(task)
        inference = inference or self.inference(task)
        source = self.opened(task, weights)
        prints = [folder_fingerprint(folder) for folder in (root, *benchmark.beside(root))]
        key = [source.identity, source.stride, asdict(inference), split, prints, code_key(benchmark.read.__module__)]
        trained = Path(weights).name == "weights.pth"
        name = Path(weights).parent.name.rsplit("-", 1)[0] if trained else Path(weights).stem

        def measure(path: Path) -> None:
            run.evaluate(benchmark, source, root, path.parent, inference, split=split)

        path = made(self.out / "results" / f"{task}-{split}-{name}", key, measure, "/results.json")
        return {**read_json(path), "path": str(path)}

    def taken(self, names: Iterable[str]) -> list[str]:
        """Those that are of this run: baselines at hand and the variants that its `rows` train."""
        own = [*ROWS[self.profile.rows], *BASELINES]
        return [name for name in names if name in own and (name != "supervised" or self.supervised)]

    def results(self, task: str, names: Iterable[str]) -> dict[str, dict]:
        """Title -> results of those that are of this run, where the task's data are at hand."""
        names = [name for name in self.taken(names) if task in self.tasks(name)]
        return {title(name): self.measure(task, self.source(name)) for name in names}

    def stereo(self, weights: str | Path) -> tuple[dict[str, float], pd.DataFrame]:
        """Scores and matches of the motorcycle pair; takes seconds, so it is never stored."""
        matches = stereo_matches(feature_source(str(weights), **self.opening))
        return stereo_scores(matches), matches

    def bench(self) -> dict:
        """Times of the parts and their growth, measured on this machine; see `bench.run_bench`."""
        key = [asdict(self.profile.bench), machine(), torch.get_num_threads(), code_key(bench.__name__)]
        return computed(self.out / "bench" / "bench", key, lambda: bench.run_bench(self.profile.bench))

    def sequences(self, task: str, split: str = "val") -> list[run.Video]:
        """The labelled videos of a task."""
        return TASKS[task].read(self.folder(task), split=split)

    def events(self, task: str) -> dict:
        """Sequence -> its entry of a shipped world's `events.json` ("occlusions": id -> frames); else {}."""
        path = self.folder(task) / "events.json"
        return read_json(path) if path.is_file() else {}

    def data_name(self, task: str) -> str:
        """What a task is measured on, or what is `LEARNED_FROM`, in the words of a table."""
        if task in LEARNED_FROM:
            if not self.profile.data:
                return "shipped world"
            return f"{len(self.learned_from(task)):,} {task} of {self.folder(task).name}"
        benchmark = TASKS[task]
        if not self.profile.data and task not in ("real", "fine"):
            return f"shipped world in the layout of {benchmark.official}"
        other, sequences = STAND_INS.get(self.folder(task).name), self.sequences(task)
        trained_on = self.trained_on if self.profile.data and self.has("videos") else ()
        count, seen = len(sequences), sum(sequence.name in trained_on for sequence in sequences)
        part = f"{count} sequence{'s' * (count != 1)}"
        if count < benchmark.count and not other:
            part = f"{count} of {benchmark.count} sequences"
        what = other or benchmark.official
        if benchmark.name == "davis":  # the masks of DAVIS-2016 have one object, however many 2017's have
            what += f" (objects: {_objects(tuple(sequences))})"
        what += f" ({seen} of them training videos, too)" * bool(seen)
        return f"{part} of {what}, resized to {self.inference(task).resize}" + ", stride 4" * (task == "fine")

    def relative(self, path: str | Path) -> str:
        """A path as the book shows it: from the repository's root where it lies below it."""
        path = Path(path).resolve()
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
