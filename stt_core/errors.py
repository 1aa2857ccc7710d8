"""The one error that a user sees for a bad input, and one sentence for each that the system gives."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 600
FULL = "the disk is full; free some space and give the same command again, what is done is kept"
IN_THE_WAY = "a file is where a folder should be; choose another name or move the file away"
FIXES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EACCES: "you have no right to it; change that (chmod) or choose another",
    errno.ENOENT: "it does not exist; check its name",
    errno.EISDIR: "it is a folder, not a file; give a file",
    errno.EEXIST: IN_THE_WAY,
    errno.ENOTDIR: IN_THE_WAY,
}
TRAINING = "lower {step}.batch or {step}.size in the profile, or train on more GPUs"
PROPAGATION = "lower --resize or --num-preceding, or take --stride 8"


class InputError(ValueError):
    """A bad input: one sentence that names the file or field and the fix. A command prints it and exits with 2."""

    def __init__(self, sentence: str) -> None:
        # A process that decodes hands its error on with all of its traceback.
        sentence = sentence.rpartition("InputError: ")[2] if "Original Traceback" in sentence else sentence
        super().__init__(one_line(sentence))


def one_line(text: str) -> str:
    """A text as one line of at most `LONGEST` letters, its middle left out."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 3 :]}"


def in_words(error: OSError) -> str:
    """One sentence with the file and the fix, where it is clear, else in the system's own words."""
    if error.filename is None:
        return one_line(str(error))
    return one_line(f"{error.filename}: {FIXES.get(error.errno or 0) or error.strerror}.")


@contextmanager
def out_of_memory(fix: str) -> Iterator[None]:
    """A block, or a decorated function, in which memory running out is an InputError with this fix."""
    try:
        yield
    except Exception as error:
        import cv2  # both take seconds, and not every program that refuses an input needs them
        import torch

        # On a processor PyTorch's is a RuntimeError like any other, and OpenCV's has a number.
        ran_out = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if ran_out or getattr(error, "code", 0) == cv2.Error.StsNoMem:
            raise InputError(f"memory ran out; {fix}.") from None
        raise
