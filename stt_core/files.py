"""Files are written whole or not at all, and a file that cannot be read ends in a one-line message."""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stt_core.errors import InputError


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block ends well, else delete it.

    A reader never sees half a file, and a killed run leaves the earlier one in place.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept last: writers such as PIL or cv2 choose the format by it.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes it private
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, name):  # a full disk names nothing, or the temporary file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def clear_unfinished(path: str | Path) -> None:
    """Delete temporary files that killed writers of `path` left; no process may be writing it."""
    path = Path(path)
    for left in path.parent.glob(f".{path.stem}-*{path.suffix}"):
        left.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write `content` to `path`, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def write_tensors(path: str | Path, value: Any) -> None:
    """torch.save, whole or not at all, and the same bytes for the same value whatever the file's name."""
    import torch  # seconds to load, and what plans a run needs none of it

    # In memory first: into a file it writes that file's (temporary) name, and a full disk ends in a riddle.
    content = io.BytesIO()
    torch.save(value, content)
    write_bytes(path, content.getbuffer())


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: str | Path) -> dict:
    """Read a JSON file; InputError if it is missing or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except ValueError as error:  # neither JSON nor UTF-8
        raise InputError(f"{path} is not valid JSON ({error}): restore it or delete it and run again.") from None


def listed(path: Path) -> list[str]:
    """Lines of a list file without blank ones; InputError if it is missing, empty or not text."""
    problem, lines = "lists nothing", []
    try:
        # -sig: a mark that some editors put at the start isn't part of a name.
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        problem = "is missing"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    if not lines:
        raise InputError(f"{path} {problem}; it should list the sequences, one a line.")
    return lines
