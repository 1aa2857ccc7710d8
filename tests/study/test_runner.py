import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from stt_core.errors import InputError
from stt_core.files import write_json
from stt_study.engine.pairing import check, declared_parameters, read_source, sync
from stt_study.engine.progress import Progress, clock
from stt_study.engine.schedule import forecast, grid, plan, read_parameters, select
from stt_study.variants import VARIANTS

REPOSITORY = Path(__file__).parents[2]

TEXT = """\
# %% [markdown]
# # A page

# %% tags=["parameters"]
profile = "laptop"
data = ""
seed = 0

# %% tags=["hide-input"]
{code}
"""


@pytest.fixture
def study(tmp_path):
    """A repository of two notebooks, the second waiting for the first, with its own copy of the library."""
    for package in ("stt_core", "stt_study"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    notebooks = tmp_path / "notebooks"
    (notebooks / "profiles").mkdir(parents=True)
    (notebooks / "profiles" / "tiny.yaml").write_text("profile: tiny\ndata: ''\nseed: 0\n")
    (notebooks / "order.yaml").write_text("after: {02_second: [01_first]}\n")
    write(tmp_path, "01_first", "print('seed', seed)")
    write(tmp_path, "02_second", "print(6 * 7)")
    return tmp_path


def write(study, name, code):
    (study / "notebooks" / f"{name}.py").write_text(TEXT.format(code=code))


def start(study, *arguments):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "stt_study.engine.runner", "--profile", "tiny", *arguments]
    return subprocess.Popen(
        command, cwd=study, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(study, *arguments):
    process = start(study, *arguments)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def outputs(study, name="01_first"):
    notebook = nbformat.read(study / "runs" / "tiny" / "notebooks" / f"{name}.ipynb", as_version=4)
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def keys(study, *overrides):
    return {notebook.name: notebook.key for notebook in plan(study, "tiny", overrides)}


def test_run_then_nothing_to_do_then_failure_that_keeps_the_last_good_output(study):
    folder = study / "runs" / "tiny" / "notebooks"
    code, out, errors = run(study)
    assert code == 0, errors
    assert out.index("01_first: done") < out.index("02_second: started")
    assert outputs(study) == "seed 0\n"
    assert outputs(study, "02_second") == "42\n"
    record = json.loads((folder / "01_first.json").read_text())
    assert record["profile"] == "tiny"
    assert record["seconds"] > 0
    assert record["parameters"] == {"profile": "tiny", "data": "", "seed": 0}

    code, out, _ = run(study)
    assert (code, out) == (0, "2 notebooks are fresh\n")

    (study / "stt_core" / "color.py").write_text("GREY = 0.5\n")
    assert "01_first: done" in run(study, "--only", "01")[1]

    write(study, "01_first", "print('before')\nraise ValueError('seed %d is bad' % seed)")
    code, out, errors = run(study, "-p", "seed", "3")
    assert code == 1
    assert outputs(study) == "seed 0\n"  # the last good one
    assert "ValueError: seed 3 is bad" in (folder / "01_first.traceback.txt").read_text()
    assert "before" in (folder / "01_first.failed.ipynb").read_text()
    lines = errors.splitlines()
    assert lines[0] == "01_first: ValueError: seed 3 is bad"
    assert lines[1].endswith(f"runs{os.sep}tiny{os.sep}notebooks{os.sep}01_first.traceback.txt")
    assert lines[2] == "02_second: skipped: it needs 01_first"

    write(study, "01_first", "print('mended', seed)")
    assert run(study, "--only", "01", "-p", "seed", "3")[0] == 0
    assert outputs(study) == "mended 3\n"
    assert {p.name for p in folder.iterdir() if p.name.startswith("01")} == {"01_first.ipynb", "01_first.json"}


def test_kernel_is_ours_without_ports_and_with_its_share_of_the_cores(study):
    code = """import json, os, sys
import ipykernel
file = json.load(open(ipykernel.get_connection_file()))
print(json.dumps([sys.executable, os.environ["PYTHONHASHSEED"], os.environ["OMP_NUM_THREADS"], file["transport"]]))"""
    write(study, "01_first", code)
    assert run(study, "--only", "01_first", "--jobs", "1")[0] == 0
    assert json.loads(outputs(study)) == [sys.executable, "0", str(os.cpu_count()), "ipc"]


def test_a_dead_kernel_and_an_independent_notebook(study):
    (study / "notebooks" / "order.yaml").unlink()
    write(study, "01_first", "import os\nos._exit(9)")
    code, _, errors = run(study)
    assert code == 1
    assert "Kernel died" in errors
    assert outputs(study, "02_second") == "42\n"


def test_a_stopped_run_leaves_no_half_output_and_no_process(study):
    write(
        study,
        "01_first",
        f"open(r'{study}/pid', 'w').write(str(__import__('os').getpid()))\nimport time\ntime.sleep(50)",
    )
    process = start(study)
    until = time.monotonic() + 40
    while not (study / "pid").exists() or not (study / "pid").read_text():
        assert time.monotonic() < until
        time.sleep(0.1)
    assert "at work" in run(study)[2]  # one run at a time
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    left = sorted(path.name for path in (study / "runs" / "tiny" / "notebooks").iterdir())
    assert left == [".01_first.lock", ".02_second.lock"]
    pid = int((study / "pid").read_text())
    while alive(pid):
        assert time.monotonic() < until
        time.sleep(0.1)


TRAINING = """
import pathlib, time
from stt_core.signals import Stopped, asked_to_stop
saved = pathlib.Path(r'{study}/saved')
with asked_to_stop() as asked:
    for step in range(1000):
        pathlib.Path(r'{study}/step').write_text(str(step))
        time.sleep(0.05)
        if asked.number:
            saved.write_text(str(step))
            raise Stopped(asked.number)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_in_a_notebook_saves_its_step_when_the_run_is_stopped(study, number):
    write(study, "01_first", TRAINING.format(study=study))
    process = start(study)
    wait_for(study / "step")
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == "stopped before the end; the same command goes on from there.\n"
    assert (study / "saved").read_text() == (study / "step").read_text()
    left = sorted(path.name for path in (study / "runs" / "tiny" / "notebooks").iterdir())
    assert left == [".01_first.lock", ".02_second.lock"]


def test_a_killed_runner_takes_its_kernels_along_and_the_next_one_runs(study):
    write(study, "01_first", TRAINING.format(study=study))
    process = start(study)
    wait_for(study / "step")
    process.kill()
    process.wait()
    write(study, "01_first", "print('again')")
    assert run(study)[0] == 0  # at once: nothing is locked any more
    assert outputs(study) == "again\n"
    last = (study / "step").read_text()
    time.sleep(2)
    assert (study / "step").read_text() == last  # the killed run's kernel is gone
    assert not (study / "saved").exists()
    assert not list((study / "runs" / "tiny" / "notebooks").glob(".*running*"))


def wait_for(path):
    until = time.monotonic() + 40
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_an_input_at_fault_in_a_notebook_is_one_sentence_and_exit_code_2(study):
    write(
        study,
        "01_first",
        "from stt_core.errors import InputError\nraise InputError('the data are gone; restore them.')",
    )
    code, _, errors = run(study)
    assert (code, errors) == (2, "01_first: the data are gone; restore them.\n02_second: skipped: it needs 01_first\n")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True).stdout
    return not state.startswith("Z")  # nobody may be there to collect it


def test_bad_input_is_one_sentence_and_exit_code_2(study):
    code, _, errors = run(study, "-p", "sede", "1")
    assert code == 2
    assert errors == "01_first has no parameter sede; it has data, profile, seed.\n"
    with pytest.raises(InputError, match=r"the profiles are tiny\."):
        plan(study, "huge")
    with pytest.raises(InputError, match="no notebook starts with 07; there are 01_first, 02_second"):
        select(plan(study, "tiny"), ["07"])
    (study / "notebooks" / "order.yaml").write_text("after: {01_first: [02_second], 02_second: [01_first]}\n")
    with pytest.raises(InputError, match="circle"):
        plan(study, "tiny")
    (study / "notebooks" / "order.yaml").write_text("after: {01_first: [00_none]}\n")
    with pytest.raises(InputError, match="names 00_none"):
        plan(study, "tiny")


def test_what_makes_a_notebook_stale(study):
    before = keys(study)
    assert keys(study) == before
    changed = keys(study, ("seed", 1))
    assert all(changed[name] != before[name] for name in before)

    write(study, "02_second", "print(43)")
    after_second = keys(study)
    assert after_second["01_first"] == before["01_first"]
    assert after_second["02_second"] != before["02_second"]

    write(study, "01_first", "print('other')")  # the second reads what the first makes
    assert keys(study)["02_second"] != after_second["02_second"]

    (study / "frames").mkdir()
    one = keys(study, ("data", "frames"))
    (study / "frames" / "00000.jpg").write_bytes(b"one")
    assert keys(study, ("data", "frames")) != one
    (study / "notebooks" / "profiles" / "tiny.yaml").write_text("settings: {data: frames, real: [davis]}\n")
    for name in ("01_first", "02_second"):
        source = study / "notebooks" / f"{name}.py"
        source.write_text(source.read_text().replace("seed = 0", "settings = {}"))
    two = keys(study)
    (study / "frames" / "00000.jpg").write_bytes(b"two")
    three = keys(study)
    assert three != two
    (study / "davis").mkdir()
    (study / "davis" / "00000.jpg").write_bytes(b"one")
    assert keys(study) != three


def test_dotted_overrides_set_one_field(study):
    (study / "notebooks" / "profiles" / "tiny.yaml").write_text("spatial: {lr: 0.03, steps: 10}\nseed: 0\n")
    parameters = read_parameters(study, "tiny", [("spatial.steps", 20), ("temporal.lr", 1.0), ("seed", 1)])
    assert parameters == {"spatial": {"lr": 0.03, "steps": 20}, "temporal": {"lr": 1.0}, "seed": 1}
    with pytest.raises(InputError, match="seed isn't a mapping"):
        read_parameters(study, "tiny", [("seed.x", 1)])


def test_parameters_cell(tmp_path):
    path = tmp_path / "01_x.py"
    path.write_text('# %% tags=["parameters"]\na: int = 1\nb = c = None\nd.e = 3\n')
    assert declared_parameters(read_source(path), "01_x") == {"a", "b", "c"}
    path.write_text("# %%\na = 1\n")
    with pytest.raises(InputError, match="01_x has no cell tagged `parameters`"):
        declared_parameters(read_source(path), "01_x")


def test_pairs(study):
    folder = study / "notebooks"
    assert [c.split()[-1] for c in check(folder)] == ["01_first.ipynb", "02_second.ipynb"]
    sync(folder)
    assert check(folder) == []
    paired, source = folder / "01_first.ipynb", folder / "01_first.py"
    text, original = source.read_text(), paired.read_bytes()

    # Run in JupyterLab: outputs alone are thrown away, and the source stays.
    notebook = nbformat.read(paired, as_version=4)
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="seed 0\n")]
    nbformat.write(notebook, paired)
    assert "outputs" in check(folder)[0]
    sync(folder)
    assert (source.read_text(), paired.read_bytes()) == (text, original)

    # Edited there: the source follows, and the tags stay.
    notebook.cells[2].source = "print('edited')"
    nbformat.write(notebook, paired)
    os.utime(source, (1, 1))
    sync(folder)
    assert source.read_text() == text.replace("print('seed', seed)", "print('edited')")
    assert check(folder) == []

    # Edited as text.
    source.write_text(text)
    os.utime(paired, (1, 1))
    sync(folder)
    assert paired.read_bytes() == original


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_line():
    stream = Terminal()
    progress = Progress({"01": 100.0, "02": 60.0, "03": None}, jobs=2, fresh=1, stream=stream)
    # 03 counts as the mean, 80: (100 - 30) + 60 + 80, in two lanes.
    assert progress.left({"01": 30.0}) == 105
    progress.show({"01": ("3/9", 30.0)})
    assert "1 notebook is fresh\n" in stream.getvalue()
    assert "0/3 done, 0:00, about 1:45 to go | 01 3/9 (0:30)" in stream.getvalue()
    progress.finished("01", 50.0, "")
    progress.finished("02", 5.0, "ValueError: x")
    assert "02: failed after 0:05: ValueError: x (2 of 3)" in stream.getvalue()
    assert progress.left({"03": 10.0}) == 40  # as long as the only one that ended well
    assert Progress({"01": None}, 2, 0, stream).left({}) is None
    assert [clock(s) for s in (59.6, 3661)] == ["1:00", "1:01:01"]


def test_the_grid_is_every_way_and_seed_and_step_one_comes_first(study):
    text = TEXT.replace("seed = 0", 'seed = 0\nvariant = "full"').format(code="print(variant, seed)")
    (study / "notebooks" / "grid_cell.py").write_text(text)
    cells = grid(study, "tiny", 2, [("seed", 5)])
    assert len(cells) == 2 * len(VARIANTS)
    assert {(cell.parameters["variant"], cell.parameters["seed"]) for cell in cells} == {
        (variant, seed) for variant in VARIANTS for seed in (5, 6)
    }
    assert len({cell.key for cell in cells}) == len({cell.out for cell in cells}) == len(cells)
    for cell in cells:
        first = f"step_one-seed{cell.parameters['seed']}"
        assert cell.after == (() if cell.name == first else (first,))

    # 40 minutes of the reference, whose last run here found them stored; a minute that one took here; the others are unknown.
    stored = {"seeds": {"0": {"training seconds": 2000, "measuring seconds": {"davis": 300, "vip": 100}}}}
    write_json(study / "results" / "reference" / "tiny" / "full.json", stored)
    cells = grid(study, "tiny", 1)
    for name, seconds in (("soft-seed0", 60), ("full-seed0", 5)):
        cell = next(cell for cell in cells if cell.name == name)
        write_json(cell.path(".json"), {"key": "old", "seconds": seconds})
    line = forecast(study, cells, 2)
    assert line.startswith(
        f"{len(VARIANTS)} of {len(VARIANTS)} cells to run, 2 at a time: at most about {clock(2460 / 2)},"
    )
    assert line.endswith(f"nothing is known of {len(VARIANTS) - 2}")

    code, out, errors = run(study, "--grid", "1", "--only", "step_one", "soft")
    assert (code, errors) == (0, "")
    assert out.index("step_one-seed0: done") < out.index("soft-seed0: started")
    page = nbformat.read(study / "runs" / "tiny" / "grid" / "soft-seed0.ipynb", as_version=4)
    assert "soft 0\n" in [output.get("text") for cell in page.cells for output in cell.get("outputs", [])]
    assert "1 of 1 cells" not in run(study, "--grid", "1", "--only", "soft")[1]  # it is fresh
