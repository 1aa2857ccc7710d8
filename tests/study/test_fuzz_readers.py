"""A share of `fuzz_readers.py`: every reader, on the same spoiled files each time.

In processes of their own: what is forked from one in which threads have run may wait for them for ever.
"""

import subprocess
import sys
from pathlib import Path

from fuzz_targets import READERS

TOOLS = Path(__file__).parents[1] / "tools"
PROGRAM = """
import os, sys
sys.path.insert(0, {tools!r})
import fuzz_readers
from stt_core.errors import InputError

def read(kind):
    def read(root, path):
        if kind == "crash":
            os.abort()
        raise KeyError("a defect") if kind == "defect" else InputError("it is broken.")
    return fuzz_readers.READERS[0]._replace(name=kind, read=read)

sys.exit(fuzz_readers.main(tuple(map(read, ("crash", "defect", "nameless")))))
"""


def run(findings: Path, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, words), "--seed", "0", "--findings", str(findings)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_value_or_a_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, TOOLS / "fuzz_readers.py", "--cases", 40)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [reader.name for reader in READERS]
    assert all("x a refusal" in line for line in lines), done.stdout  # files are really spoiled


def test_anything_else_is_found(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", PROGRAM.format(tools=str(TOOLS)), "--cases", 3)
    assert done.returncode == 1, done.stderr
    for gist in ("crash: 3 x the process ended with -6", "defect: 3 x KeyError in", "nameless: 3 x no name of a file"):
        assert gist in done.stdout
    assert len(list(tmp_path.rglob("what.txt"))) == 9
