"""Executes one notebook, in a process of its own that `runner` starts: `python -m stt_study.engine.execute job.json`."""

import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from stt_study.engine.pairing import read_source

STOPPING = threading.Event()
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # terminals' escape sequences in tracebacks


def execute(source: Path, output: Path, parameters: dict, folder: Path) -> None:
    """Run a notebook's source with parameters in a fresh kernel of this interpreter.

    One line "done/total" of cells goes to standard output whenever a cell is done.

    Args:
        source: .py file; the kernel runs in its folder, as in JupyterLab.
        output: executed notebook, saved after each cell.
        parameters: names that the notebook's `parameters` cell declares.
        folder: short-lived, with a short path (the kernel's sockets lie there).

    Raises:
        PapermillExecutionError: a cell failed.
    """
    notebook = read_source(source)
    total = len(notebook.cells) + 1  # papermill adds a cell with the parameters

    def started(cell: nbformat.NotebookNode, cell_index: int) -> None:
        if STOPPING.is_set():
            sys.exit(1)
        print(f"{cell_index}/{total}", flush=True)

    prepared = folder / "input.ipynb"
    nbformat.write(notebook, prepared)
    # Sockets in the file system: no port is opened on the machine, and two kernels can't take the same one.
    kernel = {"transport": "ipc", "connection_file": str(folder / "k.json")}
    # The kernel of this environment comes before one of the same name that the user has installed elsewhere.
    os.environ["JUPYTER_PATH"] = os.path.join(sys.prefix, "share", "jupyter")
    papermill.execute_notebook(
        prepared,
        output,
        parameters,
        kernel_name="python3",
        cwd=source.parent,
        progress_bar=False,
        config=Config(KernelManager=kernel, AsyncKernelManager=kernel),
        on_cell_start=started,
    )


def interrupt(*_: object) -> None:
    """The runner asks to stop: end the cell in hand, in which a training saves its step, and start no other."""
    STOPPING.set()
    for kernel in psutil.Process().children():
        kernel.send_signal(signal.SIGINT)


def follow(runner: int) -> None:
    """End this process and its kernel as soon as the runner is gone, however it went."""
    while os.getppid() == runner:
        time.sleep(0.5)
    for kernel in psutil.Process().children():
        kernel.kill()
    os._exit(1)


def main(path: str) -> int:
    signal.signal(signal.SIGUSR1, interrupt)
    threading.Thread(target=follow, args=[os.getppid()], daemon=True).start()
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    output, folder = Path(job["output"]), Path(path).parent
    try:
        execute(Path(job["source"]), output, job["parameters"], folder)
    except PapermillExecutionError as error:
        lines = [f"Cell {error.exec_count}:", "", error.source, "", *error.traceback]
        print(COLOURS.sub("", "\n".join(lines)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
