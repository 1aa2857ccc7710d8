"""The motorcycle pair: a matcher that knows the truth must be right, one that is off by so much must be wrong by it."""

import numpy as np
import pytest
import torch
from skimage.data import stereo_motorcycle

from stt_core.features import FeatureSource
from stt_study.benchmarks.stereo import stereo_matches, stereo_scores

STRIDE = 8


def on_a_sphere(x, y):
    """(3, h, w): a point of the image as a direction, so that the nearest by cosine is the nearest point."""
    x, y = np.broadcast_arrays(x, y)
    directions = np.stack([x - 370, y - 250, np.full(x.shape, 4000.0)])
    return torch.from_numpy(directions / np.linalg.norm(directions, axis=0))


def oracle(slip=0.0):
    """Features that are the true place in the right image; `slip` px are added to the left image's."""
    left, right, disparity = stereo_motorcycle()
    assert left.shape == (500, 741, 3)
    rows, columns = -(-500 // STRIDE), -(-741 // STRIDE)

    def extract(rgb):
        image = (rgb[0] * 255).round().byte().permute(1, 2, 0).numpy()
        y, x = np.mgrid[:rows, :columns] * STRIDE + 3.5
        if np.array_equal(image, left):
            at = disparity[np.minimum(y.astype(int), 499), np.minimum(x.astype(int), 740)]
            x = x - np.where(np.isfinite(at), at, 0) + slip
        else:
            assert np.array_equal(image, right)
        return on_a_sphere(x, y)[None]

    return FeatureSource("oracle", "oracle", STRIDE, extract)


def test_an_oracle_errs_by_half_a_cell_at_most():
    matches = stereo_matches(oracle())
    assert len(matches) > 3000
    assert not matches.duplicated(["x", "y"]).any()
    assert (matches.true_x >= 0).all()
    assert (matches.match_y == matches.y).all()
    assert matches.error.max() <= STRIDE / 2 + 1e-6
    assert matches.error.median() == pytest.approx(STRIDE / 4, abs=0.3)  # evenly spread over half a cell
    scores = stereo_scores(matches)
    assert (scores["within 8 px"], scores["cells"]) == (1, len(matches))


def test_errors_are_in_pixels():
    """An oracle that is off by three cells errs by 24 px, up to half a cell, except where the image ends."""
    matches = stereo_matches(oracle(slip=24.0))
    inside = matches[matches.true_x < 680]
    assert inside.error.between(20 - 1e-6, 28 + 1e-6).all()
    scores = stereo_scores(inside)
    assert scores["within 16 px"] == 0
    assert scores["within 32 px"] == 1
