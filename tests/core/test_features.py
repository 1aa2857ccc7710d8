"""Feature sources: every naming of a ResNet's weights, and timm's models, against the models' own layers."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from stt_core.checkpoints import save_weights
from stt_core.color import rgb_to_lab
from stt_core.encoder import Encoder
from stt_core.errors import InputError
from stt_core.features import feature_source
from stt_study.benchmarks.label_sources import dense_source

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def nchw(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))


@functools.cache
def resnet(depth: int, seed: int = 0) -> nn.Module:
    """torchvision's model with random weights and batch statistics as training moves them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.1)
                module.num_batches_tracked.fill_(7)
    return model


@torch.inference_mode()
def own_features(depth: int, image: Tensor) -> Tensor:
    """res4 at stride 8 of torchvision's own layers: the standard strides without the stem's pooling."""
    model = resnet(depth)
    x = model.relu(model.bn1(model.conv1(image)))
    return model.layer3(model.layer2(model.layer1(x)))[0]


def prefixed(prefix: str, state: dict) -> dict:
    return {prefix + name: value for name, value in state.items()}


def mmcv(state: dict) -> dict:
    """Names as mmcv's ConvModule gives them: a convolution and its norm below one name."""
    names = {}
    for name, value in state.items():
        *path, layer, leaf = name.split(".")
        if path[-1:] == ["downsample"]:
            layer = {"0": "conv", "1": "bn"}[layer]
        elif layer.startswith("conv"):
            layer += ".conv"
        elif layer.startswith("bn"):
            layer = f"conv{layer[2:]}.bn"
        names[".".join([*path, layer, leaf])] = value
    return names


def headless(state: dict) -> dict:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def other(depth: int) -> dict:
    return headless(resnet(depth, 1).state_dict())


def moco(depth: int) -> dict:
    state = headless(resnet(depth).state_dict()) | {"fc.0.weight": torch.ones(2, 2), "fc.2.weight": torch.ones(2, 2)}
    both = prefixed("module.encoder_k.", other(depth)) | prefixed("module.encoder_q.", state)
    queue = {"module.queue": torch.ones(4, 4), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {"epoch": 200, "arch": f"resnet{depth}", "state_dict": both | queue}


def detco(depth: int) -> dict:
    heads = {f"module.encoder_q.{name}.0.weight": torch.ones(2) for name in ("mlp_res2", "mlp_local", "conv1_head")}
    return {"model": heads | moco(depth)["state_dict"]}


def dino(depth: int) -> dict:
    networks = {}
    for name, state in (("student", other(depth)), ("teacher", headless(resnet(depth).state_dict()))):
        networks[name] = prefixed("module.backbone.", state) | {"module.head.mlp.0.weight": torch.ones(2, 2)}
    optimizer = torch.optim.SGD([torch.ones(2, requires_grad=True)], momentum=0.9)
    optimizer.param_groups[0]["params"][0].sum().backward()
    optimizer.step()
    return networks | {"optimizer": optimizer.state_dict(), "epoch": np.int64(3)}


def lightly(depth: int) -> dict:
    head = prefixed("projection_head.layers.", {"0.weight": torch.ones(2, 2), "4.0.weight": torch.ones(2, 2)})
    momentum = nn.Sequential(*list(resnet(depth, 1).children())[:-1]).state_dict()
    backbone = nn.Sequential(*list(resnet(depth).children())[:-1]).state_dict()
    return {"state_dict": head | prefixed("backbone_momentum.", momentum) | prefixed("backbone.", backbone)}


def mmcv_checkpoint(depth: int) -> dict:
    student = mmcv(headless(resnet(depth).state_dict()))
    teacher = prefixed("backbone_t.", mmcv(other(depth)))
    return {"meta": {"epoch": np.int64(800), "time": "now"}, "state_dict": teacher | prefixed("backbone.", student)}


NAMINGS = {
    "torchvision": lambda depth: resnet(depth).state_dict(),
    "old torchvision": lambda depth: {k: v for k, v in resnet(depth).state_dict().items() if "num_batches" not in k},
    "moco": moco,
    "detco": detco,
    "dino": dino,
    "lightly": lightly,
    "mmcv": lambda depth: mmcv(headless(resnet(depth).state_dict())),
    "mmcv checkpoint": mmcv_checkpoint,
    "level only": lambda depth: {"state_dict": mmcv(resnet(depth).state_dict())},
    "safetensors": lambda depth: prefixed("backbone.", resnet(depth).state_dict()),
    "mmcv safetensors": lambda depth: mmcv_checkpoint(depth)["state_dict"],
    "ours": None,
    "ours, safetensors": None,
}


def written(folder: Path, naming: str, depth: int) -> Path:
    """A file in a naming; ours is written by our own code."""
    path = folder / f"w.{'safetensors' if 'safetensors' in naming else 'pth'}"
    if naming.startswith("ours"):
        encoder = Encoder(depth)
        encoder.load_state_dict(headless(resnet(depth).state_dict()))
        save_weights(path, encoder, input="rgb")
    elif path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in NAMINGS[naming](depth).items()}, path)
    else:
        torch.save(NAMINGS[naming](depth), path)
    return path


CASES = [(naming, 18) for naming in NAMINGS] + [
    (naming, 50) for naming in ("torchvision", "lightly", "mmcv checkpoint")
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Tensor]:
    """Features by depth, of files with torchvision's names."""
    folder = tmp_path_factory.mktemp("plain")
    return {depth: feature_source(str(written(folder, "torchvision", depth)))(IMAGE) for depth in (18, 50)}


@pytest.mark.parametrize(("naming", "depth"), CASES)
def test_every_naming_gives_the_features_of_the_model(
    tmp_path: Path, plain: dict[int, Tensor], naming: str, depth: int
) -> None:
    source = feature_source(str(written(tmp_path, naming, depth)))
    features = source(IMAGE)
    expected = own_features(depth, nchw((IMAGE.astype(np.float32) / 255 - MEAN) / STD))
    assert expected.std() > 0.1
    torch.testing.assert_close(features.cpu(), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(features, plain[depth])
    tensors = 100 if naming == "old torchvision" else {18: 120, 50: 318}[depth]
    assert f", {tensors} tensors matched," in source.note


def test_colours_of_a_file_that_does_not_say(tmp_path: Path) -> None:
    path = str(written(tmp_path, "mmcv checkpoint", 18))
    lab, rgb = feature_source(path, input="lab"), feature_source(path)
    expected = own_features(18, rgb_to_lab(nchw(IMAGE) / 255))
    torch.testing.assert_close(lab(IMAGE).cpu(), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert lab.identity != rgb.identity


# timm


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
    return nchw((image.astype(np.float32) / 255 - mean) / std)


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
    assert "no such weights file" in refusal(f"timm:test_vit@{tmp_path / 'none.pth'}")
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
