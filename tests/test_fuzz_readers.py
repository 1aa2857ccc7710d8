"""A share of `fuzz_readers.py`: every reader, on the same spoiled files each time."""

from dataclasses import replace
from pathlib import Path

import fuzz_readers
import pytest
from fuzz_targets import READERS, Reader

from stt_core.files import InputError


@pytest.mark.parametrize("reader", READERS, ids=[reader.name for reader in READERS])
def test_a_value_or_a_sentence(reader: Reader) -> None:
    tallies = fuzz_readers.fuzz((reader,), seed=0, cases=40)
    tally = tallies[reader.name]
    assert not tally.findings, fuzz_readers.table(tallies)
    assert tally.values + tally.refusals == tally.cases == 40
    assert tally.refusals  # files are really spoiled


def crash(root: Path, path: Path) -> None:
    import os

    os.abort()


def defect(root: Path, path: Path) -> None:
    raise KeyError("a defect")


def nameless(root: Path, path: Path) -> None:
    raise InputError("it is broken.")


@pytest.mark.parametrize(
    ("read", "gist"),
    [(crash, "the process ended with -6"), (defect, "KeyError in"), (nameless, "no name of a file")],
)
def test_anything_else_is_found(read, gist: str, tmp_path: Path) -> None:
    reader = replace(READERS[0], read=read)
    tally = fuzz_readers.fuzz((reader,), seed=0, cases=3, kept=tmp_path)[reader.name]
    assert sum(tally.findings.values()) == 3
    assert all(found.startswith(gist) for found in tally.findings)
    assert any(tmp_path.rglob("what.txt"))
