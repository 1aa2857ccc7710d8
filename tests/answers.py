"""What `stt` answers, in this process, and the tables of inputs that it is asked about.

A row has a command with good data that it writes itself, and one way to spoil them, which returns what the sentence must
name. So every row is tried thrice: spoiled; mended, when the same command must go on where it was; and by its sentence.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from stt_study.cli import main

NOBODY = 65534  # a user whom permissions hold, as they don't hold root
LOCK = ".lock"  # left by a command that wrote to the folder, and of no size

Spoil = Callable[[Path], object]
"""Spoils what lies in a folder -> what the sentence must name."""


class Answer(NamedTuple):
    """A command's end; `warned`: what Python would have written to standard error, too."""

    code: int
    output: str
    error: str
    warned: list[str]


@dataclass(frozen=True)
class Row:
    """One bad input.

    Attributes:
        name: what is wrong.
        command: writes good data into an empty folder and returns the arguments of `stt`; results go to `out` there.
        spoil: what makes them bad.
        words: of the sentence, besides what is named: what is wrong, and the mend.
        kept: records of sequences that are there when the command ends.
        other_user: the command is given by a user without rights of root's.
    """

    name: str
    command: Callable[[Path], list]
    spoil: Spoil
    words: tuple[str, ...]
    kept: tuple[str, ...] = ()
    other_user: bool = False


def table(*rows: Row) -> pytest.MarkDecorator:
    """A test's parameter `row`."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


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
        return Answer(code, *self.capfd.readouterr(), shown)


def check(row: Row, folder: Path, stt: Shell) -> None:
    """The row's command on spoiled data, and again on good ones."""
    data, good, out = folder / "data", folder / "good", folder / "out"
    data.mkdir()
    arguments = [*row.command(data), "--out", out]
    shutil.copytree(data, good, symlinks=True)  # with time stamps, by which records know their files
    if row.other_user:
        stt(*arguments[:-1], folder / "first")  # loads what that user may have no right to load
    named = row.spoil(data)
    with nobody(folder) if row.other_user else unchanged():
        answer = stt(*arguments)
    assert_refused(answer, named, *row.words)
    assert not (folder / "ran").exists()  # what hostile files would make
    assert left_behind(out) == []
    before = records(out)
    assert sorted(before) == sorted(row.kept), answer.error
    restore(data, good)
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


def restore(data: Path, good: Path) -> None:
    for path in data.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(data)
    good.rename(data)


@contextmanager
def unchanged() -> Iterator[None]:
    yield


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """As a user without root's rights, who may write `out` in the folder, while the block runs."""
    if os.geteuid() != 0:
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


# Ways to spoil a file, or a folder, of the data


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

    def spoil(data: Path) -> Path:
        removed(path)(data)
        make(data / path)
        return data / path

    return spoil


def forbidden(path: str) -> Spoil:
    def spoil(data: Path) -> Path:
        (data / path).chmod(0)
        return data / path

    return spoil


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def loop(path: Path) -> None:
    path.symlink_to(path.name)
