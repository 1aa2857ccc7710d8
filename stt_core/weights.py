"""Weights on disk: what we write (torchvision's names, with how they were trained) and what we read."""

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor

from stt_core.files import InputError, written_whole
from stt_core.resnet import Encoder

PREFIXES = ("module.encoder_q.", "module.", "encoder_q.", "backbone.")  # MoCo, DataParallel, ours, mm-style
CLASSIFIERS = ("fc.", "head.", "head_q.")


def save_weights(path: str | Path, encoder: Encoder, *, input: str) -> None:
    """Write an encoder's weights, whole or not at all.

    Args:
        input: "lab" or "rgb", the colours the encoder was trained on.
    """
    state = {name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()}
    content = io.BytesIO()  # torch.save writes a file's own, temporary name into it: equal weights would differ
    torch.save({"state_dict": state, "input": input}, content)
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getvalue())


def read_weights(path: str | Path, *, input: str = "rgb") -> tuple[dict[str, Tensor], str]:
    """Read a checkpoint with torchvision's names, plain or under MoCo's `module.encoder_q.` prefix.

    Args:
        input: the colours to assume where the file does not say (only our own files do).

    Returns:
        State of an `Encoder`, and "lab" or "rgb".

    Raises:
        InputError: the file is missing, is not a checkpoint, or holds no ResNet.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file; train them first or give another --weights.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken bytes raise nearly every kind; PyTorch's text is of no help to a user
        raise InputError(
            f"{path} cannot be read as PyTorch weights ({type(error).__name__}); save a state dict with torch.save."
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a state dict; save model.state_dict().")
    state = content.get("state_dict", content)
    named = state.items() if isinstance(state, dict) else ()
    state = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    prefix = next((p for p in PREFIXES if p + "conv1.weight" in state), "")
    state = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    state = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    stem = state.get("conv1.weight")
    if stem is None or stem.ndim != 4 or not len(stem) or "layer1.0.conv1.weight" not in state:
        raise InputError(f"{path} holds no ResNet in torchvision's names (conv1.weight, layer1.0.conv1.weight, …).")
    said = content.get("input")
    return state, said if said in ("lab", "rgb") else input


def load_encoder(path: str | Path, *, strides, pool: str, input: str = "rgb") -> tuple[Encoder, str]:
    """Build the encoder that a weights file describes; depth and width are read off its shapes.

    Returns:
        The encoder in eval mode with the given strides and stem pooling, and its input colours ("lab" or "rgb").

    Raises:
        InputError: see `read_weights`, or the weights leave a part of the encoder unfilled or do not fit it.
    """
    state, colours = read_weights(path, input=input)
    depth = 50 if "layer1.0.conv3.weight" in state else 18
    encoder = Encoder(depth, state["conv1.weight"].shape[0] / 64, strides, pool)
    own = encoder.state_dict()
    # Older files, torchvision's own among them, have no batch counts; they are of no use here.
    missing = sorted(name for name in set(own) - set(state) if not name.endswith("num_batches_tracked"))
    surplus = sorted(set(state) - set(own))
    wrong = sorted(name for name in set(own) & set(state) if own[name].shape != state[name].shape)
    for problem, names in (("lacks", missing), (f"has, beyond a ResNet-{depth},", surplus), ("misfits in", wrong)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(f"{path} {problem} {names[0]}{more}; give weights of a ResNet-18 or ResNet-50.")
    encoder.load_state_dict(state)
    return encoder.eval(), colours


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, shortened to 16 hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
