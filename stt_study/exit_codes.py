"""How a command ends: well, or with one sentence on standard error and an exit code that says whose fault it was."""

import errno
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from stt_core.errors import InputError, one_line
from stt_core.signals import Stopped, stopped_by_signals

OURS, THEIRS = 1, 2
DEBUG = "--debug"
FULL = "the disk is full; free some space and give the same command again, what is done is kept"
FIXES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EACCES: "permission denied; change that (chmod) or choose another",
}


@contextmanager
def one_sentence(name: str = "", *, debug: bool = False) -> Iterator[None]:
    """Run a command's block; what it raises becomes a sentence and an exit code, unless `debug` lets it through.

    2: the input's (or machine's) fault, with the fix. 1: this code's defect. 128 and the signal's number: stopped.
    """
    begin = f"{name}: " if name else ""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that it can't show is shown by its number
    try:
        with stopped_by_signals():
            yield
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        sentence, code = _ending(error)
        if code < 128 or os.environ.get("RANK", "0") == "0":  # of processes that stop together, one says so
            print(f"{begin}{sentence}", file=sys.stderr)
        for helper in multiprocessing.active_children():  # that decode; some pass over what would end them
            helper.kill()
        sys.exit(code)


def _ending(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KeyboardInterrupt):
        stopped = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
        return f"{stopped}; the same command goes on from there.", stopped.code
    if isinstance(error, InputError | OSError):
        return in_words(error) if isinstance(error, OSError) else str(error), THEIRS
    what = one_line(f"{type(error).__name__}: {error}")
    return f"this is a defect of the program, not of its input: {what} ({DEBUG} shows where; please report it).", OURS


def in_words(error: OSError) -> str:
    """One sentence with the file and the fix, where it is clear, else in the system's own words."""
    if error.filename is None:
        return one_line(str(error))
    return one_line(f"{error.filename}: {FIXES.get(error.errno or 0) or error.strerror}.")
