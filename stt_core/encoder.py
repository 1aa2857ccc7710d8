"""The encoder: a ResNet with torchvision's names and configurable strides, so that weights serve every resolution."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock, Bottleneck

STAGES = ("res2", "res3", "res4", "res5")  # torchvision calls them layer1 … layer4
LAYOUTS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}

# (strides of res2 … res5, stem pooling); the stem's convolution has stride 2 (paper sections 2 and 3, released code).
STANDARD = ((1, 2, 2, 2), "max")  # step one and the teacher: res5 at stride 32
STUDENT = ((1, 2, 2, 4), "none")  # step two: res3 at stride 4, res4 at stride 8, res5 at stride 32
INFERENCE = {8: ((1, 2, 2, 1), "none"), 4: ((1, 1, 1, 1), "avg")}  # res4


class Encoder(nn.Module):
    """ResNet-18 or -50 without its classifier.

    Args:
        depth: 18 or 50.
        width: factor on the number of channels of every stage (1.0 is the paper's).
        strides: stride of each of res2 … res5. They do not change the weights' shapes.
        pool: pooling after the stem: "max" (standard), "avg" (at stride 4) or "none" (the student).

    Example:
        >>> Encoder(18, 0.25, *STUDENT)(torch.rand(1, 3, 64, 128))["res4"].shape
        torch.Size([1, 64, 8, 16])
    """

    def __init__(
        self, depth: int = 18, width: float = 1.0, strides: Sequence[int] = (1, 2, 2, 2), pool: str = "max"
    ) -> None:
        super().__init__()
        block, repeats = LAYOUTS[depth]
        channels = [round(64 * width) * 2**stage for stage in range(4)]
        self.conv1 = nn.Conv2d(3, channels[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.pool = {"max": nn.MaxPool2d(3, 2, 1), "avg": nn.AvgPool2d(3, 2, 1), "none": nn.Identity()}[pool]
        inputs = channels[0]
        for stage, (planes, count, stride) in enumerate(zip(channels, repeats, strides, strict=True), start=1):
            self.add_module(f"layer{stage}", _stage(block, inputs, planes, count, stride))
            inputs = planes * block.expansion
        self.out_channels = {name: c * block.expansion for name, c in zip(STAGES, channels, strict=True)}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, block):  # begins as its shortcut alone (released code)
                nn.init.zeros_((module.bn3 if depth == 50 else module.bn2).weight)

    def forward(self, images: Tensor, stages: Sequence[str] = ("res4",)) -> dict[str, Tensor]:
        """Dense features of some of `STAGES`; nothing after the last of them is computed.

        Args:
            images: (B, 3, H, W), normalised as the weights were trained (Lab or RGB, see `color`).

        Returns:
            name -> (B, C, ceil(H / stride), ceil(W / stride)).
        """
        last = max(STAGES.index(stage) for stage in stages)
        x = self.pool(self.relu(self.bn1(self.conv1(images))))
        features = {}
        for index in range(last + 1):
            x = getattr(self, f"layer{index + 1}")(x)
            if STAGES[index] in stages:
                features[STAGES[index]] = x
        return features


def _stage(block: Any, inputs: int, planes: int, count: int, stride: int) -> nn.Sequential:
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(block(inputs, planes, stride, shortcut), *(block(outputs, planes) for _ in range(1, count)))


def folded(encoder: Encoder) -> Encoder:
    """A faster copy in eval mode with the same features: batch normalisations are folded into their convolutions."""
    encoder = copy.deepcopy(encoder).eval()
    for module in encoder.modules():
        if isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[1], nn.BatchNorm2d):  # shortcut
            module[0], module[1] = fuse_conv_bn_eval(*module), nn.Identity()
        for k in (1, 2, 3):
            norm = getattr(module, f"bn{k}", None)
            if isinstance(norm, nn.BatchNorm2d):
                setattr(module, f"conv{k}", fuse_conv_bn_eval(getattr(module, f"conv{k}"), norm))
                setattr(module, f"bn{k}", nn.Identity())
    return encoder


def random_encoder(depth: int, width: float, seed: int = 0, **layout) -> Encoder:
    """An encoder with reproducible random weights; the random state of the CPU is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(depth, width, **layout)
