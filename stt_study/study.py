"""What a notebook asks for: data, trained weights, measured results."""

from collections.abc import Iterable
from dataclasses import asdict
from glob import glob
from pathlib import Path

import pandas as pd
import torch

from stt_core.features import feature_source
from stt_core.files import read_json
from stt_core.propagation import Inference
from stt_core.provenance import processor
from stt_study.benchmarks import run as evaluate
from stt_study.benchmarks.badja import badja_clips, badja_davis
from stt_study.benchmarks.datasets import davis_sequences, jhmdb_clips, vip_sequences
from stt_study.benchmarks.label_sources import label_source
from stt_study.benchmarks.stereo import stereo_matches, stereo_scores
from stt_study.speed import bench
from stt_study.store import code_key, computed, folder_fingerprint, made
from stt_study.trainings import ROOT, Trainings
from stt_study.variants import BASELINES, title

# What each task's layout is of, and how many sequences its test list has.
OFFICIAL = {"davis": ("DAVIS-2017", 30), "vip": ("VIP", 50), "jhmdb": ("JHMDB", 268), "badja": ("BADJA", 9)}
OFFICIAL["real"] = OFFICIAL["davis"]
# Folders in a data set's layout that hold another's data.
STAND_INS = {"vip-camvid": "CamVid (not VIP, but in its layout)"}


class Study(Trainings):
    """`Trainings`, and what is measured of their weights."""

    @property
    def opening(self) -> dict:
        """How `features.feature_source` opens weights for this profile."""
        spatial, stride = self.profile.spatial, self.profile.evaluation.stride
        return {"stride": stride, "depth": spatial.depth, "width": spatial.width, "seed": self.seed}

    def source(self, name: str) -> str:
        """What `baselines.label_source` takes, for a baseline or a variant (trained where it is missing)."""
        if name == "supervised":
            return str(self.supervised)
        return name if name in BASELINES else str(self.weights(name))

    @property
    def supervised(self) -> Path | None:
        """Supervised weights where the profile's `supervised` says, or None: not everyone has them."""
        found = (path for pattern in self.profile.supervised for path in sorted(glob(str(ROOT / pattern))))
        return next(map(Path, found), None)

    def measure(self, task: str, weights: str, split: str = "val", inference: Inference | None = None) -> dict:
        """Results of "davis", "vip", "jhmdb", "badja" or "real", measured where missing.

        Args:
            weights: as `source` gives them.
            inference: settings of propagation in place of the profile's.
        """
        inference = inference or getattr(self.profile.evaluation, task)
        source = label_source(weights, **self.opening)
        root = self.folder(task)
        folders = [root, *(badja_davis(root) if task == "badja" else ())]
        prints = [folder_fingerprint(folder) for folder in folders]
        key = [source.identity, source.stride, asdict(inference), split, prints, code_key(evaluate.__name__)]
        trained = Path(weights).name == "weights.pth"
        name = Path(weights).parent.name.rsplit("-", 1)[0] if trained else Path(weights).stem
        evaluate_task = getattr(evaluate, f"evaluate_{'davis' if task == 'real' else task}")
        of = {} if task == "badja" else {"split": split}
        place = self.out / "results" / f"{task}-{split}-{name}"
        path = made(place, key, lambda path: evaluate_task(source, root, path.parent, inference, **of), "/results.json")
        return {**read_json(path), "path": str(path)}

    def results(self, task: str, names: Iterable[str], split: str = "val") -> dict[str, dict]:
        """Title -> results of baselines and variants; empty where the data are not at hand.

        "supervised" is left out where there are no such weights.
        """
        if not self.has(task):
            return {}
        names = [name for name in names if name != "supervised" or self.supervised]
        return {title(name): self.measure(task, self.source(name), split) for name in names}

    def stereo(self, weights: str | Path) -> tuple[dict[str, float], pd.DataFrame]:
        """Scores and matches of the motorcycle pair; takes seconds, so it is never stored."""
        matches = stereo_matches(feature_source(str(weights), **self.opening))
        return stereo_scores(matches), matches

    def bench(self) -> dict:
        """Times, growth and memory of the parts, measured on this machine; see `bench.run_bench`."""
        key = [asdict(self.profile.bench), processor(), torch.get_num_threads(), code_key(bench.__name__)]
        return computed(
            self.out / "bench" / "bench", key, lambda: bench.run_bench(self.profile.bench, lambda text: None)
        )

    def sequences(self, task: str, split: str = "val") -> list:
        """The labelled sequences of a task, as `datasets` gives them."""
        if task == "vip":
            return vip_sequences(self.folder(task), split)
        if task == "jhmdb":
            return jhmdb_clips(self.folder(task), f"{split}_list.txt")
        if task == "badja":
            return badja_clips(self.folder(task))
        return davis_sequences(self.folder(task), split)

    def events(self, task: str) -> dict:
        """Sequence -> its entry of the shipped world's `events.json` ("occlusions": id -> frames); {} for data without."""
        path = self.folder(task) / "events.json"
        return read_json(path) if path.is_file() else {}

    def data_name(self, task: str) -> str:
        """What a task is measured on, in the words of a table."""
        if not self.profile.data and task != "real":
            return f"shipped world in the layout of {OFFICIAL[task][0]}"
        folder, (name, whole), count = self.folder(task).name, OFFICIAL[task], len(self.sequences(task))
        part = (
            f"{count} sequence{'s' * (count != 1)}"
            if count >= whole or folder in STAND_INS
            else f"{count} of {whole} sequences"
        )
        size = getattr(self.profile.evaluation, task).resize
        return f"{folder}, {part} of {STAND_INS.get(folder, name)}, resized to {size}"

    def relative(self, path: str | Path) -> str:
        """A path as the book shows it: from the repository's root where it lies below it."""
        path = Path(path).resolve()
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
