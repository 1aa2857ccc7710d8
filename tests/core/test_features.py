"""Features of every naming of a ResNet's weights, against the model's own layers."""

import functools
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
from stt_core.features import feature_source

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


CASES = [(naming, 18) for naming in NAMINGS] + [(naming, 50) for naming in ("torchvision", "mmcv checkpoint")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Tensor]:
    """Features by depth, of files with torchvision's names."""
    folder = tmp_path_factory.mktemp("plain")
    return {depth: feature_source(str(written(folder, "torchvision", depth)))(IMAGE) for depth in (18, 50)}


@pytest.mark.parametrize(("naming", "depth"), CASES)
def test_features_of_every_naming(tmp_path: Path, plain: dict[int, Tensor], naming: str, depth: int) -> None:
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
