"""The grid as a cluster's jobs: order, GPUs, minutes by what is known; and Snakemake's own reading of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stt_core.errors import InputError
from stt_core.files import write_json
from stt_study.engine.jobs import UNKNOWN, jobs, table
from stt_study.engine.schedule import grid, select
from stt_study.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A repository with nothing in it but what the grid reads."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("*.ipynb", "[01]*"))
    return tmp_path


def test_jobs_are_the_grid_s_cells(study: Path) -> None:
    cells, found = grid(study, "smoke", 2), jobs(study, "smoke", 2, gpus=0)
    assert [(job.name, job.after, job.key) for job in found] == [(cell.name, cell.after, cell.key) for cell in cells]
    assert {(job.gpus, job.minutes, job.by) for job in found} == {(0, UNKNOWN, "a guess")}


def test_minutes_are_of_an_earlier_run(study: Path) -> None:
    cell = next(cell for cell in grid(study, "smoke", 1) if cell.name == "soft-seed0")
    write_json(cell.path(".json"), {"key": "old", "seconds": 90})
    found = {job.name: job for job in jobs(study, "smoke", 1, gpus=1)}
    assert (found["soft-seed0"].minutes, found["soft-seed0"].by) == (1.5, "an earlier run")
    assert (found["full-seed0"].minutes, found["full-seed0"].by) == (UNKNOWN, "a guess")
    shown = table(list(found.values()))
    assert len(shown) == len(VARIANTS)
    assert shown["GPU-hours"].sum() == pytest.approx(sum(job.minutes for job in found.values()) / 60)


def test_an_exact_name_is_one_cell(study: Path) -> None:
    cells = grid(study, "smoke", 11)
    assert [cell.name for cell in select(cells, ["full-seed1"])] == ["full-seed1"]
    assert len(select(cells, ["full"])) == 11
    with pytest.raises(InputError, match="no notebook starts with fool"):
        select(cells, ["fool"])


def test_snakemake_plans_the_jobs() -> None:
    """A dry run: every cell once, step one before those that need it, our minutes and GPUs in its own plan."""
    pytest.importorskip("snakemake", reason="pip install 'stt-core[cluster]'")
    command = [sys.executable, "-m", "snakemake", "--snakefile", "notebooks/Snakefile", "--dry-run", "--cores", "2"]
    command += [
        "--forceall",
        "--nolock",
        "--config",
        "profile=smoke",
        "seeds=1",
        "gpus=2",
        "args=-p settings.temporal.steps 9",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stderr
    out = ran.stdout + ran.stderr
    for job in jobs(ROOT, "smoke", 1, [("seed", 0), ("settings.temporal.steps", 9)], gpus=2):
        least = max(10, round(1.5 * job.minutes))
        assert f"{job.name}: 2 GPUs, at most {least} minutes" in out
    assert out.index("step_one-seed0: 2 GPUs") < out.index("full-seed0: 2 GPUs")
    refused = subprocess.run([*command[:-5], "--config", "profile=nowhere"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "there is no profile" in refused.stdout + refused.stderr
