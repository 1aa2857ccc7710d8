"""What a frame costs, counted, against torchvision's parameters and against sums over convolutions and windows."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from stt_core.encoder import INFERENCE, random_encoder
from stt_core.features import feature_source
from stt_study.analysis.costs import costs, operations
from stt_study.study import Study

SIDE, RADIUS, PRECEDING = 64, 2, 3


def test_costs(data_folder: Path, tmp_path: Path) -> None:
    inference = {"resize": [SIDE, SIDE], "radius": RADIUS, "num_preceding": PRECEDING}
    settings = {"evaluation": {"davis": inference}, "real": [], "supervised": []}
    study = Study("tiny", data=str(data_folder), runs=str(tmp_path), settings=settings)
    table = costs(study, "davis", ["copy", "lab", "hog", "random"])
    assert table.index.tolist() == ["first label copied", "Lab image", "oriented gradients (HOG)", "random weights"]
    assert table["parameters, M"].tolist()[:3] == [0, 0, 0]
    whole = resnet18()
    parts = [whole.conv1, whole.bn1, whole.layer1, whole.layer2, whole.layer3]
    assert table.loc["random weights", "parameters, M"] * 1e6 == sum(v.numel() for p in parts for v in p.parameters())

    work = []
    encoder = random_encoder(18, 1.0, strides=INFERENCE[8][0], pool=INFERENCE[8][1]).eval()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, _, out: work.append(2 * out.numel() * m.weight[0].numel()))
    encoder(torch.zeros(1, 3, SIDE, SIDE))
    colours = 2 * SIDE**2 * 9  # RGB to XYZ
    found = (table["features, GFLOP"] * 1e9).tolist()[1:]
    assert found == pytest.approx([colours, math.nan, colours + sum(work)], rel=1e-9, nan_ok=True)
    assert table.loc["first label copied"].isna().sum() == 3  # needs no features

    cells, frames, channels = SIDE // 8, PRECEDING + 1, 256
    assert table.loc["random weights", "kept features, MB"] * 1e6 == frames * cells**2 * channels * 4
    window = sum(1 for a in range(cells) for b in range(cells) if abs(a - b) <= RADIUS) ** 2
    done = table.loc["random weights", "affinity, GFLOP"] * 1e9 / (2 * frames * channels)
    assert window <= done <= cells**4  # tiles compute more than windows, but not more than all pairs
    assert table.loc["Lab image", "affinity, GFLOP"] * 1e9 / (2 * frames * 3 * 64) == pytest.approx(done)
    assert (table["seconds a frame"] > 0).all()


def test_threads_do_not_change_what_is_counted(request: pytest.FixtureRequest) -> None:
    """On a map of two strips, which `affinity` gives to two threads."""
    image, how = np.zeros((SIDE, 4 * SIDE, 3), np.uint8), {"radius": RADIUS, "num_preceding": PRECEDING}
    alone = operations(feature_source("lab"), image, how)
    request.addfinalizer(lambda: torch.set_num_threads(1))
    torch.set_num_threads(2)
    assert operations(feature_source("lab"), image, how) == alone
    assert torch.get_num_threads() == 2
