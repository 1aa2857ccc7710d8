"""Weights files: what is read, and the one sentence for each way in which a file may be wrong.

That every naming gives the features of the model it came from is in `test_features.py`.
"""

import argparse
import functools
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file

from stt_core.checkpoints import file_hash, load_encoder, open_weights, save_weights
from stt_core.encoder import STANDARD, Encoder, random_encoder
from stt_core.errors import InputError

LAYOUT = {"strides": STANDARD[0], "pool": STANDARD[1]}


@functools.cache
def made() -> dict[str, torch.Tensor]:
    return random_encoder(18, 0.125).state_dict()


def small_state() -> dict[str, torch.Tensor]:
    return dict(made())


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


def test_torchvision_state_dict(tmp_path: Path) -> None:
    model = torchvision.models.resnet18(weights=None)
    path = saved(tmp_path / "resnet.pth", model.state_dict())
    encoder, colours = load_encoder(path, **LAYOUT)
    assert colours == "rgb"
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        pooled = encoder(images, ("res5",))["res5"].mean(dim=(2, 3))
        torch.testing.assert_close(model.fc(pooled), model.eval()(images))


def test_files_of_before_batch_counts(tmp_path: Path) -> None:
    """The published torchvision files have no num_batches_tracked."""
    state = small_state()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    encoder, _ = load_encoder(saved(tmp_path / "old.pth", old), **LAYOUT)
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in old.items())


@pytest.mark.parametrize("prefix", ["module.encoder_q.", "module.", "encoder_q.", "backbone."])
def test_prefixes(tmp_path: Path, prefix: str) -> None:
    state = small_state()
    content = {prefix + name: value for name, value in state.items()}
    content[prefix + "fc.0.weight"] = torch.zeros(4, 128)
    if prefix == "module.encoder_q.":  # the rest of a MoCo checkpoint
        content |= {"module.encoder_k." + name: value + 1 for name, value in state.items()}
        content["module.queue"] = torch.zeros(4, 4)
    path = saved(tmp_path / "moco.pth.tar", {"epoch": 200, "arch": "resnet18", "state_dict": content})
    encoder, colours = load_encoder(path, **LAYOUT)
    assert colours == "rgb"
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in state.items())


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
        ("module.encoder_q.", ["module.encoder_k."]),
        ("backbone.", ["backbone_t."]),
        ("backbone.", ["backbone_momentum.", "teacher."]),
        ("backbone.", ["teacher.backbone."]),
        ("teacher.module.backbone.", ["student.module.backbone."]),
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
        "names after model.net, 120 tensors matched, lab input; left: model.net.fc.weight, model.queue, optimizer.state.0.step"
    )
    many = {f"head{i}.bias": torch.zeros(1) for i in range(20)}
    note = open_weights(saved(path, small_state() | many)).note
    assert note.endswith("head3.bias and 16 more")
    assert "left" not in open_weights(saved(path, small_state())).note


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = {"backbone." + name: value for name, value in small_state().items()}
    save_file(state, path)
    assert open_weights(path).input == "rgb"
    assert open_weights(path, input="lab").input == "lab"
    save_file(state, path, {"format": "pt", "input": "lab"})
    weights = open_weights(path)
    assert (weights.input, weights.assumed) == ("lab", False)
    assert all(torch.equal(value, weights.state[name]) for name, value in small_state().items())
    path.write_bytes(path.read_bytes()[:-10])
    assert "cannot be read" in refusal(path)
    path.write_bytes(b"no tensors")
    assert "cannot be read" in refusal(path)


def test_safetensors_of_ours_say_their_colours(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", random_encoder(18, 0.125), input="lab")
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert file.metadata() == {"input": "lab"}


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


def test_values_of_before_numpy_2(tmp_path: Path) -> None:
    """Files of PyTorch before 1.6 and NumPy before 2."""
    path = tmp_path / "w.pth"
    torch.save(old_tools(small_state()), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b"cnumpy._core.multiarray\n") >= 2
    path.write_bytes(content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    state = open_weights(path).state
    assert all(torch.equal(value, state[name]) for name, value in small_state().items())


class History:
    """Some tool's object."""


def test_foreign_objects_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", {"state_dict": small_state(), "history": History()})
    message = refusal(path)
    assert f"{History.__module__}.History" in message
    assert "weights_only=False" in message


@pytest.mark.parametrize("said", [np.array(["lab", "rgb"]), torch.zeros(2), "bgr", 3])
def test_input_of_another_meaning(tmp_path: Path, said: object) -> None:
    weights = open_weights(saved(tmp_path / "w.pth", {"state_dict": small_state(), "input": said}), input="lab")
    assert (weights.input, weights.assumed) == ("lab", True)


def test_missing_file(tmp_path: Path) -> None:
    assert "no such weights file" in refusal(tmp_path / "none.pth")
    assert "no such weights file" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"not weights\n", bytes(range(256)) * 8, b"PK\x03\x04" + b"\1" * 60]
)
def test_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.pth"
    path.write_bytes(content)
    assert "cannot be read" in refusal(path)


def test_no_bytes_raise_anything_else(tmp_path: Path) -> None:
    """Bytes that look like pickles and broken ones: always an InputError."""
    path = tmp_path / "garbage.pth"
    generator = torch.Generator().manual_seed(0)
    whole = pickle.dumps({"conv1.weight": [1.0, 2.0], "a": ("b", 3)}, protocol=2)
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(int(torch.randint(1, 6, (), generator=generator))):
            content[int(torch.randint(2, len(content), (), generator=generator))] = int(
                torch.randint(256, (), generator=generator)
            )
        path.write_bytes(bytes(content))
        with warnings.catch_warnings(action="ignore"):  # of unusual pickle protocols
            refusal(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, share: float) -> None:
    whole = saved(tmp_path / "whole.pth", small_state()).read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "cannot be read" in refusal(path)


class Code:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))]
)
def test_code_is_refused_and_not_run(tmp_path: Path, save) -> None:
    save({"state_dict": Code(tmp_path / "ran")}, tmp_path / "code.pth")
    assert "cannot be read" in refusal(tmp_path / "code.pth")
    assert not (tmp_path / "ran").exists()


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(saved(tmp_path / "model.pth", Encoder(18, 0.125)))


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        torch.zeros(3),
        "text",
        None,
        {"state_dict": [1, 2]},
        {"state_dict": torch.zeros(3)},
        {1: torch.zeros(3)},
        {"conv1.weight": torch.zeros(64, 3, 7, 7)},
        {},
        {"conv1.weight": 3, "layer1.0.conv1.weight": "x"},
        {"conv1.weight": torch.zeros(()), "layer1.0.conv1.weight": torch.zeros(())},
        {"conv1.weight": torch.zeros(0, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(1)},
    ],
)
def test_no_resnet(tmp_path: Path, content: object) -> None:
    refusal(saved(tmp_path / "other.pth", content))


def test_missing_key(tmp_path: Path) -> None:
    state = small_state()
    del state["layer3.1.bn2.running_var"]
    assert "lacks layer3.1.bn2.running_var" in refusal(saved(tmp_path / "w.pth", state))


@pytest.mark.parametrize("name", ["layer1.0.se.fc1.weight", "conv1.bias", "layer2.0.conv3.weight"])
def test_surplus_in_the_encoder(tmp_path: Path, name: str) -> None:
    """Without it, the features would be others."""
    state = small_state() | {name: torch.zeros(8)}
    assert f"beyond a ResNet-18, {name}" in refusal(saved(tmp_path / "w.pth", state))


@pytest.mark.parametrize(("name", "blocks"), [("resnet34", "(3, 4, 6, 3) basic"), ("resnet101", "(3, 4, 23, 3) bott")])
def test_other_depths(tmp_path: Path, name: str, blocks: str) -> None:
    with torch.device("meta"):
        state = torchvision.models.get_model(name, weights=None).state_dict()
    small = {key: torch.zeros(1, 1, 1, 1) for key in state}  # the names will do
    assert blocks in refusal(saved(tmp_path / "w.pth", small))


def test_other_widths_of_a_bottleneck(tmp_path: Path) -> None:
    state = random_encoder(50, 0.125).state_dict()
    state["layer1.0.conv2.weight"] = torch.zeros(8, 1, 3, 3)  # in groups, as a ResNeXt has it
    assert "misfits in layer1.0.conv2.weight" in refusal(saved(tmp_path / "w.pth", state))


def test_wrong_shape(tmp_path: Path) -> None:
    state = small_state()
    state["layer4.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    assert "misfits in layer4.0.conv1.weight" in refusal(saved(tmp_path / "w.pth", state))


def test_a_prefix_and_a_classifier_are_dropped(tmp_path: Path) -> None:
    content = {"encoder_q." + name: value for name, value in small_state().items()}
    content |= {"head_q.0.weight": torch.zeros(2), "encoder_q.fc.bias": torch.zeros(2)}
    state = open_weights(saved(tmp_path / "w.pth", content)).state
    assert state.keys() == small_state().keys()


def test_file_hash_tells_files_apart(tmp_path: Path) -> None:
    first, same, other = (tmp_path / name for name in "abc")
    first.write_bytes(b"weights")
    same.write_bytes(b"weights")
    other.write_bytes(b"Weights")
    assert file_hash(first) == file_hash(same) != file_hash(other)
    assert len(file_hash(first)) == 16


def test_equal_weights_give_equal_files(tmp_path: Path) -> None:
    """Whatever the file is called: its hash names all that is computed with it."""
    for name in ("one.pth", "another.pth"):
        save_weights(tmp_path / name, random_encoder(18, 0.125), input="lab")
    assert file_hash(tmp_path / "one.pth") == file_hash(tmp_path / "another.pth")
    save_weights(tmp_path / "rgb.pth", random_encoder(18, 0.125), input="rgb")
    assert file_hash(tmp_path / "one.pth") != file_hash(tmp_path / "rgb.pth")
