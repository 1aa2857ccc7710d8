"""Bad weights: every file gets its own sentence, and nothing that one holds is run. See `answers.py`."""

import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from answers import Code, Row, Shell, Spoil, check, every, forbid, half, removed, rows, spoiled
from safetensors.torch import save_file
from writers import write_davis

from stt_core.encoder import random_encoder


def evaluate(data: Path, weights: str) -> list:
    write_davis(data / "davis", frames=3)
    return ["evaluate", "davis", "--data", data / "davis", "--resize", 48, "--width", 0.25, "--weights", weights]


def pth(data: Path) -> list:
    torch.save({"state_dict": random_encoder(18, 0.125).state_dict(), "input": "rgb"}, data / "w.pth")
    return evaluate(data, data / "w.pth")


def safetensors(data: Path) -> list:
    save_file(random_encoder(18, 0.125).state_dict(), data / "w.safetensors", {"input": "lab"})
    return evaluate(data, data / "w.safetensors")


def timm(data: Path) -> list:
    model = pytest.importorskip("timm").create_model("test_vit")
    torch.save(model.state_dict(), data / "w.pth")
    return evaluate(data, f"timm:test_vit@{data / 'w.pth'}")


def saved(change: Callable[[dict], object]) -> Spoil:
    """The file holds what is made of its state."""

    def spoil(data: Path) -> Path:
        content = dict(torch.load(data / "w.pth", weights_only=True))
        torch.save(change(dict(content.get("state_dict", content))), data / "w.pth")
        return data / "w.pth"

    return spoil


def filled(name: str, value: float) -> Spoil:
    return saved(lambda content: content | {name: torch.full_like(content[name], value)})


def hostile(write: Callable[[object, Path], object]) -> Spoil:
    """What `answers.check` finds if it was run."""

    def spoil(data: Path) -> Path:
        write({"state_dict": Code(data.parent / "ran")}, data / "w.pth")
        return data / "w.pth"

    return spoil


def named(model: str) -> Spoil:
    """The names of another model; for its shapes, nobody asks."""
    with torch.device("meta"):
        names = torchvision.models.get_model(model, weights=None).state_dict()
    return saved(lambda content: {name: torch.zeros(1, 1, 1, 1) for name in names})


UNREADABLE = ("cannot be read as weights", "save a state dict with torch.save or as .safetensors")
UNSAFE = (f"holds {os.mkdir.__module__}.mkdir", "where you trust it")
NO_RESNET = ("holds no ResNet", "give the weights of a ResNet-18 or ResNet-50")
LARGE = "layer2.0.conv1.weight"

old_format = partial(torch.save, _use_new_zipfile_serialization=False)

ROWS = [
    *rows(
        pth,
        ("none", removed("w.pth"), "no such weights file", "full, step_one, step_two"),
        ("empty", spoiled("w.pth", b""), *UNREADABLE),
        ("cut off", spoiled("w.pth", half), *UNREADABLE),
        ("hostile", hostile(torch.save), *UNSAFE),
        ("hostile, of old", hostile(old_format), *UNREADABLE),
        ("hostile, a bare pickle", hostile(lambda c, path: path.write_bytes(pickle.dumps(c, 2))), *UNREADABLE),
        ("NaN", filled(LARGE, float("nan")), f"NaN, infinite or impossible values in {LARGE}", "diverged"),
        ("infinite", filled("bn1.bias", float("inf")), "values in bn1.bias", "give other weights"),
        ("negative variance", filled("bn1.running_var", -1.0), "values in bn1.running_var", "damaged"),
        ("other architecture", named("vit_b_16"), *NO_RESNET),
        ("ResNet-34", named("resnet34"), "a ResNet of (3, 4, 6, 3) basic blocks", "ResNet-18, (2, 2, 2, 2)"),
        ("a list", saved(lambda content: [content]), "holds a list, not a state dict", "model.state_dict()"),
        ("a part is missing", saved(lambda c: {n: c[n] for n in c if n != "layer3.0.bn1.bias"}), "lacks layer3.0.bn1"),
    ),
    *rows(safetensors, ("safetensors: cut off", spoiled("w.safetensors", half), *UNREADABLE)),
    *rows(
        timm,
        ("timm: none", removed("w.pth"), "no such weights file", "timm:test_vit@FILE"),
        ("timm: cut off", spoiled("w.pth", half), *UNREADABLE),
        ("timm: hostile", hostile(torch.save), *UNSAFE),
        ("timm: NaN", filled("norm.bias", float("nan")), "values in norm.bias", "give other weights"),
    ),
    *rows(pth, ("nobody may read it", every("w.pth", forbid, "w.pth"), "permission denied", "chmod"), other_user=True),
]


@pytest.mark.parametrize("row", ROWS)
def test_bad_weights(row: Row, tmp_path: Path, shell: Shell) -> None:
    check(row, tmp_path, shell)
