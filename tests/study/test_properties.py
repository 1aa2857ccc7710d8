"""Propagation, measures and label codecs on inputs that nobody chose, against loops in float64.

The default run is the same every time. `STT_FUZZ=20` runs 20 times as many examples, other ones each time, and
`--hypothesis-show-statistics` counts them.
"""

import itertools
import math
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from loops import naive_bilinear, naive_propagation

from stt_core import labels
from stt_core.affinity import affinity
from stt_core.propagation import Context, propagate, propagate_frames
from stt_study.benchmarks import metrics

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
FUZZ = float(os.environ.get("STT_FUZZ", "0"))


def examples(count: int) -> settings:
    """So many of them, or a multiple."""
    return settings(
        max_examples=round(count * max(FUZZ, 1)),
        derandomize=not FUZZ,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# Propagation

SIDES = st.integers(1, 9)
OPTIONS = {
    "radius": st.sampled_from([0, 1, 2, 3, 5, 50, 10**6]),
    "topk": st.sampled_from([1, 2, 3, 5, 10, 37, 1000, 10**6]),
    "window": st.sampled_from(["square", "circle"]),
    "first_windowed": st.booleans(),
}
FRAMES = {
    "num_preceding": st.sampled_from([0, 1, 2, 3, 20, 10**6]),
    "with_first": st.booleans(),
    "first_twice": st.booleans(),
}


@st.composite
def options(draw: st.DrawFn) -> dict:
    """Settings of propagation that are allowed together."""
    chosen = draw(st.fixed_dictionaries(OPTIONS | FRAMES))
    if chosen["window"] == "circle":
        chosen["radius"] = max(chosen["radius"], 1)
    if not chosen["num_preceding"] or not chosen["first_windowed"]:
        chosen["with_first"] = True
    return chosen


def features_of_a_kind(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """(T, C, H, W) float32."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4)
    if kind == "few":  # cells of the same features, in one frame and from frame to frame
        noise = noise[:1, :, :1, :3][:, :, :, rng.integers(0, min(3, shape[3]), (shape[0], *shape[2:]))][0, :, 0]
        noise = noise.transpose(1, 0, 2, 3)
    if kind == "alike":  # cosines that hardly differ
        noise = noise * 1e-3 + rng.standard_normal((1, shape[1], 1, 1))
    if kind == "holes":
        noise *= rng.random((shape[0], 1, *shape[2:])) < 0.6
    return noise.astype(np.float32)


def normalised(features: np.ndarray) -> np.ndarray:
    """Vectors (T, C, H, W) as float64 of length 1, or 0."""
    features = features.astype(np.float64)
    lengths = np.sqrt((features**2).sum(axis=1, keepdims=True))
    return features / np.where(lengths > 0, lengths, 1)


def candidates(context: list, y: int, x: int, height: int, width: int, radius: int, window: str) -> np.ndarray:
    """(n, 3) frame, row, column of all that the query at y, x sees."""

    def is_seen(dy: int, dx: int) -> bool:
        return dy * dy + dx * dx < radius * radius if window == "circle" else abs(dy) <= radius and abs(dx) <= radius

    cells = [(s, whole, i, j) for s, whole in context for i in range(height) for j in range(width)]
    return np.array([(s, i, j) for s, whole, i, j in cells if whole or is_seen(i - y, j - x)])


@examples(110)
@given(
    height=SIDES,
    width=SIDES,
    channels=st.integers(3, 40),
    times=st.integers(1, 6),
    classes=st.sampled_from([1, 2, 3, 20, 300]),
    temperature=st.sampled_from([0.05, 0.07, 0.5, 2.0]),
    chosen=options(),
    seed=st.integers(0, 2**32),
)
def test_propagation_equals_a_loop(height, width, channels, times, classes, temperature, chosen, seed):
    features = torch.from_numpy(features_of_a_kind("noise", (times, channels, height, width), seed))
    first_labels = torch.from_numpy(np.random.default_rng(seed + 1).random((classes, height, width), np.float32))
    expected, gap = naive_propagation(features, first_labels, temperature=temperature, **chosen)
    assume(gap > 1e-5)  # rounding may decide the rest
    found = propagate(features, first_labels, temperature=temperature, **chosen)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-4)


@examples(220)
@given(
    height=SIDES,
    width=SIDES,
    channels=st.integers(1, 40),
    frames=st.integers(1, 5),
    kind=st.sampled_from(["noise", "few", "alike", "holes"]),
    temperature=st.sampled_from([0.05, 1.0, 100.0]),
    chosen=st.fixed_dictionaries(OPTIONS),
    first_twice=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_affinity_keeps_the_nearest_cells_even_among_equal_ones(
    height, width, channels, frames, kind, temperature, chosen, first_twice, seed
):
    """Which of equal cells is kept is left open, but not how near they are, nor their weights."""
    chosen["radius"] = max(chosen["radius"], chosen["window"] == "circle")
    features = normalised(features_of_a_kind(kind, (frames + 1, channels, height, width), seed))
    cells = torch.from_numpy(features.transpose(0, 2, 3, 1).astype(np.float32))
    indices, weights = affinity(
        cells[0].contiguous(),
        cells[1:].contiguous(),
        temperature=temperature,
        first_twice=first_twice,
        **chosen,
    )
    assert indices.shape == weights.shape == (len(indices), height * width)
    query, context = features[0], features[1:]
    again = [(0, False)] if first_twice else []
    whole = not chosen["first_windowed"]
    seen = again + [(s, whole and s == 0) for s in range(frames)]
    most = 0
    for y, x in itertools.product(range(height), range(width)):
        s, i, j = candidates(seen, y, x, height, width, chosen["radius"], chosen["window"]).T
        cosines = np.sort(context[s, :, i, j] @ query[:, y, x])[::-1][: chosen["topk"]]
        count = len(cosines)
        most = max(most, count)
        weight, index = weights[:, y * width + x].double().numpy(), indices[:, y * width + x].numpy()
        assert (weight[count:] == 0).all()
        exact = np.exp((cosines - cosines[0]) / temperature)
        np.testing.assert_allclose(weight[:count], exact / exact.sum(), rtol=0, atol=2e-5)
        allowed = list(map(tuple, np.stack([s, i, j], axis=1).tolist()))
        kept = [(int(n) // (height * width), int(n) // width % height, int(n) % width) for n in index[:count]]
        for cell in kept:
            allowed.remove(cell)  # fails for one that isn't seen, or that is taken too often
        own = np.array([context[c[0], :, c[1], c[2]] @ query[:, y, x] for c in kept])
        np.testing.assert_allclose(np.sort(own)[::-1], cosines, rtol=0, atol=2e-6)
    assert most <= len(indices) <= chosen["topk"]


@examples(150)
@given(
    height=SIDES,
    width=SIDES,
    channels=st.integers(1, 40),
    times=st.integers(1, 6),
    kind=st.sampled_from(["noise", "few", "alike", "holes"]),
    temperature=st.sampled_from([1e-30, 1e-9, 0.07, 1.0, 1e30]),
    chosen=options(),
    seed=st.integers(0, 2**32),
    stop=st.integers(1, 5),
)
def test_labels_stay_shares_and_a_stopped_video_goes_on(
    height, width, channels, times, kind, temperature, chosen, seed, stop
):
    """Whatever is equal or zero: every map is a mean of maps before it; a stream, stopped or not, gives the same."""
    features = torch.from_numpy(features_of_a_kind(kind, (times, channels, height, width), seed))
    ids = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (height, width)))
    first = torch.stack([ids == k for k in range(4)]).float()
    chosen = chosen | {"temperature": temperature}
    maps = propagate(features, first, **chosen)
    chosen["num_preceding"] = min(chosen["num_preceding"], 7)  # a stream holds as many as it is told to
    assert torch.equal(maps, torch.stack(list(propagate_frames(iter(features), first, **chosen))))
    assert torch.equal(maps[0], first)
    assert maps.min() >= 0
    torch.testing.assert_close(maps.sum(dim=1), torch.ones(times, height, width), rtol=0, atol=1e-5)
    absent = first.flatten(1).amax(dim=1) == 0
    assert (maps[:, absent] == 0).all()
    context = Context(**chosen)
    context.put(0, features[0], first)
    kept = chosen["num_preceding"]
    for t in range(max(1, stop - kept), min(stop, times)):
        context.put(t, features[t], maps[t])
    for t in range(stop, times):
        assert torch.equal(context.propagate(t, features[t]), maps[t])


# Masks and their measures


@st.composite
def pairs(draw: st.DrawFn) -> list[np.ndarray]:
    """Two masks (H, W) bool of one size, each a box, everything, nothing, or noise of any density."""
    most, dense = draw(st.sampled_from([((12, 12), 0.5), ((3, 400), 0.03)]))  # there, boundaries may be pixels apart
    shape, rng = tuple(draw(st.integers(1, side)) for side in most), np.random.default_rng(draw(st.integers(0, 2**32)))

    def one() -> np.ndarray:
        if draw(st.booleans()):
            return rng.random(shape) < draw(st.sampled_from([0.0, dense, dense, 1.0]))
        mask, ends = np.zeros(shape, bool), [sorted(rng.integers(0, side + 1, 2)) for side in shape]
        mask[tuple(slice(*each) for each in ends)] = True
        return mask

    return [one(), one()]


def edge_pixels(mask: np.ndarray) -> list[tuple[int, int]]:
    """Pixels that differ from their right, lower or lower-right neighbour; of these, those that there are."""
    pixels = set(np.ndindex(mask.shape))
    neighbours = {(y, x): {(y, x + 1), (y + 1, x), (y + 1, x + 1)} & pixels for y, x in pixels}
    return sorted(pixel for pixel, near in neighbours.items() if any(mask[other] != mask[pixel] for other in near))


def scores(prediction: np.ndarray, annotation: np.ndarray, radius: int | None = None) -> tuple[float, float]:
    """J and F by counting."""
    either = sum(bool(a or b) for a, b in zip(prediction.flat, annotation.flat, strict=True))
    both = sum(bool(a and b) for a, b in zip(prediction.flat, annotation.flat, strict=True))
    ours, theirs = edge_pixels(prediction), edge_pixels(annotation)
    if radius is None:
        radius = math.ceil(0.008 * math.sqrt(prediction.shape[0] ** 2 + prediction.shape[1] ** 2))

    def share(these: list, those: list) -> float:
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in those) for y, x in these]
        return sum(near) / len(near)

    if not ours or not theirs:
        f = float(len(ours) == len(theirs))
    else:
        precision, recall = share(ours, theirs), share(theirs, ours)
        f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return both / either if either else 1.0, f


@examples(500)
@given(pair=pairs(), radius=st.sampled_from([1, 2, 3, 20]))
@example(pair=[np.ones((1, 1), bool)] * 2, radius=1)
@example(pair=[np.zeros((1, 1), bool), np.ones((1, 1), bool)], radius=1)
@example(pair=[np.ones((5, 4), bool), np.zeros((5, 4), bool)], radius=1)
def test_j_and_f_equal_counting(pair, radius):
    prediction, annotation = pair
    expected = scores(prediction, annotation)
    assert metrics.frame_scores(prediction, annotation) == pytest.approx(expected, abs=1e-12)
    assert metrics.jaccard(prediction, annotation) == pytest.approx(expected[0], abs=1e-12)
    f = scores(prediction, annotation, radius)[1]
    assert metrics.boundary_f(prediction, annotation, radius) == pytest.approx(f, abs=1e-12)
    assert list(map(tuple, np.argwhere(metrics.boundary(prediction)).tolist())) == edge_pixels(prediction)


# Joints and their measures

PLACES = st.sampled_from([0.0, -1.0, 1.0, 3.0]) | st.floats(-5, 50, width=32)
ODD = PLACES | st.sampled_from([math.nan, math.inf, -math.inf, 3e38])


@st.composite
def joints(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, some at no number, and truth (T, J, 2)."""
    shape, kind = (draw(st.integers(1, 4)), draw(st.integers(1, 5)), 2), draw(st.sampled_from([np.float32, np.float64]))
    prediction = draw(arrays(kind, shape, elements=draw(st.sampled_from([PLACES, ODD]))))
    if draw(st.booleans()):
        prediction[draw(st.integers(0, shape[0] - 1))] = -1  # all missing
    return prediction, draw(arrays(kind, shape, elements=PLACES))


def distances(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """A joint at a time."""
    found = np.full(prediction.shape[:2], np.nan)
    for t, frame in enumerate(prediction):
        there = [j for j, place in enumerate(frame) if place[0] > 0]
        if not there:
            continue
        sides = [max(truth[t, j, axis] for j in there) - min(truth[t, j, axis] for j in there) for axis in (0, 1)]
        size = 0.6 * math.hypot(*map(float, sides))
        for j in there:
            apart = math.hypot(*(float(p) - float(q) for p, q in zip(frame[j], truth[t, j], strict=True)))
            found[t, j] = apart / size if size and math.isfinite(apart) else math.inf
    return found


@examples(400)
@given(pair=joints())
def test_joints_distances_equal_a_loop(pair):
    prediction, truth = pair
    expected = distances(prediction, truth)
    found = metrics.pck_distances(prediction, truth)
    assert (np.isnan(found) == ~(prediction[..., 0] > 0)).all()
    assume(not ((expected > 1e30) & (expected < np.inf)).any())  # float32 may hold them or not
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# Labels in and out


SIZES = st.tuples(st.integers(1, 14), st.integers(1, 14))
GRIDS = st.tuples(st.integers(1, 7), st.integers(1, 7))


@examples(250)
@given(grid=GRIDS, size=SIZES, seed=st.integers(0, 2**32), kind=st.sampled_from(["noise", "sparse", "zero", "below"]))
def test_decoded_joints_equal_a_loop(grid, size, seed, kind):
    """Also of pictures of fewer than five pixels."""
    maps = np.random.default_rng(seed).uniform(-0.1 if kind == "below" else 0, 1, (3, *grid)).astype(np.float32)
    maps *= {"sparse": maps > 0.9, "zero": False}.get(kind, True)
    found = labels.decode_keypoints(torch.from_numpy(maps), size)
    for image, (x, y) in zip(maps.astype(np.float64), found, strict=True):
        full = naive_bilinear(image, size)
        pixels = sorted(((full[i, j], i, j) for i, j in itertools.product(*map(range, size))), reverse=True)
        if len(pixels) > 5 and pixels[4][0] > 0:
            assume(pixels[4][0] - pixels[5][0] > 1e-6)  # rounding may decide which is the fifth
        best = [(max(value, 0), i, j) for value, i, j in pixels[:5]]
        total = sum(value for value, *_ in best)
        assume(total == 0 or total > 1e-6)
        expected = [sum(v * place[a] for v, *place in best) / total for a in (1, 0)] if total else [-1, -1]
        np.testing.assert_allclose([x, y], expected, rtol=0, atol=1e-3)


# What is no number is refused


def spoilt(*shape: int, place: int, value: float = math.nan) -> torch.Tensor:
    values = torch.rand(shape) + 0.1
    values.view(-1)[place] = value
    return values


FEATURES, FIRST = torch.rand(3, 2, 4, 4), torch.rand(2, 4, 4)
REFUSED = {
    "NaN in features": ("^Frame 1 has features that are NaN", lambda: propagate(spoilt(3, 2, 4, 4, place=40), FIRST)),
    "infinity": ("^Frame 2 has features", lambda: propagate(spoilt(3, 2, 4, 4, place=95, value=math.inf), FIRST)),
    "NaN in labels": ("^Frame 0 has labels that are NaN", lambda: propagate(FEATURES, spoilt(2, 4, 4, place=7))),
    "NaN in masks": ("NaN", lambda: labels.decode_masks(spoilt(3, 2, 2, place=11), (4, 4))),
    "NaN in joints' maps": ("NaN", lambda: labels.decode_keypoints(spoilt(3, 2, 2, place=0), (4, 4))),
    "joint at NaN": ("joint 1 is at NaN", lambda: labels.keypoints_to_maps(spoilt(6, 2, place=2).numpy(), (4, 4))),
    "more maps than ids": ("257 maps", lambda: labels.decode_masks(torch.rand(257, 2, 2), (4, 4))),
}


@pytest.mark.parametrize(("words", "call"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_number_is_refused(words, call):
    with pytest.raises(ValueError, match=words):
        call()
