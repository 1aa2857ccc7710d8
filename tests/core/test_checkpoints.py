"""Weights files: what is read of them, and what is refused.

`test_features.py` has that every naming gives the features of the model it came from, `test_bad_weights.py` bad files.
"""

import argparse
import pickle
from collections import defaultdict
from pathlib import Path, PosixPath, PurePath, PureWindowsPath

import numpy as np
import pytest
import torch
import torchvision

from stt_core.checkpoints import file_hash, load_encoder, open_weights, read_checkpoint, save_weights
from stt_core.encoder import STANDARD, Encoder, random_encoder
from stt_core.errors import InputError

LAYOUT = {"strides": STANDARD[0], "pool": STANDARD[1]}


def small_state() -> dict[str, torch.Tensor]:
    return dict(random_encoder(18, 0.125).state_dict())


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refusal(path: Path) -> str:
    """The message for a bad file: it must name the file and be one line."""
    with pytest.raises(InputError) as caught:
        load_encoder(path, **LAYOUT)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("depth", "width"), [(18, 0.125), (50, 0.125), (18, 13 / 64)])
@pytest.mark.parametrize("colours", ["lab", "rgb"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_round_trip(tmp_path: Path, depth: int, width: float, colours: str, name: str) -> None:
    encoder = Encoder(depth, width)
    encoder(torch.randn(2, 3, 32, 32), ("res5",))  # moves the batch statistics
    encoder = encoder.to(memory_format=torch.channels_last)
    save_weights(tmp_path / "new" / name, encoder, input=colours)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    read, input = load_encoder(tmp_path / "new" / name, **LAYOUT)
    assert input == colours  # what the file says wins
    assert not read.training
    assert read.state_dict().keys() == encoder.state_dict().keys()
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in encoder.state_dict().items())


def test_others_can_read_ours(tmp_path: Path) -> None:
    encoder = random_encoder(18, 1.0)
    save_weights(tmp_path / "w.pth", encoder, input="lab")
    model = torchvision.models.resnet18(weights=None)
    state = torch.load(tmp_path / "w.pth", weights_only=True)["state_dict"]
    kept = model.load_state_dict(state, strict=False)
    assert (set(kept.missing_keys), kept.unexpected_keys) == ({"fc.weight", "fc.bias"}, [])
    assert torch.equal(model.layer4[1].conv2.weight, encoder.layer4[1].conv2.weight)


def places(prefixes: list[str]) -> dict[str, torch.Tensor]:
    """One network after each prefix; the first tensor of the i-th is filled with i."""
    content = {}
    for i, prefix in enumerate(prefixes):
        content |= {prefix + name: value for name, value in small_state().items()}
        content[prefix + "conv1.weight"] = torch.full((8, 3, 7, 7), float(i))
    return content


@pytest.mark.parametrize(
    ("chosen", "others"),
    [
        ("encoder_q.", ["encoder_k."]),
        ("backbone.", ["backbone_momentum.", "teacher."]),
        ("backbone.", ["teacher.backbone."]),
        ("teacher.backbone.", ["student.module.backbone."]),
        ("teacher_backbone.", ["student_backbone."]),
        ("module.backbone.", ["momentum."]),  # a wrapper makes nothing deeper
        ("", ["ema."]),
        ("one.", ["two."]),  # nothing to prefer: the first in the file
    ],
)
def test_of_several_networks(tmp_path: Path, chosen: str, others: list[str]) -> None:
    orders = [[chosen, *others]] if chosen == "one." else [[chosen, *others], [*others, chosen]]
    for order in orders:
        weights = open_weights(saved(tmp_path / "w.pth", {"state_dict": places(order)}))
        assert weights.prefix == ("state_dict." + chosen).rstrip(".")
        assert (weights.state["conv1.weight"] == order.index(chosen)).all()
        rest = {"state_dict." + prefix + name for prefix in others for name in small_state()}
        assert set(weights.left) == rest


def test_a_preferred_network_with_a_gap_is_not_passed_over(tmp_path: Path) -> None:
    content = places(["encoder_k.", "encoder_q."])
    del content["encoder_q.layer4.1.bn2.bias"]
    assert "lacks layer4.1.bn2.bias" in refusal(saved(tmp_path / "w.pth", content))


def test_note(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    state = torchvision.models.resnet18(weights=None).state_dict()
    colours = "rgb input assumed"
    note = open_weights(saved(path, state)).note
    assert note == f"resnet18.pth: torchvision names, 120 tensors matched, {colours}; left: fc.weight, fc.bias"
    content = {"model": {"net." + name: value for name, value in small_state().items()}}
    content["model"] |= {"net.fc.weight": torch.zeros(1), "queue": torch.zeros(1)}
    content |= {"optimizer": {"state": {0: {"step": torch.zeros(1)}}}, "epoch": 3, "input": "lab"}
    note = open_weights(saved(path, content), input="rgb").note
    assert note.endswith(
        "names after model.net, 120 tensors matched, lab input; "
        "left: model.net.fc.weight, model.queue, optimizer.state.0.step"
    )
    many = {f"head{i}.bias": torch.zeros(1) for i in range(20)}
    assert open_weights(saved(path, small_state() | many)).note.endswith("head3.bias and 16 more")


def old_tools(state: dict[str, torch.Tensor]) -> dict:
    """What training tools leave in a checkpoint beside tensors."""
    options = argparse.Namespace(lr=0.1, arch="resnet18", size=(1, 2), scale=np.float32(2.5))
    meta = {"epoch": np.int64(3), "lr": [np.float64(0.1)], "classes": np.array(["cat", "dog"]), "flag": np.bool_(True)}
    return {"state_dict": state, "args": options, "meta": meta, "losses": np.arange(6, dtype=np.float32).reshape(2, 3)}


def test_plain_values_of_old_tools_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", old_tools(small_state()))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    state = open_weights(path).state
    assert all(torch.equal(value, state[name]) for name, value in small_state().items())
    with pytest.raises(pickle.UnpicklingError):  # the allowance ends with the reading
        torch.load(path, weights_only=True)
    torch.save(old_tools(small_state()), path, _use_new_zipfile_serialization=False)  # as PyTorch before 1.6
    content = path.read_bytes()
    assert content.count(b"cnumpy._core.multiarray\n") >= 2
    path.write_bytes(content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))  # NumPy before 2
    state = open_weights(path).state
    assert all(torch.equal(value, state[name]) for name, value in small_state().items())


def test_equal_weights_give_equal_files(tmp_path: Path) -> None:
    """Whatever the file is called: its hash names all that is computed with it."""
    for name in ("one.pth", "another.pth"):
        save_weights(tmp_path / name, random_encoder(18, 0.125), input="lab")
    assert file_hash(tmp_path / "one.pth") == file_hash(tmp_path / "another.pth")
    save_weights(tmp_path / "rgb.pth", random_encoder(18, 0.125), input="rgb")
    assert file_hash(tmp_path / "one.pth") != file_hash(tmp_path / "rgb.pth")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layer1.0.se.fc1.weight": torch.zeros(8)}, "beyond a ResNet-18, layer1.0.se.fc1.weight"),
        ({"conv1.bias": torch.zeros(8)}, "beyond a ResNet-18, conv1.bias"),
        ({"layer2.0.conv3.weight": torch.zeros(8)}, "beyond a ResNet-18, layer2.0.conv3.weight"),
        ({"layer4.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, "misfits in layer4.0.conv1.weight"),
        ({"layer1.0.conv2.weight": torch.zeros(8, 1, 3, 3)}, "misfits in layer1.0.conv2.weight"),  # a ResNeXt
        ({"bn1.bias": torch.zeros(8, dtype=torch.int)}, "bn1.bias in torch.int32"),
        ({"conv1.weight": torch.zeros(())}, "holds no ResNet"),
        ({"conv1.weight": torch.zeros(0, 3, 7, 7)}, "holds no ResNet"),
    ],
)
def test_what_an_encoder_does_not_match_is_refused(tmp_path: Path, change: dict, said: str) -> None:
    """Loaded in part, it would give other features. More rows are in `tests/study/test_bad_weights.py`."""
    assert said in refusal(saved(tmp_path / "w.pth", small_state() | change))


def test_what_other_tools_leave_beside_the_tensors(tmp_path: Path) -> None:
    """Paths of either kind of system and dicts with a default, which torch.load refuses by itself."""
    meters = defaultdict(list, {"loss": [1.0]})
    content = {"config": {"out": PosixPath("a/b"), "where": PureWindowsPath("c:/d")}, "meters": meters}
    read = read_checkpoint(saved(tmp_path / "w.pth", content | {"model": small_state()}))
    assert (read["config"]["out"], read["meters"]) == (PurePath("a/b"), {"loss": [1.0]})
    assert open_weights(tmp_path / "w.pth").prefix == "model"


def test_a_resnet_without_its_last_stage(tmp_path: Path) -> None:
    """Where only res4 is used, it is that of the whole ResNet; a teacher or a start of step two is refused."""
    whole = small_state()
    path = saved(tmp_path / "w.pth", {n: value for n, value in whole.items() if not n.startswith("layer4.")})
    found = [open_weights(p, whole=False) for p in (path, saved(tmp_path / "whole.pth", whole))]
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(*(each.encoder(*STANDARD)(images)["res4"] for each in found))
    assert "a ResNet of (2, 2, 2, 0) basic blocks" in refusal(path)
    assert "layer4 empty, 120 tensors" in open_weights(path, whole=False).note
    assert "layer4 empty" not in open_weights(tmp_path / "whole.pth").note


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html><title>weights</title></html>", "is a web page"),
        (b"<html></html>", "is a web page"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_a_download_left_in_place_of_weights(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in refusal(tmp_path / name)
