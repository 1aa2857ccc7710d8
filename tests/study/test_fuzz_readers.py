"""A share of `fuzz_readers.py`: every reader, on the same spoiled files each time.

In processes of their own: what is forked from one in which threads have run may wait for them for ever.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import READERS

TOOLS = Path(__file__).parents[1] / "tools"
PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fuzz_readers
from stt_core.errors import InputError

def read(root, path):
    {body}

tally = fuzz_readers.fuzz((replace(fuzz_readers.READERS[0], read=read),), seed=0, cases=3, kept=Path(sys.argv[2]))
print(*next(iter(tally.values())).findings.elements(), sep="\\n")
"""


def run(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=300)


def test_a_value_or_a_sentence(tmp_path: Path) -> None:
    done = run(TOOLS / "fuzz_readers.py", "--cases", 40, "--seed", 0, "--findings", tmp_path / "findings")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.rsplit(maxsplit=4) for line in done.stdout.splitlines()[1:]]
    assert [name for name, *_ in rows] == [reader.name for reader in READERS]
    for name, *counts in rows:
        cases, values, refusals, findings = map(int, counts)
        assert values + refusals == cases == 40, name
        assert refusals, name  # files are really spoiled
        assert not findings


@pytest.mark.parametrize(
    ("body", "gist"),
    [
        ("import os; os.abort()", "the process ended with -6"),
        ("raise KeyError('a defect')", "KeyError in"),
        ("raise InputError('it is broken.')", "no name of a file"),
    ],
)
def test_anything_else_is_found(body: str, gist: str, tmp_path: Path) -> None:
    done = run("-c", PROGRAM.format(body=body), TOOLS, tmp_path)
    found = done.stdout.splitlines()
    assert len(found) == 3, done.stderr
    assert all(line.startswith(gist) for line in found)
    assert any(tmp_path.rglob("what.txt"))
