"""What a weights file holds, read without running anything in it."""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from stt_core.files import InputError

# What old tools leave beside the tensors (NumPy scalars, parsed arguments): plain values, which run nothing when loaded.
HARMLESS = [
    argparse.Namespace,
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdUS"},
    *(
        (function, f"{package}.multiarray.{function.__name__}")
        for function in (np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0])
        for package in ("numpy.core", "numpy._core")  # before and after NumPy 2
    ),
]


def read_checkpoint(path: str | Path) -> Any:
    """What torch.save wrote; of a `.safetensors` a dict of its tensors, with `input` out of its metadata.

    Raises:
        InputError: there is no such file, or it can't be read, or only by running what it holds.
        OSError: the disk won't give it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file; train them first or give another --weights.")
    path.open("rb").close()  # whether we may read it: other libraries' words for that are of no help
    try:
        if path.suffix.lower() == ".safetensors":
            with safe_open(path, framework="pt") as file:
                said = (file.metadata() or {}).get("input")
                return {"input": said} | {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings(action="ignore"):  # of odd pickles
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception:  # broken bytes raise nearly every kind, with texts that are of no help to a user
        if objects := _objects(path):
            raise InputError(
                f"{path} cannot be read safely, since it holds {objects} beside its tensors; where you trust it, load it "
                "once with weights_only=False and save its state dict alone with torch.save."
            ) from None
        raise InputError(
            f"{path} cannot be read as weights, since it is cut off, damaged or of another kind; save a state dict with "
            "torch.save or as .safetensors."
        ) from None


def _objects(path: Path) -> str:
    """The kinds of Python objects for which a checkpoint is refused; "" if it isn't for that or they can't be told."""
    try:
        with torch.serialization.safe_globals(HARMLESS):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # not a zip file, or a broken one
        return ""
    return ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
