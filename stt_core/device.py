"""CUDA or the processor: the one asked for, or what there is."""

import torch

from stt_core.files import InputError


def chosen_device(device: str = "auto") -> str:
    """Of "auto", "cuda" and "cpu": "cuda" or "cpu".

    Raises:
        InputError: another word, or CUDA is asked for where PyTorch finds none.
    """
    if device not in ("auto", "cuda", "cpu"):
        raise InputError(f"there is no device {device!r}; choose auto, cuda or cpu.")
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise InputError(
            "device is cuda, but PyTorch finds no GPU here; choose cpu, or install a driver and a PyTorch built for CUDA."
        )
    return device if device != "auto" else "cuda" if found else "cpu"
