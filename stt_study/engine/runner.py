"""Runs the notebooks of one profile through papermill: what is stale, two at a time, the last good output kept.

    python -m stt_study.engine.runner --profile laptop [--only 06 …] [--jobs 2] [--force] [-p name value]…

`notebooks/profiles/<profile>.yaml` holds the parameters, `notebooks/order.yaml` who runs after whom:

    after: {03_temporal_step: [02_spatial_step]}   # a notebook waits for these
    alone: [02_spatial_step]                        # gets every core, and nothing runs beside it
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from stt_core.errors import InputError
from stt_core.files import write_json, write_text
from stt_core.provenance import versions
from stt_study.engine.progress import Progress
from stt_study.engine.schedule import Notebook, forecast, grid, plan, select
from stt_study.exit_codes import DEBUG, OURS, THEIRS, one_sentence
from stt_study.trainings import ROOT

BLAME = f"{InputError.__name__}: "  # how the last line of a traceback begins where the input is at fault
PATIENCE = 30  # s, for a step of a training and its checkpoint
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Execution:
    """A notebook in a process of its own, from start to its files in place."""

    def __init__(self, notebook: Notebook, threads: int) -> None:
        self.notebook = notebook
        self.started = time.monotonic()
        self.folder = tempfile.TemporaryDirectory(prefix="stt-")
        # A name of its own, since a run that was killed may have left a kernel that takes a second to notice.
        self.output = notebook.out.with_name(f".{notebook.name}.{os.getpid()}.running.ipynb")
        for left in notebook.out.parent.glob(f".{notebook.name}.*.running.ipynb"):
            left.unlink(missing_ok=True)
        job = Path(self.folder.name) / "job.json"
        source, output = str(notebook.source.resolve()), str(self.output.resolve())
        write_json(job, {"source": source, "output": output, "parameters": notebook.parameters})
        environment = os.environ | {name: str(threads) for name in THREADS}
        environment |= {
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # CUDA's matrix products give the same numbers each time
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "JUPYTER_RUNTIME_DIR": self.folder.name,
            # tqdm misses widgets that nobody would see here, and would say so in a page.
            "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:IProgress not found"])),
        }
        with open(self._file("progress"), "w") as progress, open(self._file("errors"), "w") as errors:
            command = [sys.executable, "-m", "stt_study.engine.execute", str(job)]
            # In a session of its own, so that Ctrl-C comes to this process alone, which then stops the others in order.
            how = {"env": environment, "start_new_session": True}
            self.process = subprocess.Popen(command, stdout=progress, stderr=errors, **how)

    def _file(self, name: str) -> Path:
        return Path(self.folder.name) / name

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def cells(self) -> str:
        """Cells done and in all, "7/12"; empty before the kernel is up."""
        return self._file("progress").read_text().rpartition("\n")[0].rpartition("\n")[2]

    def finish(self) -> str:
        """Put the files in their places; the error's last line, empty if all went well."""
        notebook, errors = self.notebook, self._file("errors").read_text(errors="replace").strip()
        seconds, code = self.seconds, self.process.wait()
        self.folder.cleanup()
        if code:
            if self.output.exists():
                self.output.replace(notebook.path(".failed.ipynb"))
            errors = errors or f"The process ended with code {code}, without a word: out of memory?"
            write_text(notebook.path(".traceback.txt"), errors + "\n")
            return errors.splitlines()[-1]
        # Without its record the output counts as stale: a crash between these lines costs a rerun, no more.
        notebook.path(".json").unlink(missing_ok=True)
        self.output.replace(notebook.path(".ipynb"))
        record = {"notebook": notebook.name, "profile": notebook.out.parent.parent.name, "key": notebook.key}
        record |= {"parameters": notebook.parameters, "seconds": round(seconds, 1), "versions": versions()}
        record |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count()}
        write_json(notebook.path(".json"), record)
        clear_failure(notebook)
        return ""

    def ask(self) -> None:
        """Ask the cell in hand to stop, which a training does once its step is saved."""
        self.process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Wait for the end that `ask` asked for, not for long, and leave nothing."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.unlink(missing_ok=True)
        self.folder.cleanup()


def clear_failure(notebook: Notebook) -> None:
    notebook.path(".failed.ipynb").unlink(missing_ok=True)
    notebook.path(".traceback.txt").unlink(missing_ok=True)


def run(notebooks: list[Notebook], *, jobs: int = 2, force: bool = False) -> dict[str, str]:
    """Run what is stale.

    Args:
        notebooks: from `plan`, in its order.
        jobs: how many at a time; each gets its share of the cores.
        force: run what is fresh, too.

    Returns:
        For each notebook that failed the last line of its error, and for each that needs one of those "skipped: …".
    """
    cores = os.cpu_count() or 1
    for notebook in notebooks:
        if notebook.fresh:
            clear_failure(notebook)
    waiting = [n for n in notebooks if force or not n.fresh]
    running: list[Execution] = []
    problems: dict[str, str] = {}
    progress = Progress({n.name: n.record().get("seconds") for n in waiting}, jobs, len(notebooks) - len(waiting))
    try:
        while waiting or running:
            for notebook in list(waiting):
                unfinished = {n.name for n in waiting} | {e.notebook.name for e in running}
                if lost := [name for name in notebook.after if name in problems]:
                    problems[notebook.name] = f"skipped: it needs {lost[0]}"
                    waiting.remove(notebook)
                    progress.skipped(notebook.name, lost[0])
                elif unfinished.isdisjoint(notebook.after):
                    full = len(running) >= jobs or (running and notebook.alone)
                    if full or any(e.notebook.alone for e in running):
                        break
                    waiting.remove(notebook)
                    running.append(Execution(notebook, cores if notebook.alone else max(1, cores // jobs)))
                    progress.started(notebook.name)
            time.sleep(0.1)
            for execution in [e for e in running if e.process.poll() is not None]:
                running.remove(execution)
                if error := execution.finish():
                    problems[execution.notebook.name] = error
                progress.finished(execution.notebook.name, execution.seconds, error)
            progress.show({e.notebook.name: (e.cells, e.seconds) for e in running})
    finally:
        progress.close()
        for execution in running:
            execution.ask()
        for execution in running:
            execution.stop()
    return problems


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stt_study.engine.runner", description="Run the notebooks of one profile.")
    parser.add_argument("--profile", default="laptop", help="a file in notebooks/profiles")
    parser.add_argument("--only", nargs="+", default=[], metavar="NB", help="names or their beginnings, such as 06")
    parser.add_argument("--jobs", type=int, default=2, help="notebooks at a time")
    parser.add_argument(
        "--grid", type=int, metavar="SEEDS", help="every way to train with so many seeds, not the pages"
    )
    parser.add_argument("--force", action="store_true", help="run what is fresh, too")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="set a parameter")
    parser.add_argument(DEBUG, action="store_true", help="show the traceback where the runner itself fails")
    given = parser.parse_args(arguments)
    with one_sentence(debug=given.debug):
        return _run(given)


def _run(given: argparse.Namespace) -> int:
    try:
        overrides = [(name, yaml.safe_load(value)) for name, value in given.p]
        root = Path.cwd()
        if given.grid:
            notebooks = grid(root, given.profile, given.grid, overrides)
        else:
            notebooks = plan(root, given.profile, overrides)
        chosen = select(notebooks, given.only)
        if not chosen:
            raise InputError("there are no notebooks here: run this in the repository's folder.")
        folder = chosen[0].out.parent
        folder.mkdir(parents=True, exist_ok=True)
        if given.grid:
            print(forecast(root, chosen, max(1, given.jobs)), flush=True)
        with ExitStack() as locks:
            for notebook in chosen:  # one each, so that a cluster's jobs can run cells of one grid side by side
                locks.enter_context(FileLock(folder / f".{notebook.name}.lock", timeout=0))
            problems = run(chosen, jobs=max(1, given.jobs), force=given.force)
    except Timeout:
        raise InputError(f"Another run of profile {given.profile} is at work on these: wait for it to end.") from None
    except yaml.YAMLError as error:
        raise InputError(f"-p: {' '.join(str(error).split())}; give a value as YAML has it.") from None
    for notebook in (n for n in chosen if n.name in problems):
        problem = problems[notebook.name]
        print(f"{notebook.name}: {problem.removeprefix(BLAME)}", file=sys.stderr)
        if not problem.startswith(("skipped: ", BLAME)):
            print(f"    traceback: {notebook.path('.traceback.txt').relative_to(Path.cwd())}", file=sys.stderr)
    if all(problem.startswith(("skipped: ", BLAME)) for problem in problems.values()):
        return THEIRS if problems else 0
    return OURS


if __name__ == "__main__":
    sys.exit(main())
