"""The error that a user sees for a bad input."""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 600
TRAINING = "lower {step}.batch or {step}.size in the profile, or train on more GPUs"


class InputError(ValueError):
    """A bad input: one sentence that names the file or field and the fix. A command prints it and exits with 2."""

    def __init__(self, sentence: str) -> None:
        # A process that decodes hands its error on with all of its traceback.
        sentence = sentence.rpartition("InputError: ")[2] if "Original Traceback" in sentence else sentence
        super().__init__(one_line(sentence))


def one_line(text: str) -> str:
    """A text as one line of at most `LONGEST` letters; of a longer one, the middle is left out."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 3 :]}"


@contextmanager
def out_of_memory(fix: str) -> Iterator[None]:
    """In the block or decorated function, running out of memory raises an InputError with this fix."""
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
