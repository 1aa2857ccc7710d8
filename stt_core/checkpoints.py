"""Weights files: reading them without running code in them, and finding an encoder in them."""

import argparse
import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from stt_core.encoder import INFERENCE, LAYOUTS, Encoder
from stt_core.errors import InputError
from stt_core.files import write_bytes, write_tensors

SHIPPED = Path(__file__).with_name("weights")  # a link to results/weights, so that a wheel holds them, too
PATHS = ("Posix", "PurePosix", "Windows", "PureWindows")
# What tools leave beside the tensors (NumPy scalars, arguments, paths): plain values, which run nothing if loaded.
HARMLESS: list[Any] = [argparse.Namespace, np.ndarray, np.dtype]
HARMLESS += {type(np.dtype(code)) for code in "?bBhHiIlLqQefdUS"}
REBUILDERS: list[Any] = [np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]]
HARMLESS += [(PurePath, f"{module}.{kind}Path") for module in ("pathlib", "pathlib._local") for kind in PATHS]
HARMLESS += [list, dict, set, int, float, str, (lambda make=None: {}, "collections.defaultdict")]  # and what it makes
for package in ("numpy._core", "numpy.core"):  # since NumPy 2, and before
    HARMLESS += [(function, f"{package}.multiarray.{function.__name__}") for function in REBUILDERS]


def read_checkpoint(path: str | Path) -> Any:
    """Read what torch.save wrote, or of a `.safetensors` a dict of its tensors with the `input` of its metadata.

    InputError if there is no such file, or it can't be read, or only by running what it holds.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such weights file; give a path, or shipped weights by name ({', '.join(shipped())})."
        )
    with path.open("rb") as file:  # whether we may read it: other libraries' words for that are of no help
        begin = file.read(100)
    if begin.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a pointer of Git LFS in place of the weights; get them by git lfs pull.")
    if re.match(rb"\s*<(!doctype|html|\?xml)", begin, re.IGNORECASE):
        raise InputError(f"{path} is a web page in place of the weights; download the file that the page is about.")
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
        refused: list[str] = []
        with suppress(Exception), torch.serialization.safe_globals(HARMLESS):  # not a zip file, or a broken one
            refused = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        if refused:
            fix = "where you trust it, load it with weights_only=False and save its state dict alone with torch.save"
            raise InputError(f"{path} is not safe to read: it holds {refused[0]} beside its tensors; {fix}.") from None
        fix = "save a state dict with torch.save or as .safetensors"
        raise InputError(f"{path} cannot be read as weights: it is cut off, damaged or another kind; {fix}.") from None


# Naming -> two tensors of any ResNet, and what turns the names after the prefix into torchvision's.
NAMINGS = {
    "torchvision": (("conv1.weight", "layer1.0.conv1.weight"), {}),
    "mmcv": (
        ("conv1.conv.weight", "layer1.0.conv1.conv.weight"),
        {
            r"\bconv(\d)\.conv\.": r"conv\1.",
            r"\bconv(\d)\.bn\.": r"bn\1.",
            r"\bdownsample\.conv\.": "downsample.0.",
            r"\bdownsample\.bn\.": "downsample.1.",
        },
    ),
}

PART = re.compile(r"(conv1|bn1|layer[1-4])\.")  # what belongs to an encoder, in torchvision's names
WRAPPERS = ("module", "_orig_mod")  # of parallel and of compiled models
COUNTS = "num_batches_tracked"
PREFERRED = ("encoder_q", "backbone", "teacher_backbone", "teacher")  # of several networks in a file


@dataclass(frozen=True)
class Weights:
    """The weights of an encoder that were found in a file."""

    path: Path
    state: dict[str, Tensor]  #: all that an `Encoder` has, in torchvision's names; batch counts may lack
    depth: int
    width: float
    input: str  #: "lab" or "rgb", the colours it was trained on
    assumed: bool  #: the colours, since the file does not say
    naming: str  #: one of `NAMINGS`
    prefix: str  #: dotted, before those names; "" for none
    left: tuple[str, ...]  #: names of the file's other tensors

    @property
    def note(self) -> str:
        """A line on what was matched and what was left, such as "w.pth: torchvision names, 120 tensors matched, …"."""
        where = f" after {self.prefix}" if self.prefix else ""
        where += "" if self.state["layer4.0.conv1.weight"].any() else ", layer4 empty"
        colours = f"{self.input} input{' assumed' if self.assumed else ''}"
        more = f" and {len(self.left) - 4} more" if len(self.left) > 4 else ""
        left = f"; left: {', '.join(self.left[:4])}{more}" if self.left else ""
        return f"{self.path.name}: {self.naming} names{where}, {len(self.state)} tensors matched, {colours}{left}"

    def encoder(self, strides: Sequence[int], pool: str) -> Encoder:
        """The encoder in eval mode, with these strides and stem pooling."""
        encoder = Encoder(self.depth, self.width, strides, pool)
        encoder.load_state_dict(self.state)
        return encoder.eval()


def shipped() -> dict[str, Path]:
    """Name -> file of the weights that come with the package; `results/weights/README.md` is their model card."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.safetensors"))}


def pretrained(name: str = "full", *, stride: int = 8) -> Encoder:
    """An encoder with the weights that come with the package, in eval mode, for CIE Lab images (`color.rgb_to_lab`).

    Args:
        name: "full" (the method), "step_two" (without step one) or "step_one"; see `results/weights/README.md`.
        stride: 8 or 4, of res4, with the strides of paper section 3.

    Example:
        >>> pretrained("full")(torch.rand(1, 3, 64, 128))["res4"].shape
        torch.Size([1, 128, 8, 16])

    Raises:
        InputError: no weights of this name come with the package.
    """
    return open_weights(name).encoder(*INFERENCE[stride])


def save_weights(path: str | Path, encoder: Encoder, *, input: str) -> None:
    """Write an encoder's weights, whole or not at all; as safetensors where the path ends in `.safetensors`.

    `input` is "lab" or "rgb", the colours the encoder was trained on.
    """
    state = {name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()}
    if Path(path).suffix == ".safetensors":
        state = {name: value.contiguous() for name, value in state.items()}
        write_bytes(path, safetensors_bytes(state, {"input": input}))
    else:
        write_tensors(path, {"state_dict": state, "input": input})


def open_weights(path: str | Path, *, input: str = "rgb", whole: bool = True) -> Weights:
    """Find a ResNet-18 or -50 of any width in a checkpoint, `.safetensors` or what torch.save wrote.

    It may lie at any level (`state_dict`, `teacher`, …) and after any prefix, in torchvision's names (MoCo, DetCo,
    DINO, ours) or in mmcv's (the released checkpoints). Of several networks that with the shortest prefix is taken, of
    equally short ones encoder_q, backbone, teacher first; all else is left.

    Args:
        path: of the file, or a name of the weights that come with the package (see `pretrained`).
        input: the colours to assume where the file does not say: ours do, and safetensors whose metadata has `input`.
        whole: refuse a ResNet without layer4, since res5 will be asked for.

    Example:
        >>> save_weights(folder / "small.pth", Encoder(18, 0.25), input="lab")
        >>> weights: Weights = open_weights(folder / "small.pth")
        >>> weights.note
        'small.pth: torchvision names after state_dict, 120 tensors matched, lab input'
        >>> encoder = weights.encoder(strides=(1, 2, 2, 2), pool="max")

    Raises:
        InputError: the file is missing, no checkpoint, or holds no ResNet of finite values that an `Encoder` matches.
    """
    path = shipped().get(str(path), Path(path))
    content = read_checkpoint(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a state dict; save model.state_dict().")
    tensors = dict(_tensors(content))
    prefix, naming = _place(path, tensors)
    found = {}  # torchvision's name -> the file's
    for name in tensors:
        ours = name.removeprefix(prefix)
        for pattern, replacement in NAMINGS[naming][1].items():
            ours = re.sub(pattern, replacement, ours)
        if name.startswith(prefix) and PART.match(ours):
            found[ours] = name
    state = {ours: tensors[theirs] for ours, theirs in found.items()}
    depth, width = _checked(path, state, found, whole)
    said = str(content.get("input"))  # other tools may keep anything there
    assumed = said not in ("lab", "rgb")
    left = tuple(name for name in tensors if name not in set(found.values()))
    return Weights(path, state, depth, width, input if assumed else said, assumed, naming, prefix.rstrip("."), left)


def load_encoder(path: str | Path, *, strides: Sequence[int], pool: str) -> tuple[Encoder, str]:
    """The encoder of a file in eval mode, with these strides and stem pooling, and its colours; see `open_weights`."""
    weights = open_weights(path)
    return weights.encoder(strides, pool), weights.input


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, shortened to 16 hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def _tensors(content: dict, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """(Dotted name, tensor) of every tensor in nested dicts."""
    for key, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value
        elif isinstance(value, dict):
            yield from _tensors(value, f"{prefix}{key}.")


def _place(path: Path, tensors: dict[str, Tensor]) -> tuple[str, str]:
    """Choose an encoder: its prefix, with the last dot, and its naming."""
    stems = {name for name, tensor in tensors.items() if tensor.ndim == 4 and len(tensor)}
    places = []
    for naming, ((stem, block), _) in NAMINGS.items():
        prefixes = [name.removesuffix(block) for name in tensors if f".{name}".endswith(f".{block}")]
        places += [(prefix, naming) for prefix in prefixes if prefix + stem in stems]
    if not places:
        names = "names of torchvision (conv1.weight, layer1.0.conv1.weight, …) or mmcv"
        raise InputError(f"{path} holds no ResNet in {names}; give the weights of a ResNet-18 or ResNet-50.")

    def rank(place: tuple[str, str]) -> tuple:
        parts = [part for part in place[0].split(".") if part and part not in WRAPPERS]
        return len(parts), *(word not in parts for word in PREFERRED)

    return min(places, key=rank)


def _checked(path: Path, state: dict[str, Tensor], names: dict[str, str], whole: bool) -> tuple[int, float]:
    """Check a state in torchvision's names, `names` being the file's; return depth and width of its encoder."""
    kind, depth = ("bottlenecks", 50) if "layer1.0.conv3.weight" in state else ("basic blocks", 18)
    stages = [{name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")} for stage in (1, 2, 3, 4)]
    blocks = tuple(map(len, stages))
    layout = LAYOUTS[depth][1]
    if blocks != layout and (whole or blocks != (*layout[:3], 0)):
        fitting = "ResNet-18, (2, 2, 2, 2) basic blocks, or ResNet-50, (3, 4, 6, 3) bottlenecks"
        raise InputError(f"{path} holds a ResNet of {blocks} {kind}; give weights of a {fitting}.")
    width = len(state["conv1.weight"]) / 64
    with torch.device("meta"):
        own = Encoder(depth, width).state_dict()
    if not blocks[3]:  # left out where only res4 is used, as here
        state |= {name: torch.zeros_like(own[name], device="cpu") for name in own if name.startswith("layer4.")}
    # Older files, torchvision's own among them, have no batch counts; they are of no use here.
    missing = [name for name in own if name not in state and not name.endswith(COUNTS)]
    surplus = [names[name] for name in state if name not in own]
    wrong = [names[name] for name in state if name in own and own[name].shape != state[name].shape]
    for problem, listed in (("lacks", missing), (f"has, beyond a ResNet-{depth},", surplus), ("misfits in", wrong)):
        if listed:
            more = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
            raise InputError(f"{path} {problem} {listed[0]}{more}; give weights of a ResNet-18 or ResNet-50.")
    for name, value in state.items():
        if name.endswith(COUNTS):
            continue
        if not value.is_floating_point():
            raise InputError(f"{path} has {names[name]} in {value.dtype}; give floating-point numbers.")
        numbers = value.float()  # as an encoder holds them
        if not torch.isfinite(numbers).all() or (name.endswith("running_var") and (numbers < 0).any()):
            found = f"NaN, infinite or impossible values in {names[name]}"
            raise InputError(f"{path} has {found}: its training diverged or it is damaged; give other weights.")
    return depth, width
