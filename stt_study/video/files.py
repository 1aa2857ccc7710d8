"""What a followed video leaves until its end: tables that grow a frame at a time, and the state to go on from."""

import csv
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from stt_core.errors import InputError
from stt_core.files import written_whole

OBJECT_COLUMNS = ("frame", "time_s", "object", "area_px", "confidence")
POINT_COLUMNS = ("frame", "time_s", "name", "x", "y", "confidence")


def begin(path: Path, columns: tuple[str, ...], count: int, each: int) -> None:
    """Begin a table, or leave of an earlier one the rows of the first `count` frames.

    Args:
        each: rows of every frame.

    Raises:
        InputError: the earlier table is missing, or not all of those rows are there and whole.
    """
    header, whole = ",".join(columns) + "\n", True
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as new:
        new.write(header)
        try:
            with open(path if count else os.devnull, newline="", encoding="utf-8") as old:
                whole = next(old, "") == header or not count
                for t in range(count):
                    rows = list(itertools.islice(old, each))
                    whole = whole and len(rows) == each and all(r.startswith(f"{t},") and r[-1] == "\n" for r in rows)
                    new.writelines(rows)
        except (FileNotFoundError, UnicodeDecodeError):
            whole = False
        if not whole:
            state, done = path.with_name("state.pt"), f"the {count} frames that are done"
            raise InputError(f"{path} lacks rows of {done}; delete {state} to begin the video anew.")


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
