"""Colour spaces, against scikit-image and hand-computed values."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from stt_core.color import drop_channel, normalize_rgb, rgb_to_lab


def test_lab_agrees_with_scikit_image():
    rgb = np.random.default_rng(0).random((5, 7, 3))
    rgb[0, :3] = np.eye(3)  # the primaries, where a and b are extreme
    rgb[1, :2] = [[0, 0, 0], [0.02, 0.03, 0.01]]  # the linear part of both curves
    expected = (rgb2lab(rgb) - [50, 0, 0]) / [50, 127, 127]
    lab = rgb_to_lab(torch.from_numpy(rgb).permute(2, 0, 1))
    # the white points of the two libraries differ in the fifth digit
    np.testing.assert_allclose(lab.permute(1, 2, 0).numpy(), expected, atol=2e-4)


def test_normalize_rgb_by_hand():
    rgb = torch.tensor([0.485 + 0.229, 0.456, 0.406 - 2 * 0.225]).view(3, 1, 1)
    torch.testing.assert_close(normalize_rgb(rgb).flatten(), torch.tensor([1.0, 0.0, -2.0]))


@pytest.mark.parametrize("channel", [1, 2])
def test_drop_channel(channel):
    lab = torch.tensor([[2.0, 4.0, 6.0], [-2.0, 0.2, 1.0]])[..., None, None]  # (2, 3, 1, 1)
    before = lab.clone()
    expected = {1: [[3.0, 0, 9], [-3, 0, 1.5]], 2: [[3, 6, 0], [-3, 0.3, 0]]}[channel]
    torch.testing.assert_close(drop_channel(lab, channel)[..., 0, 0], torch.tensor(expected))
    assert torch.equal(lab, before)
    with pytest.raises(ValueError, match="only 1"):  # lightness is never dropped
        drop_channel(lab, 0)


@pytest.mark.parametrize("bad", [torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(4, 4, 3), torch.zeros(4, 4)])
def test_integers_and_other_shapes_are_refused(bad):
    for convert in (rgb_to_lab, normalize_rgb):
        with pytest.raises(ValueError, match="float image"):
            convert(bad)
