"""Copy, HOG and optical flow: a texture that moves by a known step, HOG and the composition of flows against loops."""

import cv2
import numpy as np
import pytest
import torch

from stt_core.features import FeatureSource
from stt_study.benchmarks.label_sources import Baseline, composed, flowed, label_source, oriented_gradients, sampled

HEIGHT, WIDTH, FRAMES, STEP = 96, 128, 8, (3, 2)  # px a frame to the right and down


def texture(height=HEIGHT, width=WIDTH):
    noise = np.random.default_rng(0).standard_normal((height, width, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(128 + noise / noise.std() * 50, 0, 255).astype(np.uint8)


def moving():
    """What a camera sees that moves over a larger texture."""
    large = texture(HEIGHT + STEP[1] * FRAMES, WIDTH + STEP[0] * FRAMES)
    for t in range(FRAMES):
        y, x = STEP[1] * (FRAMES - t), STEP[0] * (FRAMES - t)
        yield large[y : y + HEIGHT, x : x + WIDTH]


def naive_bilinear(image, x, y):
    """(H, W) at one place, clamped to the picture."""
    height, width = image.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
    x0, y0 = max(x0, 0), max(y0, 0)
    a, b = x - x0, y - y0
    top = image[y0, x0] * (1 - a) + image[y0, x0 + 1] * a
    return top * (1 - b) + (image[y0 + 1, x0] * (1 - a) + image[y0 + 1, x0 + 1] * a) * b


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_flow_follows_a_moving_texture(mode):
    first = torch.zeros(2, HEIGHT, WIDTH)
    first[1, 20:50, 30:70] = 1
    first[0] = 1 - first[1]
    maps = list(flowed(moving(), first, mode))
    assert len(maps) == FRAMES
    torch.testing.assert_close(maps[0], first)
    for t, found in enumerate(maps):
        expected = np.roll(first.numpy(), (STEP[1] * t, STEP[0] * t), axis=(1, 2))
        object_ = found[1].numpy() > 0.5
        union = object_ | (expected[1] > 0.5)
        assert (object_ & (expected[1] > 0.5)).sum() / union.sum() > 0.97, t
        if mode == "nearest":  # labels do not blur
            assert set(found.unique().tolist()) <= {0.0, 1.0}
            torch.testing.assert_close(found.sum(dim=0), torch.ones(HEIGHT, WIDTH))


def test_flow_moves_a_keypoint_map():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    first = torch.from_numpy(np.exp(-((x - 40.0) ** 2 + (y - 30.0) ** 2) / 32)).float()[None]
    last = list(flowed(moving(), first, "bilinear"))[-1][0]
    peak = np.unravel_index(int(last.argmax()), last.shape)
    expected = (30 + STEP[1] * (FRAMES - 1), 40 + STEP[0] * (FRAMES - 1))
    assert np.abs(np.subtract(peak, expected)).max() <= 1
    assert last.max() > 0.97  # sampled once: no frame blurs it further


def test_composition_equals_a_loop():
    """Two steps: pixel p of frame 2 lies in frame 1 at p + back(p), which lies in frame 0 where `places` says."""
    height, width = 7, 9
    rng = np.random.default_rng(1)
    places = rng.uniform(-1, 8, (2, height, width)).astype(np.float32)
    back = rng.uniform(-3, 3, (2, height, width)).astype(np.float32)
    expected = np.empty_like(places)
    for y in range(height):
        for x in range(width):
            for axis in range(2):
                expected[axis, y, x] = naive_bilinear(places[axis], x + back[0, y, x], y + back[1, y, x])
    found = composed(torch.from_numpy(places), torch.from_numpy(back))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_sampling_by_hand():
    maps = torch.tensor([[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]])
    places = torch.tensor([[[0.0, 0.6, 1.5], [9.0, -4.0, 2.0]], [[0.0, 1.0, 0.5], [0.0, 7.0, 0.4]]])  # x, y
    found = sampled(maps, places, "bilinear")[0].numpy()
    np.testing.assert_allclose(found, [[0, 10.6, 6.5], [2, 10, 6]], atol=1e-4)  # beyond the picture: its border
    nearest = sampled(maps, places[:, :, :2], "nearest")[0]
    assert nearest.tolist() == [[0, 11], [2, 10]]


def naive_hog(grey, y, x, cell):
    """(81,) of the cell at (y, x), which has neighbours: Dalal and Triggs 2005, without interpolation."""
    down, right = np.gradient(grey.astype(float))
    strength, angle = 2 * np.hypot(down, right), np.degrees(np.arctan2(down, right)) % 180
    block = np.zeros((3, 3, 9))
    for i in range(3):
        for j in range(3):
            for row in range(cell * (y + i - 1), cell * (y + i)):
                for column in range(cell * (x + j - 1), cell * (x + j)):
                    block[i, j, int(angle[row, column] // 20)] += strength[row, column] / cell**2
    block = np.minimum(block / np.linalg.norm(block), 0.2)
    return (block / np.linalg.norm(block)).ravel()


@pytest.mark.parametrize("cell", [8, 4])
def test_oriented_gradients_equal_a_loop(cell):
    image = texture(61, 83)[..., 0]  # no whole number of cells
    rgb = torch.from_numpy(image).float().expand(1, 3, -1, -1) / 255
    found = oriented_gradients(rgb, cell)[0]
    assert found.shape == (81, -(-61 // cell), -(-83 // cell))
    for y, x in ((2, 3), (4, 7)):
        np.testing.assert_allclose(found[:, y, x], naive_hog(image / 255, y, x, cell), atol=1e-4)


def test_label_source():
    assert label_source("hog", stride=4)(texture()).shape == (81, HEIGHT // 4, WIDTH // 4)
    assert isinstance(label_source("copy", stride=4), Baseline)
    assert label_source("flow").identity == "flow"
    assert isinstance(label_source("lab", stride=4), FeatureSource)
    assert label_source("lab", stride=4).stride == 4
