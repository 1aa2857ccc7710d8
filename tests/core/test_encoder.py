"""The encoder against torchvision's own ResNets, and its grids."""

import math

import pytest
import torch
import torchvision
from torch import nn

from stt_core.encoder import INFERENCE, STAGES, STANDARD, STUDENT, Encoder, folded, random_encoder


def torchvision_resnet(depth: int) -> nn.Module:
    """With batch statistics that are not the trivial ones, so that a misplaced norm would show."""
    torch.manual_seed(depth)
    model = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("depth", [18, 50])
def test_standard_layout_is_torchvisions(depth: int) -> None:
    theirs = torchvision_resnet(depth)
    with torch.device("meta"):  # no time spent on weights that are replaced
        ours = Encoder(depth, 1.0, *STANDARD).eval()
    state = {name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")}
    ours.load_state_dict(state, assign=True)
    images = torch.randn(2, 3, 70, 97)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        expected = {}
        for stage, layer in zip(STAGES, (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4), strict=True):
            expected[stage] = x = layer(x)
        found = ours(images, STAGES)
    assert list(found) == list(STAGES)
    for stage in STAGES:
        torch.testing.assert_close(found[stage], expected[stage])
        assert ours.out_channels[stage] == expected[stage].shape[1]


def grids(layout: tuple, height: int, width: int) -> dict[str, tuple[int, int]]:
    encoder = random_encoder(18, 0.0625, strides=layout[0], pool=layout[1]).eval()
    with torch.no_grad():
        return {name: tuple(f.shape[2:]) for name, f in encoder(torch.zeros(1, 3, height, width), STAGES).items()}


@pytest.mark.parametrize("size", [(97, 121), (33, 64), (128, 95)])
def test_grids_round_up(size: tuple[int, int]) -> None:
    student = grids(STUDENT, *size)
    found = {(name, stride): student[name] for name, stride in (("res2", 2), ("res3", 4), ("res4", 8), ("res5", 32))}
    found |= {("inference", stride): grids(layout, *size)["res4"] for stride, layout in INFERENCE.items()}
    for (_, stride), grid in found.items():
        assert grid == tuple(math.ceil(extent / stride) for extent in size)


def test_random_encoder_repeats_and_leaves_the_random_state() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (random_encoder(18, 0.0625, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    # the same weights whatever the layout: strides change no shapes, so the draws are the same
    student = random_encoder(18, 0.0625, 3, strides=STUDENT[0], pool=STUDENT[1]).state_dict()
    assert all(torch.equal(first[name], student[name]) for name in first)


@pytest.mark.parametrize("depth", [18, 50])
def test_folding_batch_norms_changes_no_feature(depth: int) -> None:
    encoder = Encoder(depth, 1.0, *STANDARD)
    encoder.load_state_dict(
        {k: v for k, v in torchvision_resnet(depth).state_dict().items() if not k.startswith("fc.")}
    )
    encoder.eval()
    images = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        expected, found = encoder(images, STAGES), folded(encoder)(images, STAGES)
    for stage in STAGES:
        torch.testing.assert_close(found[stage], expected[stage], rtol=1e-4, atol=1e-4 * expected[stage].abs().max())
    assert any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())  # left as it was
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(encoder).modules())
