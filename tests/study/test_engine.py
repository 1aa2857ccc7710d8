"""The engine on a repository of two pages of a line each, and trainings that write a file."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest

from stt_core.errors import InputError
from stt_core.files import write_json
from stt_study.engine.job import read_source
from stt_study.engine.plan import Job, declared_parameters, plan, read_parameters
from stt_study.engine.progress import Progress
from stt_study.times import step_times
from stt_study.variants import ALL, HEADLINE, ROWS

REPOSITORY = Path(__file__).parents[2]
TEXT = """\
# %% [markdown]
# # A page

# %% tags=["parameters"]
profile = "laptop"
data = ""
settings = {{}}
seed = 0

# %% tags=["hide-input"]
{code}
"""
STUDY = """
class Study:
    def __init__(self, profile, **given):
        self.given = given
    def begin(self):
        self.source("step_one")
    def source(self, name):
        with open("trained.txt", "a") as file:
            print(name, self.given["seed"], self.given["settings"], file=file)
        {more}
        return name
    def taken(self, names):
        return [name for name in names if name != "supervised"]
    def tasks(self, name):
        return ["vip"]
    def measure(self, task, weights):
        with open("measured.txt", "a") as file:
            print(task, weights, file=file)
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two pages, the second after the first, with their own copy of the library, whose trainings are a stand-in's."""
    unneeded = shutil.ignore_patterns("__pycache__", "weights")
    for package in ("stt_core", "stt_study"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=unneeded)
    shutil.copy(REPOSITORY / "Snakefile", tmp_path)
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "profiles" / "tiny.yaml").write_text("profile: tiny\nsettings: {}\n")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "published.csv").touch()
    order(tmp_path, "alone: [02_second]")
    write(tmp_path, "01_first", "print('seed', seed)")
    write(tmp_path, "02_second", "print(6 * 7)")
    trains(tmp_path)
    return tmp_path


def order(study: Path, text: str) -> None:
    (study / "notebooks" / "order.yaml").write_text(text)


def write(study: Path, name: str, code: str) -> None:
    (study / "notebooks" / f"{name}.py").write_text(TEXT.format(code=code))


def trains(study: Path, more: str = "") -> None:
    (study / "stt_study" / "study.py").write_text(STUDY.format(more=more))


def start(study: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "stt_study.engine.launch", "--profile", "tiny", *arguments]
    how = {"cwd": study, "env": os.environ | {"PYTHONPATH": str(study)}, "text": True}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def run(study: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(study, *arguments)
    out, errors = process.communicate(timeout=180)
    return process.returncode, out, errors


def outputs(study: Path, name: str = "01_first") -> str:
    notebook = nbformat.read(study / "runs" / "tiny" / "notebooks" / f"{name}.ipynb", as_version=4)
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def keys(study: Path, *overrides: tuple) -> dict[str, str]:
    return {name: job.key for name, job in plan(study, "tiny", overrides).items()}


def until(true: Callable[[], object]) -> object:
    end = time.monotonic() + 60
    while not (value := true()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return value


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_run_then_nothing_to_do_then_failure_that_keeps_the_last_good_page(study: Path) -> None:
    folder = study / "runs" / "tiny" / "notebooks"
    code, out, errors = run(study)
    assert code == 0, errors
    assert out.index("01_first: done") < out.index("02_second: started")
    assert (outputs(study), outputs(study, "02_second")) == ("seed 0\n", "42\n")
    record = json.loads((folder / "01_first.json").read_text())
    assert (record["notebook"], record["profile"]) == ("01_first", "tiny")
    assert record["parameters"] == {"profile": "tiny", "settings": {}}
    assert set(record) == {"notebook", "profile", "key", "parameters", "seconds", "versions", "finished", "cores"}

    assert run(study)[:2] == (0, "2 of 2 jobs are fresh\n")
    (folder / "02_second.ipynb").unlink()  # a page that somebody deleted is made again, and no other
    out = run(study)[1]
    assert "1 of 2 jobs are fresh" in out
    assert outputs(study, "02_second") == "42\n"

    write(study, "01_first", "print('before')\nraise ValueError('seed %d is bad' % seed)")
    code, out, errors = run(study, "-p", "seed", "3")
    assert code == 1
    assert outputs(study) == "seed 0\n"  # the last good one, and its record
    assert json.loads((folder / "01_first.json").read_text()) == record
    assert "ValueError: seed 3 is bad" in (folder / "01_first.traceback.txt").read_text()
    assert "before" in (folder / "01_first.failed.ipynb").read_text()
    assert errors.splitlines() == [
        "01_first: ValueError: seed 3 is bad",
        "    traceback: runs/tiny/notebooks/01_first.traceback.txt",
        "02_second: skipped: it needs 01_first",
    ]
    write(study, "01_first", "print('fixed', seed)")
    assert run(study, "--only", "01", "-p", "seed", "3")[0] == 0
    assert outputs(study) == "fixed 3\n"
    assert {p.name for p in folder.iterdir() if p.name.startswith("01")} == {"01_first.ipynb", "01_first.json"}
    out = run(study, "--only", "01", "-p", "seed", "3", "--force")[1]
    assert "01_first: done" in out
    assert out.endswith("01_first.ipynb\n")


def test_after_a_changed_setting_every_training_is_made_again(study: Path) -> None:
    """Those below step one, too, which `ancient()` once hid; more rows and seeds make none of them stale."""
    order(study, "needs: {01_first: [full]}")
    changed = ("-p", "settings.temporal.steps", "9")
    for overrides, settings in ((), {}), (changed, {"temporal": {"steps": 9}}):
        assert run(study, *overrides, "--only", "01")[0] == 0
        lines = (study / "trained.txt").read_text().splitlines()
        assert lines == [f"{name} 0 {settings}" for name in ("step_one", "full")]
        (study / "trained.txt").unlink()

    order(study, "needs: {01_first: [all]}")
    assert set(keys(study)) == {*(f"{name}-seed0" for name in HEADLINE), "01_first", "02_second"}
    all_of_them = ("-p", "settings.rows", "all", "-p", "settings.seeds", "2", *changed)
    code, out, _ = run(study, *all_of_them, "--only", "01", "--", "--dry-run")
    left = 2 * len(ALL) - 2
    assert (code, out.splitlines()[-1]) == (0, f"{left + 1} of {2 * len(ALL) + 1} jobs to run")
    assert "soft-seed1: 1 threads, 0 GPUs, never run, after step_one-seed1" in out


def test_step_one_is_measured_with_the_baselines_and_trained_on_all_cores(study: Path) -> None:
    order(study, "needs: {01_first: [baselines, full]}")
    jobs = plan(study, "tiny", lanes=2)
    cores = os.cpu_count()
    assert {name: job.threads for name, job in jobs.items() if not job.page} == {
        "step_one-seed0": min(2 * max(1, cores // 2), cores),
        "baselines-seed0": max(1, cores // 2),
        "full-seed0": max(1, cores // 2),
    }
    assert jobs["baselines-seed0"].needs == jobs["full-seed0"].needs == ("step_one-seed0",)
    assert run(study)[0] == 0
    measured = sorted((study / "measured.txt").read_text().splitlines())
    assert measured == sorted(f"vip {name}" for name in ("step_one", "copy", "flow", "lab", "hog", "random", "full"))


def test_a_page_waits_for_its_trainings_and_another_does_not(study: Path) -> None:
    order(study, "needs: {02_second: [full]}")
    trains(
        study, "from stt_core.errors import InputError; raise InputError(f'{name}: the data are gone; restore them.')"
    )
    code, _, errors = run(study)
    assert code == 2
    assert errors.splitlines() == [
        "step_one-seed0: step_one: the data are gone; restore them.",
        "full-seed0: skipped: it needs step_one-seed0",
        "02_second: skipped: it needs full-seed0",
    ]
    assert outputs(study) == "seed 0\n"


def test_kernel_is_ours_without_ports_and_with_its_share_of_the_cores(study: Path) -> None:
    code = """import json, os, sys
import ipykernel
file = json.load(open(ipykernel.get_connection_file()))
print(json.dumps([sys.executable, os.environ["PYTHONHASHSEED"], os.environ["OMP_NUM_THREADS"], file["transport"]]))"""
    write(study, "01_first", code)
    assert run(study, "--only", "01_first", "--jobs", "1")[0] == 0
    assert json.loads(outputs(study)) == [sys.executable, "0", str(os.cpu_count()), "ipc"]


def test_a_dead_kernel_and_an_independent_page(study: Path) -> None:
    order(study, "{}")
    write(study, "01_first", "import os\nos._exit(9)")
    code, _, errors = run(study)
    assert code == 1
    assert "Kernel died" in errors
    assert outputs(study, "02_second") == "42\n"


TRAINING = """
import pathlib, time
from stt_core.signals import Stopped, asked_to_stop
with asked_to_stop() as asked:
    for step in range(1000):
        pathlib.Path(r'{study}/step').write_text(str(step))
        time.sleep(0.05)
        if asked.number:
            pathlib.Path(r'{study}/saved').write_text(str(step))
            raise Stopped(asked.number)
"""


@pytest.mark.parametrize(("number", "where"), [(signal.SIGINT, "page"), (signal.SIGTERM, "training")])
def test_a_training_saves_its_step_when_the_run_is_stopped(study: Path, number: int, where: str) -> None:
    text = TRAINING.format(study=study)
    write(study, "01_first", text if where == "page" else "")
    order(study, "alone: [02_second]\nneeds: {01_first: [full]}" if where == "training" else "alone: [02_second]")
    trains(study, f"exec({text!r})")
    process = start(study)
    until((study / "step").exists)
    family = psutil.Process(process.pid).children(recursive=True)
    assert "at work" in run(study)[2]  # one run at a time
    process.send_signal(number)
    _, errors = process.communicate(timeout=40)
    assert process.returncode == 128 + number
    assert errors == "stopped before the end; the same command goes on from there.\n"
    assert (study / "saved").read_text() == (study / "step").read_text()
    assert not list((study / "runs" / "tiny").glob("*s/*"))  # no half page, no traceback
    assert all(gone(member.pid) for member in family)


def test_a_killed_launcher_takes_all_along_and_the_next_one_runs(study: Path) -> None:
    write(study, "01_first", TRAINING.format(study=study))
    process = start(study)
    until((study / "step").exists)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3  # Snakemake, the job, its kernel
    process.kill()
    process.wait()
    write(study, "01_first", "print('again')")
    assert run(study)[0] == 0  # at once: nothing is locked any more
    assert outputs(study) == "again\n"
    until(lambda: all(gone(member.pid) for member in family))
    assert not (study / "saved").exists()
    assert not list((study / "runs" / "tiny" / "notebooks").glob("*running*"))


BAD = {
    "seed": ({"overrides": [("seed", "x")]}, "seed is 'x'"),
    "profile": ({"profile": "huge"}, r"the profiles are tiny\."),
    "page": ({"only": ["07"]}, "no notebook starts with 07; there are 01_first, 02_second"),
    "order": ({}, "names 00_none, but there is no such notebook"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(study: Path, case: str) -> None:
    given, words = BAD[case]
    order(study, "alone: [00_none]" if case == "order" else "needs: {01_first: [full]}")
    with pytest.raises(InputError, match=words):
        plan(study, **{"profile": "tiny"} | given)


def test_bad_input_ends_with_exit_code_2_and_a_page_s_own_parameter_does_not(study: Path) -> None:
    source = study / "notebooks" / "02_second.py"
    source.write_text(source.read_text().replace("seed = 0", "seed = 0\nsede = 0"))
    assert run(study, "-p", "sead", "1")[::2] == (
        2,
        "no page that runs has a parameter sead; they have data, profile, sede, seed, settings.\n",
    )
    plain, given = plan(study, "tiny"), plan(study, "tiny", [("sede", 1)])
    assert given["01_first"] == plain["01_first"]
    assert given["02_second"].parameters == plain["02_second"].parameters | {"sede": 1}
    assert given["02_second"].key != plain["02_second"].key
    with pytest.raises(InputError, match="has a parameter sede"):
        plan(study, "tiny", [("sede", 1)], only=["01"])


def test_a_page_waits_for_its_trainings_alone() -> None:
    assert list(plan(REPOSITORY, "paper", only=["17"])) == ["17_at_scale"]
    only = plan(REPOSITORY, "laptop", only=["06"])
    assert set(only) == {f"{name}-seed0" for name in ("step_one", "full", "no_global")} | {"06_ablation_no_global"}
    assert list(plan(REPOSITORY, "laptop", only=["18"])) == ["18_teacher_strength"]
    every = ("settings.rows", "all")
    assert not {f"{name}-seed0" for name in ROWS["teacher"]} & {*plan(REPOSITORY, "laptop", [every])}
    jobs = plan(REPOSITORY, "teacher", only=["18"])
    trained = {f"{name}-seed{seed}" for name in ("step_one", *ROWS["teacher"]) for seed in range(2)}
    assert set(jobs) == trained | {"18_teacher_strength"}


def test_what_makes_a_page_stale(study: Path) -> None:
    before = keys(study)
    assert keys(study) == before
    changed = keys(study, ("seed", 1))
    assert all(changed[name] != before[name] for name in before)

    write(study, "02_second", "print(43)")
    after_second = keys(study)
    assert after_second["01_first"] == before["01_first"]
    assert after_second["02_second"] != before["02_second"]

    write(study, "01_first", "print('other')")  # the second comes after all others, but shows nothing of them
    assert keys(study)["02_second"] == after_second["02_second"]

    (study / "frames").mkdir()
    one = keys(study, ("data", "frames"))
    (study / "frames" / "00000.jpg").write_bytes(b"one")
    assert keys(study, ("data", "frames")) != one
    for folder in ("results/reference", "davis"):
        two = keys(study, ("settings.real", ["davis"]))
        (study / folder).mkdir(parents=True)
        (study / folder / "a.json").write_text("{}")
        assert keys(study, ("settings.real", ["davis"])) != two


def test_parameters(study: Path) -> None:
    (study / "notebooks" / "profiles" / "tiny.yaml").write_text("settings: {spatial: {lr: 0.03, steps: 10}}\n")
    parameters = read_parameters(study, "tiny", [("settings.spatial.steps", 20), ("x.lr", 1.0), ("seed", 1)])
    assert parameters == {"settings": {"spatial": {"lr": 0.03, "steps": 20}}, "x": {"lr": 1.0}, "seed": 1}
    path = study / "01_x.py"
    path.write_text('# %% tags=["parameters"]\na: int = 1\nb = c = None\nd.e = 3\n\n# %%\nf = 1\n')
    assert declared_parameters(path) == {"a", "b", "c"}
    path.write_text("# %%\na = 1\n")
    with pytest.raises(InputError, match="01_x has no cell tagged `parameters`"):
        declared_parameters(path)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.py")), ids=lambda path: path.stem)
def test_pairs_agree_and_hold_no_outputs(path: Path) -> None:
    paired = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    cells = [[(c.cell_type, c.source, c.metadata.get("tags")) for c in n.cells] for n in (paired, read_source(path))]
    assert cells[0] == cells[1]
    assert not [cell for cell in paired.cells if cell.get("outputs")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_job_that_ends_while_its_files_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)  # it was there a moment ago
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    job = Job("01", str(tmp_path / "trainings" / "01"), {}, (), "key", 1)
    assert (job.text(".progress"), job.fresh) == ("", False)


def test_progress_line(tmp_path: Path) -> None:
    jobs = {name: Job(name, str(tmp_path / "notebooks" / name), {}, (), "key", 1) for name in ("01", "02", "03")}
    for name, seconds in {"01": 100.0, "02": 60.0}.items():
        write_json(jobs[name].path(".json"), {"seconds": seconds})
    progress = Progress(jobs, 2, {}, Terminal())
    assert progress.left() == 120  # 03 counts as the mean, 80, in two lanes
    jobs["01"].path(".progress").write_text("3/9")
    progress.look()
    assert "0/3 done, 00:00, about 01:59 to go | 01 3/9 (00:00)" in progress.stream.getvalue()
    progress.running["01"] -= 30
    assert progress.left() == pytest.approx(105, abs=1)
    jobs["02"].path(".traceback.txt").write_text("…\nValueError: x\n")
    progress.look()
    assert "02: failed after 00:00: ValueError: x (1 of 3)" in progress.stream.getvalue()
    jobs["01"].done.parent.mkdir()
    jobs["01"].done.write_text("key")
    progress.look()
    assert "01: done in 01:40 (2 of 3)" in progress.stream.getvalue()
    assert progress.left() == 80
    never, kept = {"03": jobs["03"]}, {"02": 30.0, "03": 50.0}
    assert Progress(never, 2, {}, Terminal()).left() == 0
    assert Progress(never, 2, kept, Terminal()).left() == 50
    write_json(tmp_path / "weights" / "full-seed0-ab" / "run.json", {"step": 10, "seconds": 15.0})
    assert step_times(tmp_path) == {"a step of full": 1.5}
    assert Progress({"02": jobs["02"]} | never, 2, kept, Terminal()).left() == 100  # this machine takes twice as long
