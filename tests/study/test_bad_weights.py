"""Bad weights: every file gets its own sentence, and nothing that one holds is run. See `answers.py`."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from answers import Row, Shell, Spoil, check, forbidden, half, instead, removed, spoiled, table
from safetensors.torch import save_file
from torch import Tensor
from writers import write_davis

from stt_core.encoder import random_encoder


class Code:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


def state() -> dict[str, Tensor]:
    return random_encoder(18, 0.125).state_dict()


def evaluate(data: Path, weights: str) -> list:
    write_davis(data / "davis", frames=3)
    return ["evaluate", "davis", "--data", data / "davis", "--resize", 48, "--width", 0.25, "--weights", weights]


def pth(data: Path) -> list:
    torch.save({"state_dict": state(), "input": "rgb"}, data / "w.pth")
    return evaluate(data, data / "w.pth")


def safetensors(data: Path) -> list:
    save_file(state(), data / "w.safetensors", {"input": "lab"})
    return evaluate(data, data / "w.safetensors")


def timm(data: Path) -> list:
    model = pytest.importorskip("timm").create_model("test_vit")
    torch.save(model.state_dict(), data / "w.pth")
    return evaluate(data, f"timm:test_vit@{data / 'w.pth'}")


def saved(change: Callable[[dict], object], *, old: bool = False) -> Spoil:
    """The file holds the changed state, or what is returned in its place."""

    def spoil(data: Path) -> Path:
        content = dict(torch.load(data / "w.pth", weights_only=True))
        content = dict(content.get("state_dict", content))
        other = change(content)
        content = content if other is None else other
        torch.save(content, data / "w.pth", _use_new_zipfile_serialization=not old)
        return data / "w.pth"

    return spoil


def hostile(write: Callable[[object, Path], object]) -> Spoil:
    """What `answers.check` finds if it was run."""

    def spoil(data: Path) -> Path:
        write({"state_dict": Code(data.parent / "ran")}, data / "w.pth")
        return data / "w.pth"

    return spoil


def filled(name: str, value: float) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        content[name] = torch.full_like(content[name], value)

    return change


def replaced(name: str, make: Callable[[Tensor], Tensor]) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        content[name] = make(content[name])

    return change


def without(name: str) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        del content[name]

    return change


def named(model: str) -> Callable[[dict], dict]:
    """The names of another model; for its shapes, nobody asks."""

    def change(content: dict) -> dict:
        with torch.device("meta"):
            names = torchvision.models.get_model(model, weights=None).state_dict()
        return {name: torch.zeros(1, 1, 1, 1) for name in names}

    return change


def itself(content: dict) -> dict:
    content = {"epoch": 3}
    content["again"] = content
    return content


def header(change: Callable[[dict], object]) -> Spoil:
    """A safetensors file whose header says something else than it should."""

    def rewrite(content: bytes) -> bytes:
        (length,) = struct.unpack("<Q", content[:8])
        entries = json.loads(content[8 : 8 + length])
        change(entries)
        text = json.dumps(entries).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + length :]

    return spoiled("w.safetensors", rewrite)


def lying(field: str, value: object) -> Callable[[dict], None]:
    def change(entries: dict) -> None:
        entries["conv1.weight"][field] = value

    return change


MEND, SAFE = "save a state dict with torch.save or as .safetensors", "where you trust it"
RESNET = "give the weights of a ResNet-18 or ResNet-50"
LARGE = "layer2.0.conv1.weight"

ROWS = (
    Row("none", pth, removed("w.pth"), ("no such weights file", "give another --weights")),
    Row("a folder", pth, instead("w.pth", Path.mkdir), ("no such weights file", "give another --weights")),
    Row("empty", pth, spoiled("w.pth", b""), ("cannot be read as weights", MEND)),
    Row("cut off", pth, spoiled("w.pth", half), ("cannot be read as weights", MEND)),
    Row("text", pth, spoiled("w.pth", b"no weights\n"), ("cannot be read as weights", MEND)),
    Row("an odd pickle", pth, spoiled("w.pth", pickle.dumps([1], protocol=5)), ("cannot be read as weights", MEND)),
    Row("nobody may read it", pth, forbidden("w.pth"), ("no right", "chmod"), other_user=True),
    Row("hostile", pth, hostile(torch.save), (f"holds {os.mkdir.__module__}.mkdir", SAFE)),
    Row(
        "hostile, of old",
        pth,
        hostile(lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False)),
        ("cannot be read as weights", MEND),
    ),
    Row(
        "hostile, a bare pickle",
        pth,
        hostile(lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))),
        ("cannot be read as weights", MEND),
    ),
    Row("NaN", pth, saved(filled(LARGE, float("nan"))), (f"NaN, infinite or impossible values in {LARGE}", "diverged")),
    Row("infinite", pth, saved(filled("bn1.bias", float("inf"))), ("values in bn1.bias", "give other weights")),
    Row("too large", pth, saved(replaced("bn1.bias", lambda v: v.double() + 1e300)), ("values in bn1.bias",)),
    Row("negative variance", pth, saved(filled("bn1.running_var", -1.0)), ("values in bn1.running_var", "damaged")),
    Row("sparse", pth, saved(replaced(LARGE, Tensor.to_sparse)), (LARGE, "not plain", "on the CPU")),
    Row("integers", pth, saved(replaced(LARGE, Tensor.int)), (f"{LARGE} in torch.int32", "floating-point")),
    Row("without values", pth, saved(replaced(LARGE, lambda v: v.to("meta"))), (LARGE, "not plain")),
    Row("other architecture", pth, saved(named("vit_b_16")), ("holds no ResNet", RESNET)),
    Row(
        "ResNet-34", pth, saved(named("resnet34")), ("a ResNet of (3, 4, 6, 3) basic blocks", "ResNet-18, (2, 2, 2, 2)")
    ),
    Row("ResNet-101", pth, saved(named("resnet101")), ("a ResNet of (3, 4, 23, 3) bottlenecks", "ResNet-50, (3, 4")),
    Row("no tensors", pth, saved(lambda content: {}), ("holds no ResNet", RESNET)),
    Row("a list", pth, saved(lambda content: [content]), ("holds a list, not a state dict", "model.state_dict()")),
    Row("a dict that holds itself", pth, saved(itself), ("holds no ResNet", RESNET)),
    Row(
        "a part is missing",
        pth,
        saved(without("layer3.0.bn1.bias")),
        ("lacks layer3.0.bn1",),
    ),
    Row("of no size", pth, saved(replaced("conv1.weight", lambda v: v[:0])), ("holds no ResNet", RESNET)),
    Row("no channel", pth, saved(replaced(LARGE, lambda v: v[:, :0])), (f"misfits in {LARGE}", "ResNet-18")),
    Row(
        "of no end",
        pth,
        saved(replaced("conv1.weight", lambda v: v[:1].expand(2**40, -1, -1, -1))),
        (f"{2**40:g} channels in conv1.weight", "not 64"),
    ),
    Row("safetensors: empty", safetensors, spoiled("w.safetensors", b""), ("cannot be read as weights", MEND)),
    Row("safetensors: cut off", safetensors, spoiled("w.safetensors", half), ("cannot be read as weights", MEND)),
    Row(
        "safetensors: header of no end",
        safetensors,
        spoiled("w.safetensors", lambda content: struct.pack("<Q", 2**60) + content[8:]),
        ("cannot be read as weights", MEND),
    ),
    Row(
        "safetensors: shape", safetensors, header(lying("shape", [2**40, 3, 7, 7])), ("cannot be read as weights", MEND)
    ),
    Row("safetensors: offsets", safetensors, header(lying("data_offsets", [0, 2**50])), ("cannot be read as weights",)),
    Row("safetensors: kind", safetensors, header(lying("dtype", "F99")), ("cannot be read as weights", MEND)),
    Row("safetensors: no tensors", safetensors, header(dict.clear), ("cannot be read as weights", MEND)),
    Row("timm: none", timm, removed("w.pth"), ("no such weights file", "timm:test_vit@FILE")),
    Row("timm: cut off", timm, spoiled("w.pth", half), ("cannot be read as weights", MEND)),
    Row("timm: hostile", timm, hostile(torch.save), (f"holds {os.mkdir.__module__}.mkdir", SAFE)),
    Row("timm: NaN", timm, saved(filled("norm.bias", float("nan"))), ("values in norm.bias", "give other weights")),
    Row("timm: nobody may read it", timm, forbidden("w.pth"), ("no right", "chmod"), other_user=True),
)


@table(*ROWS)
def test_bad_weights(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    check(row, tmp_path, Shell(monkeypatch, capfd))


def test_earlier_releases_of_timm_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Those load a file with whatever it holds; they must not get to see it."""
    builder = pytest.importorskip("timm.models._builder")
    monkeypatch.setattr(builder, "load_state_dict", partial(torch.load, weights_only=False))
    row = next(row for row in ROWS if row.name == "timm: hostile")
    check(row, tmp_path, Shell(monkeypatch, capfd))
