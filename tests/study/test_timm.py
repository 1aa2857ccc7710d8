"""Features of timm's models, against the models' own layers."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stt_core.errors import InputError
from stt_study.benchmarks.label_sources import dense_source

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def made_by_timm(folder: Path, name: str, seed: int = 0, change=lambda state: state) -> tuple[nn.Module, str]:
    """A timm model with random weights, and the spec of a file that holds them."""
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name).eval()
        for parameter in model.parameters():  # position embeddings and norms are made nearly constant
            parameter.data += 0.02 * torch.randn_like(parameter)
    path = folder / f"{name}-{seed}.pth"
    torch.save(change(dict(model.state_dict())), path)
    return model, f"timm:{name}@{path}"


def normalised(model: nn.Module, image: np.ndarray) -> Tensor:
    mean, std = (np.array(model.pretrained_cfg[name], np.float32) for name in ("mean", "std"))
    return torch.from_numpy(((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None])


def test_vit_gives_its_patch_tokens(tmp_path: Path) -> None:
    model, spec = made_by_timm(tmp_path, "test_vit")
    height, width = model.patch_embed.img_size
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with torch.inference_mode():
        tokens = model.forward_features(normalised(model, image))[0, model.num_prefix_tokens :]  # (N, C)
    source = dense_source(spec)
    patch = model.patch_embed.patch_size[0]
    assert source.stride == patch
    expected = tokens.T.reshape(-1, height // patch, width // patch)
    torch.testing.assert_close(source(image).cpu(), expected, rtol=1e-4, atol=1e-4)
    # A picture that ends within a cell is extended by its last row and column.
    part = image[: height - 5, : width - 9]
    whole = np.pad(part, ((0, 5), (0, 9), (0, 0)), mode="edge")
    assert torch.equal(source(part), source(whole))


def test_vit_takes_any_size(tmp_path: Path) -> None:
    _, spec = made_by_timm(tmp_path, "vit_tiny_patch16_224")
    source = dense_source(spec)
    for height, width in ((33, 100), (240, 176)):
        image = np.zeros((height, width, 3), np.uint8)
        assert source(image).shape[1:] == (-(-height // source.stride), -(-width // source.stride))


@pytest.mark.parametrize(("wanted", "stage"), [(8, 2), (4, 1)])
def test_resnet_gives_the_map_of_the_wanted_stride(tmp_path: Path, wanted: int, stage: int) -> None:
    model, spec = made_by_timm(tmp_path, "test_resnet")
    source = dense_source(spec, stride=wanted)
    assert source.stride == wanted
    with torch.inference_mode():
        x = model.maxpool(model.act1(model.bn1(model.conv1(normalised(model, IMAGE)))))
        for layer in (model.layer1, model.layer2)[:stage]:
            x = layer(x)
    torch.testing.assert_close(source(IMAGE).cpu(), x[0], rtol=1e-4, atol=1e-4)
    assert f"at stride {wanted}" in source.note


def test_timm_identities(tmp_path: Path) -> None:
    _, spec = made_by_timm(tmp_path, "test_resnet")
    _, changed = made_by_timm(tmp_path, "test_resnet", seed=1)
    _, vit = made_by_timm(tmp_path, "test_vit")
    assert dense_source(spec).identity == dense_source(spec).identity
    assert len({dense_source(one).identity for one in (spec, changed, vit)}) == 3


def without(part: str):
    return lambda state: {name: value for name, value in state.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "said"),
    [(without("blocks.3.mlp.fc1.weight"), "blocks.3.mlp.fc1.weight"), (lambda state: [1], "fit"), (without(""), "fit")],
)
def test_timm_file_that_does_not_fit(tmp_path: Path, change, said: str) -> None:
    _, spec = made_by_timm(tmp_path, "test_vit", change=change)
    message = refusal(spec)
    assert "test_vit-0.pth does not fit" in message
    assert said in message


def refusal(spec: str) -> str:
    with pytest.raises(InputError) as caught:
        dense_source(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_timm_refusals(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    assert "no model resnet19" in refusal("timm:resnet19")
    assert "timm has no model" in refusal("timm:")
    _, spec = made_by_timm(tmp_path, "mixer_s32_224")
    assert "no dense features of 96x160 px" in refusal(spec)


def test_timm_without_network_or_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "can't be had" in (message := refusal("timm:test_vit"))
    assert "timm:test_vit@FILE" in message


def test_timm_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert "pip install 'stt-core[timm]'" in refusal("timm:resnet18")
