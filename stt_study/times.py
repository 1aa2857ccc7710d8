"""How long the jobs of a run took, kept for the reference's runs: a first run says early how long it will take."""

from pathlib import Path

from stt_core.files import read_json

KEPT = Path(__file__).resolve().parents[1] / "results" / "times.json"  # profile -> `times`


def kept() -> dict[str, dict[str, float]]:
    """Profile -> the times that are kept of it."""
    return read_json(KEPT) if KEPT.exists() else {}


def times(out: Path) -> dict[str, float]:
    """Of a run's folder, such as runs/laptop: seconds of each job that is done, without its seed, and `step_times`."""
    paths = [path for jobs in ("notebooks", "trainings") for path in out.glob(f"{jobs}/*.json")]
    return {path.stem.partition("-seed")[0]: read_json(path)["seconds"] for path in paths} | step_times(out)


def step_times(out: Path, since: float = 0) -> dict[str, float]:
    """Seconds a step of each training of a run that has saved since then (s of the epoch), as "a step of full"."""
    paths = [path for path in out.glob("weights/*/run.json") if path.stat().st_mtime >= since]
    runs = {path.parent.name.partition("-seed")[0]: read_json(path) for path in paths}
    return {f"a step of {name}": run["seconds"] / run["step"] for name, run in runs.items() if "step" in run}
