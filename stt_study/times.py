"""How long the jobs of a run took, kept for the reference's runs: a first run says early how long it will take."""

from pathlib import Path

from stt_core.files import read_json

KEPT = Path(__file__).resolve().parents[1] / "results" / "times.json"  # profile -> `times`


def kept() -> dict[str, dict]:
    """Profile -> the times that are kept of it."""
    return read_json(KEPT) if KEPT.exists() else {}


def times(out: Path) -> dict[str, dict[str, float]]:
    """Of a run's folder, such as runs/laptop: "jobs", seconds of each that is done, by name without its seed."""
    paths = out.glob("[nt]*/*.json")  # notebooks, trainings
    return {"jobs": {path.stem.partition("-seed")[0]: read_json(path)["seconds"] for path in paths}}
