"""What Snakemake runs: one job of a plan, `python -m stt_study.engine.job runs/laptop/.plan.json 03_temporal_step`."""

import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from stt_core.files import write_json, write_text
from stt_core.provenance import versions
from stt_core.signals import Stopped, stopped_by_signals
from stt_study.engine.plan import Job
from stt_study.variants import BASELINES, VARIANTS

COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # terminals' escape sequences in tracebacks
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def read_source(path: str | Path) -> Any:
    """A page's text as a notebook, with cells named by their positions: the same text gives the same bytes."""
    import jupytext  # seconds to load, and trainings don't need it
    import nbformat

    notebook = jupytext.read(path, fmt="py:percent")
    for position, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{position:02d}"
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's own note about layout
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def train(job: Job, say: Callable[[str], None]) -> None:
    """Train a variant and measure it on every task at hand; the study stores all of it."""
    from stt_study.study import Study

    given = dict(job.parameters)
    source = given.pop("source")
    study = Study(given.pop("profile"), **given)
    if source == "step_one":  # on all cores, since the seed's variants wait for it; measured with the baselines
        study.begin()
        return
    names = [source] if source in VARIANTS else study.taken(["step_one", *BASELINES])
    wanted = [(task, study.source(name)) for name in names for task in study.tasks(name)]
    for number, (task, weights) in enumerate(wanted):
        say(f"{number}/{len(wanted)} measured")
        study.measure(task, weights)


def execute(job: Job, say: Callable[[str], None]) -> None:
    """Run a page in a fresh kernel of this interpreter; it goes to its place when all went well."""
    import nbformat
    import papermill
    from traitlets.config import Config

    stopped: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        """End the cell in hand, in which a training saves its step, and start no other."""
        stopped.append(number)
        for kernel in psutil.Process().children():
            kernel.send_signal(signal.SIGINT)

    def started(cell: nbformat.NotebookNode, cell_index: int) -> None:
        if stopped:
            raise Stopped(stopped[0])
        say(f"{cell_index}/{len(notebook.cells) + 1}")  # papermill adds a cell with the parameters

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    notebook = read_source(job.page)
    # A name of its own, since a run that was killed may have left a kernel that takes a second to notice.
    running = job.path(f".{os.getpid()}.running.ipynb")
    with tempfile.TemporaryDirectory(prefix="stt-") as folder:  # a short path: the kernel's sockets lie there
        # The kernel of this environment comes before one of the same name that the user has installed elsewhere.
        os.environ |= {"JUPYTER_RUNTIME_DIR": folder, "JUPYTER_PATH": os.path.join(sys.prefix, "share", "jupyter")}
        # Sockets in the file system: no port is opened on the machine, and two kernels can't take the same one.
        kernel = {"transport": "ipc", "connection_file": f"{folder}/k.json"}
        config = Config(KernelManager=kernel, AsyncKernelManager=kernel)
        how = {"kernel_name": "python3", "cwd": Path(job.page).parent, "progress_bar": False, "config": config}
        nbformat.write(notebook, f"{folder}/input.ipynb")
        try:
            papermill.execute_notebook(f"{folder}/input.ipynb", running, job.parameters, on_cell_start=started, **how)
        except Exception:
            if not stopped and running.exists():
                running.replace(job.path(".failed.ipynb"))
            if not stopped:
                raise
        if stopped:
            running.unlink(missing_ok=True)
            raise Stopped(stopped[0])
    running.replace(job.path(".ipynb"))


def follow(parent: int) -> None:
    """End this process and its kernel as soon as Snakemake is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(0.5)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)


def main(path: str, name: str) -> int:
    threading.Thread(target=follow, args=[os.getppid()], daemon=True).start()
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    job, begun = Job(**plan["jobs"][name]), time.time()
    progress = job.path(".progress").resolve()  # a page runs in another folder
    write_text(progress, "starts")
    job.path(".traceback.txt").unlink(missing_ok=True)  # of a try before this one
    try:
        with stopped_by_signals():
            (execute if job.page else train)(job, lambda text: write_text(progress, text))
        record = {"notebook": name, "profile": plan["profile"], "key": job.key, "parameters": job.parameters}
        record |= {"seconds": round(time.time() - begun, 1), "versions": versions(), "cores": os.cpu_count()}
        record |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        write_json(job.path(".json"), record)
        write_text(job.done, job.key)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        text = str(error) if hasattr(error, "ename") else traceback.format_exc()  # a cell's, or ours
        write_text(job.path(".traceback.txt"), COLOURS.sub("", text))
        return 1
    finally:
        progress.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
