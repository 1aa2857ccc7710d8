"""What `stt` answers, in this process, and the tables of inputs that it is asked about.

A row has a command with good data that it writes itself, and one way to spoil them, which returns what the sentence
must name. So every row is tried twice: spoiled, by its sentence; and restored, when the same command must go on where
it was.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from stt_study.cli import main

NOBODY = 65534  # a user whom permissions hold, as they don't hold root
LOCK = ".lock"  # left by a command that wrote to the folder, and of no size

Command = Callable[[Path], list]
"""Writes good data into an empty folder -> the arguments of `stt`; results go to `out` beside it."""
Spoil = Callable[[Path], object]
"""Spoils what lies in a folder -> what the sentence must name."""


class Answer(NamedTuple):
    """A command's end; `warned`: what Python would have written to standard error, too."""

    code: int
    output: str
    error: str
    warned: list[str]


class Row(NamedTuple):
    """One bad input: the command, what makes its data bad, and words of the sentence besides what is named.

    Attributes:
        kept: records of sequences that are there when the command ends.
        other_user: the command is given by a user without rights of root's.
    """

    command: Command
    spoil: Spoil
    words: tuple[str, ...]
    kept: tuple[str, ...]
    other_user: bool


def rows(command: Command, *cases: tuple, kept: tuple[str, ...] = (), other_user: bool = False) -> list:
    """Values of a test's parameter `row`, out of (name, spoil, words …) of each."""
    return [pytest.param(Row(command, spoil, words, kept, other_user), id=name) for name, spoil, *words in cases]


class Shell:
    """Runs `stt`, and listens to what libraries write to standard error past Python, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
        self.monkeypatch, self.capfd = monkeypatch, capfd

    def __call__(self, *arguments: object) -> Answer:
        self.monkeypatch.setattr(sys, "argv", ["stt", *map(str, arguments)])
        self.capfd.readouterr()
        code = 0
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                main()
            except SystemExit as stop:
                code = stop.code or 0
        # Those for developers aren't shown.
        shown = [str(w.message) for w in warned if not issubclass(w.category, DeprecationWarning | ResourceWarning)]
        output, error = self.capfd.readouterr()
        # Of a damaged PNG, libpng has a line of its own, which nobody can switch off.
        error = "".join(line for line in error.splitlines(keepends=True) if not line.startswith("libpng "))
        return Answer(code, output, error, shown)


def check(row: Row, folder: Path, stt: Shell) -> None:
    """The row's command on spoiled data, and again on good ones."""
    data, good, out = folder / "data", folder / "good", folder / "out"
    data.mkdir()
    arguments = [*row.command(data), "--out", out]
    shutil.copytree(data, good, symlinks=True)  # with time stamps, by which records know their files
    if row.other_user:
        stt(*arguments[:-1], folder / "first")  # loads what that user may have no right to load
    named = row.spoil(data)
    with nobody(folder, row.other_user):
        answer = stt(*arguments)
    assert_refused(answer, named, *row.words)
    assert not (folder / "ran").exists()  # what hostile files would make
    assert left_behind(out) == []
    before = records(out)
    assert sorted(before) == sorted(row.kept), answer.error
    for path in data.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(data)
    good.rename(data)
    answer = stt(*arguments)
    assert (answer.code, answer.error) == (0, ""), answer
    assert before.items() <= records(out).items()
    if row.kept:
        assert len(records(out)) > len(row.kept)


def assert_refused(answer: Answer, *words: object) -> None:
    """One line on standard error with these words, nothing on standard output, exit code 2."""
    assert answer.code == 2, answer
    assert answer.error.startswith("stt: ")
    assert answer.error.endswith(".\n"), answer.error
    assert answer.error.count("\n") == 1, answer.error
    assert "Traceback" not in answer.error, answer.error
    assert (answer.output, answer.warned) == ("", []), answer
    for word in words:
        assert str(word) in answer.error, f"{word!s} is not in: {answer.error}"


def left_behind(out: Path) -> list[Path]:
    """Files that look like results, and temporary ones."""
    hidden = [path for path in out.rglob(".*") if path.name != LOCK or path.stat().st_size]
    return hidden + [out / name for name in ("results.json", "weights.pth") if (out / name).exists()]


def records(out: Path) -> dict[str, tuple[bytes, int]]:
    """Of every sequence that was measured, its record and when it was written."""
    return {path.stem: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("sequences/*.json")}


@contextmanager
def nobody(folder: Path, other_user: bool = True) -> Iterator[None]:
    """As a user without root's rights, who may write `out` in the folder, while the block runs."""
    if os.geteuid() != 0 or not other_user:
        yield
        return
    closed = {path: path.stat().st_mode for path in (folder, *folder.parents) if not path.stat().st_mode & 0o001}
    for path, mode in closed.items():
        path.chmod(mode | 0o011)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out").chmod(0o777)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for path, mode in closed.items():
            path.chmod(mode)


class Code:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


def spoiled(path: str, change: bytes | Callable[[bytes], bytes]) -> Spoil:
    """Another content, or what `change` makes of the old one."""

    def spoil(data: Path) -> Path:
        content = change if isinstance(change, bytes) else change((data / path).read_bytes())
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(content)
        return data / path

    return spoil


def removed(*paths: str, named: str = "") -> Spoil:
    """The first one, or `named`, is what the sentence names."""

    def spoil(data: Path) -> Path:
        for path in paths:
            if (data / path).is_dir():
                shutil.rmtree(data / path)
            else:
                (data / path).unlink()
        return data / (named or paths[0])

    return spoil


def instead(path: str, make: Callable[[Path], object]) -> Spoil:
    """The file or folder gives way to what `make` makes in its place."""
    return both(removed(path), lambda data: make(data / path), named=path)


def both(*spoils: Spoil, named: str) -> Spoil:
    """One after the other."""

    def spoil(data: Path) -> Path:
        for each in spoils:
            each(data)
        return data / named

    return spoil


def every(pattern: str, change: Callable[[Path], object], named: str = "") -> Spoil:
    """All files that match are changed: which of them is read first is left to chance."""
    return lambda data: [change(path) for path in sorted(data.glob(pattern))] and data / named


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def forbid(path: Path) -> None:
    path.chmod(0)
