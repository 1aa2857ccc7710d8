"""How long the jobs of a run took. Kept for the reference's runs, so that a first run says from its first minute how long it will take."""

from pathlib import Path

from stt_core.files import read_json

KEPT = Path(__file__).resolve().parents[1] / "results" / "times.json"  # profile -> `times`


def times(out: Path, since: float = 0) -> dict[str, dict[str, float]]:
    """Of a run's folder, such as runs/laptop: "jobs", seconds of each that is done; "steps", seconds a step of each training.

    Args:
        since: of the epoch; trainings that were saved before it, in s, are left out.
    """
    jobs = {path.stem: read_json(path)["seconds"] for path in out.glob("[nt]*/*.json")}  # notebooks, trainings
    steps = {}
    for path in out.glob("weights/*/run.json"):
        run = read_json(path)
        if "step" in run and path.stat().st_mtime > since:
            steps[path.parent.name.rpartition("-seed")[0]] = run["seconds"] / run["step"]
    return {"jobs": jobs, "steps": steps}
