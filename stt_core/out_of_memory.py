"""What to lower when memory runs out, said in place of what the allocators say."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch

from stt_core.files import InputError

TRAINING = "lower {step}.batch or {step}.size in the profile, let activations be computed again (--recompute), or train on more GPUs"
PROPAGATION = "lower --resize or --num-preceding, or take --stride 8"


@contextmanager
def out_of_memory(mend: str) -> Iterator[None]:
    """A block, or a decorated function, in which memory running out is an InputError with this mend.

    It can't see the system's own end of a process that took too much (Linux's OOM killer).
    """
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not _ran_out(error):
            raise
        raise InputError(f"memory ran out; {mend}.") from None


def _ran_out(error: Exception) -> bool:
    # On a processor PyTorch's is a RuntimeError like any other, and OpenCV's has a number.
    kinds = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return kinds or "can't allocate memory" in str(error) or getattr(error, "code", 0) == cv2.Error.StsNoMem
