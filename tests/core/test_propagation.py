"""Label propagation against golden values, a double loop in float64, and cases worked out by hand."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from loops import naive_propagation

from stt_core import affinity as affinity_module
from stt_core.affinity import affinity
from stt_core.propagation import propagate, propagate_frames

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "propagation.npz"


def random_clip(seed, frames, channels, height, width, classes):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(frames, channels, height, width, generator=generator) * 3
    return features, torch.rand(classes, height, width, generator=generator)


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden values are not here")
@pytest.mark.parametrize("clip", ["small", "wide", "odd"])
def test_equals_golden_values(clip):
    with np.load(GOLDEN) as golden:
        features, first_labels, expected, config = (
            golden[f"{clip}__{name}"] for name in ("features", "first_labels", "propagated", "config")
        )
    num_preceding, neighbour_range, topk = (int(value) for value in config[:3])
    result = propagate(
        torch.from_numpy(features),
        torch.from_numpy(first_labels),
        num_preceding=num_preceding,
        radius=neighbour_range // 2,
        topk=topk,
        temperature=float(config[3]),
    )
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-5)


# (T, C, H, W), K, num_preceding, radius, topk, and what other methods do. Smaller: `tests/study/test_properties.py`.
CASES = [
    ((4, 5, 9, 17), 3, 2, 2, 10, {}),  # one row and one column beyond a tile: corner tiles of one cell
    ((3, 4, 19, 35), 2, 20, 1, 5, {}),  # several tiles each way
    ((3, 6, 10, 18), 1, 1, 3, 10, {"with_first": False}),
    ((4, 4, 9, 17), 2, 2, 0, 10, {}),  # radius 0: as many candidates as context frames
    ((4, 4, 9, 17), 2, 2, 1, 1000, {}),  # k larger than window times context
    ((3, 4, 9, 17), 2, 1, 1, 12, {"with_first": False}),  # k larger than the window in the corners only
    ((4, 3, 1, 20), 2, 2, 2, 3, {}),  # one row
    ((4, 3, 11, 1), 2, 2, 2, 3, {}),  # one column
    ((5, 5, 10, 18), 2, 2, 3, 10, {"window": "circle"}),
    ((5, 5, 10, 18), 2, 3, 1, 3, {"window": "circle", "first_windowed": False}),
    ((5, 5, 10, 18), 2, 2, 2, 10, {"first_windowed": False}),
    ((5, 5, 10, 18), 2, 5, 4, 10, {"window": "circle", "first_windowed": False}),
    ((5, 5, 10, 18), 2, 2, 2, 7, {"first_twice": False}),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_equals_a_double_loop(case):
    shape, classes, num_preceding, radius, topk, others = CASES[case]
    settings = dict(num_preceding=num_preceding, radius=radius, topk=topk, temperature=0.2, **others)
    features, first_labels = random_clip(case, *shape, classes)
    expected, gap = naive_propagation(features, first_labels, **settings)
    assert gap > 1e-6, "rounding may decide the top-k of this input: choose another seed"
    result = propagate(features, first_labels, **settings)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-5)


def test_two_cells_by_hand():
    """The left cell turns by 60 degrees: cosine 1/2 to itself of before, sqrt(3)/2 to its right neighbour."""
    features = torch.zeros(2, 2, 1, 2)
    features[0, :, 0, 0] = torch.tensor([5.0, 0.0])
    features[0, :, 0, 1] = torch.tensor([0.0, 2.0])
    features[1, :, 0, 0] = 7 * torch.tensor([0.5, math.sqrt(3) / 2])
    features[1, :, 0, 1] = torch.tensor([0.0, 0.1])
    labels = torch.tensor([[[1.0, 0.0]]])
    share = 1 / (1 + math.exp((math.sqrt(3) / 2 - 0.5) / 0.1))  # softmax of (1/2, sqrt(3)/2) / 0.1, first entry
    # 4 candidates: the 2 cells of frame 0, each counted twice. With k = 3 the better one counts twice, the other once.
    result = propagate(features, labels, radius=1, topk=4, temperature=0.1)
    assert result[1, 0, 0, 0].item() == pytest.approx(share, abs=1e-6)
    odds = share / (1 - share)
    result = propagate(features, labels, radius=1, topk=3, temperature=0.1)
    assert result[1, 0, 0, 0].item() == pytest.approx(odds / (odds + 2), abs=1e-6)
    assert result[0].equal(labels)


def test_a_stream_is_lazy_and_what_it_yields_is_the_callers():
    features, first_labels = random_clip(6, 5, 6, 7, 8, 1)
    endless = (features[t % 5] for t in itertools.count())
    settings = dict(num_preceding=2, radius=2, topk=5)
    expected = propagate(features, first_labels, **settings)
    kept = first_labels.clone()
    for labels, wanted in zip(propagate_frames(endless, first_labels, **settings), expected, strict=False):
        torch.testing.assert_close(labels, wanted)
        labels.zero_()  # spoils neither the later frames nor the input
    assert first_labels.equal(kept)
    assert next(endless).equal(features[1])  # zip asked for one frame more than `expected` has, no further


def test_masks_low_precision_features_and_autocast():
    features, first_labels = random_clip(7, 3, 8, 9, 18, 2)
    mask = first_labels > 0.5
    half = features.bfloat16()
    expected = propagate(half.float(), mask.float(), radius=2)
    torch.testing.assert_close(propagate(half, mask, radius=2), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(propagate(half.float(), mask, radius=2), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    features, first_labels = random_clip(8, 5, 16, 19, 35, 3)
    expected = propagate(features, first_labels, radius=4)
    result = propagate(features.cuda(), first_labels, radius=4)
    assert result.is_cuda
    torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("features_shape", "labels_shape", "settings", "message"),
    [
        ((3, 4, 5, 6), (2, 6, 5), {}, "same size"),
        ((3, 4, 5, 6), (5, 6), {}, "same size"),
        ((4, 5, 6), (2, 5, 6), {}, "T, C, H, W"),
        ((0, 4, 5, 6), (2, 5, 6), {}, "at least one frame"),
        ((3, 4, 5, 6), (2, 5, 6), {"radius": -1}, "radius"),
        ((3, 4, 5, 6), (2, 5, 6), {"topk": 0}, "topk"),
        ((3, 4, 5, 6), (2, 5, 6), {"temperature": 0.0}, "temperature"),
        ((3, 4, 5, 6), (2, 5, 6), {"num_preceding": -1}, "num_preceding is -1"),
        ((3, 4, 5, 6), (2, 5, 6), {"num_preceding": 0, "with_first": False}, "leaves no context"),
    ],
)
def test_bad_input_is_refused(features_shape, labels_shape, settings, message):
    with pytest.raises(ValueError, match=message):
        propagate(torch.rand(features_shape), torch.rand(labels_shape), **settings)


def test_a_frame_of_another_size_is_refused():
    stream = propagate_frames([torch.rand(3, 4, 5), torch.rand(3, 5, 4)], torch.rand(1, 4, 5))
    next(stream)
    with pytest.raises(ValueError, match="Frame 1"):
        next(stream)


@pytest.mark.parametrize("first_windowed", [True, False])
def test_nothing_is_read_back_from_the_device(first_windowed):
    """Tensors without values: whatever asks for one of them (and would make a GPU wait) fails."""
    features, labels = torch.empty(5, 8, 40, 70, device="meta"), torch.empty(3, 40, 70, device="meta")
    result = propagate(features, labels, num_preceding=2, radius=3, first_windowed=first_windowed)
    assert result.shape == (5, 3, 40, 70)
    assert result.device.type == "meta"


@pytest.fixture
def three_threads():
    """Switches from the one of other tests."""
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(3)
    torch.set_num_threads(before)


def test_strips_side_by_side_change_nothing(monkeypatch, three_threads):
    generator = torch.Generator().manual_seed(5)
    query, context = torch.randn(18, 70, 8, generator=generator), torch.randn(3, 18, 70, 8, generator=generator)
    query, context = torch.nn.functional.normalize(query, dim=2), torch.nn.functional.normalize(context, dim=3)
    alone = affinity(query, context, radius=2, topk=5, temperature=0.1)
    three_threads()
    shared = affinity(query, context, radius=2, topk=5, temperature=0.1)
    assert torch.get_num_threads() == 3
    for one, other in zip(alone, shared, strict=True):
        assert one.equal(other)
    monkeypatch.setattr(affinity_module, "_top_pairs", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # what goes wrong in a thread isn't lost
        affinity(query, context, radius=2, topk=5, temperature=0.1)
    assert torch.get_num_threads() == 3


def test_in_inference_mode_with_threads(three_threads):
    features, first_labels = random_clip(6, 4, 8, 18, 70, 2)
    expected = propagate(features, first_labels, radius=2)
    three_threads()
    with torch.inference_mode():
        assert propagate(features, first_labels, radius=2).equal(expected)
