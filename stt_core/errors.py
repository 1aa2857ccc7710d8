"""The one error that a user sees for a bad input, and one sentence for each that the system gives."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

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


TRAINING = "lower {step}.batch or {step}.size in the profile, let activations be computed again (--recompute), or train on more GPUs"


PROPAGATION = "lower --resize or --num-preceding, or take --stride 8"


@contextmanager
def out_of_memory(mend: str) -> Iterator[None]:
    """A block, or a decorated function, in which memory running out is an InputError with this mend.

    It can't see the system's own end of a process that took too much (Linux's OOM killer).
    """
    try:
        yield
    except Exception as error:
        if not _ran_out(error):
            raise
        raise InputError(f"memory ran out; {mend}.") from None


def _ran_out(error: Exception) -> bool:
    import cv2  # both take seconds, and not every program that refuses an input needs them
    import torch

    # On a processor PyTorch's is a RuntimeError like any other, and OpenCV's has a number.
    kinds = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return kinds or "can't allocate memory" in str(error) or getattr(error, "code", 0) == cv2.Error.StsNoMem
