"""Batches, images and frame pairs: permutations, resuming, crops measured in pictures that show their coordinates."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from writers import write_picture

from stt_core.training.images import Images
from stt_core.training.loop import EpochBatches
from stt_core.training.pairs import FramePairs


def noise(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(value, height=20, width=32):
    return np.full((height, width, 3), value, np.uint8)


def coordinates(height, width):
    """Red is x, green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


def test_every_epoch_is_a_permutation():
    batches = list(EpochBatches(12, 4, 30, seed=5))
    assert len(batches) == len(EpochBatches(12, 4, 30)) == 30
    orders = set()
    for epoch in range(10):
        part = [address for batch in batches[3 * epoch : 3 * epoch + 3] for address in batch]
        assert {e for e, _ in part} == {epoch}
        assert sorted(index for _, index in part) == list(range(12))
        orders.add(tuple(index for _, index in part))
    assert len(orders) == 10


def test_the_short_batch_of_an_epoch_is_left_out():
    batches = list(EpochBatches(11, 4, 4))
    assert [len(batch) for batch in batches] == [4] * 4
    assert [batch[0][0] for batch in batches] == [0, 0, 1, 1]
    assert len({index for batch in batches[:2] for _, index in batch}) == 8


@pytest.mark.parametrize("start", [0, 1, 3, 4, 13, 20, 25])
def test_resuming_yields_what_was_left(start):
    whole = list(EpochBatches(11, 3, 20, seed=2))
    rest = EpochBatches(11, 3, 20, start=start, seed=2)
    assert list(rest) == whole[start:]
    assert len(rest) == max(0, 20 - start)


def test_a_batch_larger_than_the_data_wraps():
    batches = list(EpochBatches(3, 8, 4))
    assert [len(batch) for batch in batches] == [8] * 4
    for epoch, batch in enumerate(batches):
        assert {e for e, _ in batch} == {epoch}
        assert sorted(Counter(index for _, index in batch).values()) == [2, 3, 3]


@pytest.fixture
def images(tmp_path):
    sizes = {"n02/b.JPEG": (40, 60), "n01/a.png": (32, 32), "n01/c.jpg": (90, 50), "n02/d.jpeg": (16, 20)}
    for seed, (name, size) in enumerate(sizes.items()):
        write_picture(tmp_path / "train" / name, noise(*size, seed))
    (tmp_path / "train/n01/notes.txt").write_text("not an image")
    return tmp_path


def test_images_are_found_in_order(images):
    found = Images(images, 24)
    names = ["n01/a.png", "n01/c.jpg", "n02/b.JPEG", "n02/d.jpeg"]
    assert [path.relative_to(images / "train").as_posix() for path in found.paths] == names
    assert Images(images / "train", 24).paths == found.paths
    assert len(found) == 4
    for index in range(4):
        image = found[0, index]
        assert image.shape == (3, 24, 24)
        assert image.dtype == torch.uint8


def test_an_image_is_a_random_square_of_the_resized_one(tmp_path):
    pixels = noise(24, 60, 0)
    write_picture(tmp_path / "a/wide.png", pixels)
    found, lefts = Images(tmp_path, 24), set()
    for epoch in range(40):
        image = found[epoch, 0].permute(1, 2, 0).numpy()
        places = [left for left in range(37) if np.array_equal(image, pixels[:, left : left + 24])]
        assert len(places) == 1
        lefts.update(places)
    assert len(lefts) > 15
    assert min(lefts) < 9
    assert max(lefts) > 27


def test_the_short_side_is_resized(tmp_path):
    """A horizontal ramp of 96 x 160 px at 48 px: a square covers 96 of its 160 columns."""
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, :, None], (96, 160, 3)).copy()
    write_picture(tmp_path / "a/ramp.png", ramp)
    image = Images(tmp_path, 48)[3, 0].int()
    assert image.shape == (3, 48, 48)
    assert (image[:, :, -1] - image[:, :, 0]).float().mean() == pytest.approx(94, abs=1.5)


def test_youtube_vos_uses_the_listed_frames(tmp_path):
    """Of any object; every fifth frame up to 25 is on the disk, and 25 is on no list."""
    listed, videos = {"b7": [[0, 5, 10]], "a1": [[15, 20], [5, 15]]}, {}
    for video, things in listed.items():
        for number in range(0, 30, 5):
            write_picture(tmp_path / f"train/JPEGImages/{video}/{number:05d}.jpg", plain(number))
        objects = {str(k): {"category": "ape", "frames": [f"{n:05d}" for n in some]} for k, some in enumerate(things)}
        videos[video] = {"objects": objects}
    (tmp_path / "train/meta.json").write_text(json.dumps({"videos": videos}))
    pairs = FramePairs(tmp_path)
    found = [[f"{path.parent.name}/{path.stem}" for path in frames] for frames in pairs.videos]
    assert found == [["a1/00005", "a1/00015", "a1/00020"], ["b7/00000", "b7/00005", "b7/00010"]]
    assert len(pairs) == 4


def test_a_pair_is_cut_out_alike(tmp_path):
    for t in range(3):
        write_picture(tmp_path / f"still/{t}.png", noise(50, 90, 0))
    pairs = FramePairs(tmp_path, size=32)
    seen = []
    for epoch in range(6):
        pair = pairs[epoch, 1]
        assert pair.shape == (2, 3, 32, 32)
        assert pair.dtype == torch.uint8
        assert torch.equal(pair[0], pair[1])
        seen.append(pair)
    assert all(not torch.equal(seen[0], other) for other in seen[1:])


@pytest.mark.parametrize(("min_gap", "max_gap"), [(1, 1), (1, 3), (2, 3)])
def test_the_query_comes_min_gap_to_max_gap_frames_later(tmp_path, min_gap, max_gap):
    for t in range(6):
        write_picture(tmp_path / f"a/{t}.png", plain(10 * t))
        write_picture(tmp_path / f"b/{t}.png", plain(100 + 10 * t))
    pairs, each = FramePairs(tmp_path, size=8, min_gap=min_gap, max_gap=max_gap), 6 - min_gap
    assert len(pairs) == 2 * each
    for index in range(2 * each):
        start, gaps = (100 if index >= each else 0) + index % each * 10, set()
        for epoch in range(40):
            pair = pairs[epoch, index]
            reference, query = (int(view.unique().item()) for view in pair)  # plain frames stay plain
            assert reference == start
            gaps.add((query - reference) // 10)
        assert gaps == set(range(min_gap, min(max_gap, 5 - index % each) + 1))  # never beyond the video's end


def test_crops_have_the_stated_area_and_aspect(tmp_path):
    height, width = 140, 240
    for t in range(2):
        write_picture(tmp_path / f"a/{t}.png", coordinates(height, width))
    pairs = FramePairs(tmp_path, size=64, area=(0.6, 0.9), aspect=(1.5, 2.0))
    shares, aspects, flips = [], [], []
    for epoch in range(200):
        x, y = pairs[epoch, 0][0, :2].float().numpy()  # (2, size, size)
        # A view's outer cells show the crop's half a cell further in; the slope tells its extent.
        across = (x[:, 60].mean() - x[:, 4].mean()) * 64 / 56
        down = (y[60].mean() - y[4].mean()) * 64 / 56
        flips.append(across < 0)
        shares.append(abs(across) * down / (height * width))
        aspects.append(abs(across) / down)
    assert 0.58 < min(shares) < 0.63
    assert 0.85 < max(shares) < 0.92
    assert 1.45 < min(aspects) < 1.56
    assert 1.9 < max(aspects) < 2.05
    assert 70 < sum(flips) < 130


def test_where_no_crop_fits_the_central_square_is_taken(tmp_path):
    """A frame of 30 x 200 px (width x height) has no crop of 60 % of it that is wider than high."""
    for t in range(2):
        write_picture(tmp_path / f"a/{t}.png", coordinates(200, 30))
    x, y = FramePairs(tmp_path, size=30)[0, 0][0, :2].float().numpy()
    assert (x.min(), x.max()) == (pytest.approx(0, abs=1), pytest.approx(29, abs=1))
    np.testing.assert_allclose(y, np.broadcast_to(np.arange(85, 115)[:, None], (30, 30)), atol=1)


@pytest.mark.parametrize(("kind", "settings"), [(Images, {"load_size": 24}), (FramePairs, {"size": 24, "max_gap": 3})])
def test_items_depend_on_the_address_only(tmp_path, kind, settings):
    for t in range(5):
        write_picture(tmp_path / f"a/{t}.png", noise(40, 70, t))
    fresh, cached = kind(tmp_path, seed=1, **settings), kind(tmp_path, seed=1, cache=True, **settings)
    addresses = [(epoch, index) for epoch in range(4) for index in range(4)]
    expected = {address: fresh[address] for address in addresses}
    for address in reversed(addresses):
        assert torch.equal(cached[address], expected[address])
    assert not torch.equal(expected[0, 1], expected[3, 1])
    assert not torch.equal(kind(tmp_path, seed=2, **settings)[0, 0], expected[0, 0])
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    assert torch.equal(cached[2, 3], expected[2, 3])  # from memory
