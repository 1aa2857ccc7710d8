"""What a followed video leaves until its end: tables that grow a frame at a time, and the state to go on from."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from stt_core.errors import InputError
from stt_core.files import written_whole

OBJECT_COLUMNS = ("frame", "time_s", "object", "area_px", "confidence")
POINT_COLUMNS = ("frame", "time_s", "name", "x", "y", "confidence")
NUMBER = re.compile(r"(-?\d+(\.\d+)?(e-?\d+)?)?")  # or empty: the place of a lost point


def begin(path: Path, columns: tuple[str, ...], count: int, each: int) -> None:
    """Begin a table, or leave of an earlier one the rows of the first `count` frames.

    Args:
        each: rows of every frame.

    Raises:
        InputError: the earlier table is missing, or not all of those rows are there and whole.
    """
    frames = (t for t in range(count) for _ in range(each))
    try:
        with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as new:
            rows = csv.writer(new, lineterminator="\n")
            rows.writerow(columns)
            for row in _rows(path, columns) if count else ():
                if int(row[0]) < count:
                    if int(row[0]) != next(frames, None):
                        raise _lacking(path, count)
                    rows.writerow(row)
            if next(frames, None) is not None:
                raise _lacking(path, count)
    except (FileNotFoundError, csv.Error):
        raise _lacking(path, count) from None


def append(path: Path, rows: Iterable[Iterable]) -> None:
    """Add rows to a table."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def by_frame(path: Path) -> Iterator[list[dict[str, str]]]:
    """The rows of one frame after the other; none if there is no table."""
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            for _, rows in itertools.groupby(csv.DictReader(file), key=lambda row: row["frame"]):
                yield list(rows)


def read_state(state: Path, kept: int) -> tuple[int, list[Tensor], str]:
    """Frames done, label maps of the last `kept` of them but frame 0, and the fingerprint of their images.

    Raises:
        InputError: the file is broken.
    """
    try:
        saved = torch.load(state, map_location="cpu", weights_only=True)
        done, known, files = (saved[name] for name in ("frames", "maps", "files"))
        whole = isinstance(done, int) and done > 0 and len(known) == min(done - 1, kept)
        whole = whole and all(torch.isfinite(maps).all() for maps in known)
    except (PermissionError, MemoryError):
        raise
    except Exception:  # broken bytes raise nearly every kind
        whole = False
    if not whole:
        raise broken(state)
    return done, known, files


def broken(state: Path) -> InputError:
    """What to say of a state that can't be gone on from."""
    return InputError(f"{state} is broken; delete it to begin the video anew.")


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """The whole rows of a table: what was killed while it wrote leaves half of one."""
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.reader(line for line in file if line.endswith("\n")):
            if len(row) == len(columns) and re.fullmatch(r"\d{1,9}", row[0]):
                numbers = [cell for cell, column in zip(row, columns, strict=True) if column != "name"]
                if all(map(NUMBER.fullmatch, numbers)):
                    yield row


def _lacking(path: Path, count: int) -> InputError:
    state = path.with_name("state.pt")
    return InputError(f"{path} lacks rows of the {count} frames that are done; delete {state} to begin the video anew.")
