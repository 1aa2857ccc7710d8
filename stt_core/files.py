"""Files written whole or not at all, one writer a folder, and the one error a user sees for a bad input."""

import contextlib
import errno
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

LONGEST = 600
FULL = "the disk is full; free some space and give the same command again, what is done is kept"
FORBIDDEN = "you have no right to it; change that (chmod) or choose another"
MENDS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: "it lies on a file system that can only be read; write to another folder",
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.ENOENT: "it does not exist; check its name",
    errno.EEXIST: "a file is where a folder should be; choose another name or move the file away",
    errno.ENOTDIR: "a file is where a folder should be; choose another name or move the file away",
    errno.EISDIR: "it is a folder, not a file; give a file",
    errno.ELOOP: "its symbolic links lead in a circle; mend them",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.EMFILE: "too many files are open; allow more of them (ulimit -n 4096)",
    errno.EFBIG: "it would be larger than files may be here; raise that limit (ulimit -f) or write elsewhere",
}


class InputError(ValueError):
    """A bad input: one sentence that names the file and the mend. The command line prints it and exits with 2."""

    def __init__(self, sentence: str) -> None:
        # A process that decodes hands its error on with all of its traceback.
        sentence = sentence.rpartition("InputError: ")[2] if "Original Traceback" in sentence else sentence
        super().__init__(one_line(sentence))


def one_line(text: str) -> str:
    """A text as one line of at most `LONGEST` letters, its middle left out: files may have any name."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 3 :]}"


def in_words(error: OSError) -> str:
    """One sentence with the file and, where the kind is known, the mend."""
    name = error.filename if error.filename is not None else error.filename2
    mend = MENDS.get(error.errno)
    if name is None or mend is None:
        return one_line(str(error))
    return one_line(f"{os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else name}: {mend}.")


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
        if error.errno and error.filename in (
            None,
            name,
        ):  # what a user knows: a full disk names nothing, or the temporary file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def clear_unfinished(path: str | Path) -> None:
    """Delete what writers of `path` that were killed have left; nobody may be writing it."""
    path = Path(path)
    for left in path.parent.glob(f".{path.stem}-*{path.suffix}"):
        left.unlink(missing_ok=True)


@contextlib.contextmanager
def only_writer(folder: str | Path, patience: float = 10.0) -> Iterator[None]:
    """Make the folder, and be the only one to write there until the block ends.

    Args:
        patience: s to wait for another. The lock of a killed process is free as soon as its helpers, such as those that
            decode, have noticed, which takes them up to 5 s.

    Raises:
        InputError: another process is at work in it.
    """
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=patience):
            try:
                yield
            finally:
                if made and [entry.name for entry in folder.iterdir()] == [".lock"]:  # an input was refused
                    shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise InputError(f"{folder}: another process is at work there; wait for it to end or choose another.") from None


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def write_tensors(path: str | Path, value: Any) -> None:
    """torch.save, whole or not at all, and the same bytes for the same value whatever the file's name."""
    import torch  # seconds to load, and not every writer of files needs it

    # In memory first: into a file it writes that file's (temporary) name, and a full disk ends in a riddle.
    content = io.BytesIO()
    torch.save(value, content)
    write_bytes(path, content.getbuffer())


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: str | Path) -> dict:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # no UTF-8, no JSON, a number of thousands of digits, a tower of lists
        raise InputError(f"{path} is not valid JSON ({error}): restore it or delete it and run again.") from None
