"""What the distillations build on: whether their targets say better than the student itself where things went."""

from dataclasses import asdict
from statistics import mean

from stt_core.checkpoints import file_hash
from stt_core.correlation import pool_correlation
from stt_study.analysis.against_teacher import STAY, targets
from stt_study.analysis.held_out_pairs import batches, label_error, split_of
from stt_study.analysis.query_selection import PAIRS, selection_weights
from stt_study.store import code_key, computed, folder_fingerprint
from stt_study.study import Study

START = "start of step two"
GLOBAL = ("teacher", START, STAY)  # the first must have the smallest label error for there to be anything to learn
LOCAL = ("pooled fine correlation", "coarse correlation")  # likewise, on the selected queries


def measured(study: Study) -> dict[str, float]:
    """Each of `GLOBAL` and `LOCAL` -> its label error, 0 to 1, on held-out pairs; see `held_out_pairs.label_error`."""
    settings, weights = study.profile.temporal, (study.teacher, study.spatial(), study.weights("no_local"))
    data = [split_of(study), folder_fingerprint(study.folder("davis"))]
    key = [asdict(settings), *map(file_hash, weights), data, code_key(__name__)]
    return computed(study.out / "premises" / f"premises-seed{study.seed}", key, lambda: _measured(study))


def _measured(study: Study) -> dict[str, float]:
    errors = targets(study, {START: study.spatial()})["label error"]
    found: dict[str, list[float]] = {name: [] for name in LOCAL}
    # At the start neither level is trained; what there is to pass on shows where nothing was passed on.
    for pair, level in batches(study, study.weights("no_local"), PAIRS):
        height, width = level["query"].shape[2:]
        labels = pair.labels(width)
        chosen = selection_weights(level, study.profile.temporal.local)[0]
        pooled = pool_correlation(level["fine"], 2 * height, 2 * width)
        for name, correlation in zip(LOCAL, (pooled, level["coarse"]), strict=True):
            found[name].append(float((label_error(correlation, *labels) * chosen).sum() / chosen.sum()))
    return {name: float(errors[name]) for name in GLOBAL} | {name: mean(values) for name, values in found.items()}
