"""The world's true correspondence, against pixels, against moves that are known, and against crops by hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_synthetic import still

from stt_core.encoder import STANDARD, Encoder
from stt_core.errors import InputError
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.loop import EpochBatches
from stt_core.training.train_temporal import train_temporal
from stt_study.analysis.held_out_pairs import coverage, label_error
from stt_study.world.layouts import Truth
from stt_study.world.oracle import OraclePairs, partners, true_correlation
from stt_study.world.scenes import look, random_scene, render, track
from stt_study.world.synthetic import World, write_world

WORLD = World(
    seed=5, size=128, labelled_size=96, images=1, classes=1, train_videos=6, train_frames=6, val_videos=1,
    test_videos=1, frames=3, truth=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world") / "made", WORLD)


def flat(labels: np.ndarray, dx: float = 0, dy: float = 0) -> Truth:
    """A frame of one thing, moved by whole pixels."""
    return Truth(labels, np.array([[[1.0, 0, dx], [0, 1.0, dy]]] * 3), 0)


def test_what_stays_is_the_identity_and_a_pan_a_shift() -> None:
    rng = np.random.default_rng(0)
    shot = replace(random_scene(rng, "train", 128, [look(rng, "train")]), actors=())
    nothing = track(rng, np.zeros(4), 0.0)
    shot = replace(shot, pan=track(rng, (0, 0), 0.0, drift=(-0.25, 0.125)), camera=nothing)
    first, second = (Truth(frame.labels, frame.matrices, 0) for frame in (render(shot, t, rng) for t in (0.0, 1.0)))
    assert torch.equal(true_correlation(first, first, 4), torch.eye(16))
    found = true_correlation(second, first, 4)  # the background went a cell to the left, half a cell down
    for row in range(4):
        for column in range(4):
            expected = torch.zeros(4, 4)
            if column < 3 and row > 0:
                expected[row - 1 : row + 1, column + 1] = 0.5
            if column < 3 and row == 0:
                expected[0, column + 1] = 1  # its lower half alone has come from inside
            torch.testing.assert_close(found[4 * row + column].view(4, 4), expected, atol=0.04, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_pixels_are_found_where_the_truth_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shot = still(random_scene(rng, "train", 160, [look(rng, "train")], hidden=1.0))
    reference, query = (render(shot, t, rng) for t in (0.0, 15.0))
    places, seen = partners(*(Truth(frame.labels, frame.matrices, 0) for frame in (query, reference)))
    x, y = np.moveaxis(places.astype(np.float32), 2, 0)
    warped = cv2.remap(reference.image, x, y, cv2.INTER_LINEAR).astype(float)
    followed = np.abs(warped - query.image)[seen].mean()
    stayed = np.abs(reference.image.astype(float) - query.image)[seen].mean()
    unseen = np.abs(warped - query.image)[~seen & (x >= 0) & (x < 159) & (y >= 0) & (y < 159)].mean()
    assert 0.3 < seen.mean() < 1
    assert followed < 0.35 * stayed
    assert followed < 0.35 * unseen  # something else is there


def test_hidden_pixels_and_cuts_have_no_partner() -> None:
    query, reference = flat(np.zeros((8, 8), np.int16)), flat(np.zeros((8, 8), np.int16))
    reference.labels[:4, 4:] = 1  # in front of the upper right cell, and of a quarter of the lower left one
    reference.labels[4:6, :2] = 2
    found = true_correlation(query, reference, 2)
    assert found.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert not true_correlation(query, replace(reference, shot=3), 2).any()


def test_crop_and_flip_by_hand() -> None:
    query, reference = flat(np.zeros((12, 16), np.int16), dx=2), flat(np.zeros((12, 16), np.int16))
    crop = (2, 4, 8, 8)  # two by two cells of 4 px; everything came from 2 px to the left
    found = true_correlation(query, reference, 2, crop)
    assert found.tolist() == [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0.5, 0.5]]
    mirrored = true_correlation(query, reference, 2, crop, flip=True)
    other = [1, 0, 3, 2]
    assert torch.equal(mirrored, found[other][:, other])
    # The same as frames that are cut and mirrored before.
    cut = flat(np.zeros((8, 8), np.int16), dx=-2)
    assert torch.equal(mirrored, true_correlation(cut, flat(np.zeros((8, 8), np.int16)), 2))


def test_the_oracle_beats_staying_on_training_pairs(world: Path) -> None:
    pairs = OraclePairs(world / "youtube-vos", size=256, min_gap=3, max_gap=4, aspect=(0.84, 1.125))
    oracle, stay, counted = [], [], 0
    for address in next(iter(EpochBatches(len(pairs), len(pairs), 1))):
        views, target = pairs[address]
        frames, (top, left, height, width), flip = pairs.cut(address)
        assert views.shape == (2, 3, 256, 256)
        sums = target.sum(dim=1)
        counts = sums > 0
        torch.testing.assert_close(sums[counts], torch.ones(int(counts.sum())))
        counted += int(counts.sum())
        # What is seen, by bone, in the very pixels that the views show.
        labels = [Truth.read(frame).labels[top : top + height, left : left + width] for frame in frames]
        ids = np.unique(labels)
        shown = [np.searchsorted(ids, one[:, ::-1] if flip else one).astype(np.uint8) for one in labels]
        earlier, later = (coverage(one, (8, 8), len(ids) - 1) for one in shown)
        for found, own in ((oracle, target), (stay, torch.eye(64))):
            found.append(label_error(own[None], earlier, later)[counts.view(8, 8)])
    assert counted > 200
    # Cells are coarse: what lies across two of them is copied from both, so even the truth is wrong by some.
    assert torch.cat(oracle).mean() < 0.7 * torch.cat(stay).mean()


def test_truth_lies_beside_what_the_same_world_has_without_it(world: Path, tmp_path: Path) -> None:
    plain = write_world(tmp_path / "plain", replace(WORLD, truth=False))

    def content(root: Path) -> dict[Path, bytes]:
        paths = (path for path in root.rglob("*") if path.is_file() and path.name != "world.json")
        return {path.relative_to(root): path.read_bytes() for path in paths}

    with_truth = content(world)
    assert {path: read for path, read in with_truth.items() if "Truth" not in path.parts} == content(plain)
    assert sum("Truth" in path.parts for path in with_truth) == 6 * 6 + 2 * 3
    with pytest.raises(InputError, match=r"world\.truth"):
        OraclePairs(plain / "youtube-vos", size=64)[0, 0]


def test_training_is_given_the_targets_part_by_part(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, forward = [], SpatialThenTemporal.forward

    def noting(self, pairs, channel, target=None):
        seen.append((pairs, target))
        return forward(self, pairs, channel, target)

    monkeypatch.setattr(SpatialThenTemporal, "forward", noting)
    small = {"width": 0.125, "size": 64, "batch": 4, "accumulate": 2, "steps": 2, "warmup": 0}
    settings = TemporalSettings(**small, radius_fine=3, radius_coarse=2)
    pairs = OraclePairs(world / "youtube-vos", size=64, min_gap=2, max_gap=3, aspect=(0.84, 1.125))
    train_temporal(settings, pairs, tmp_path / "run", initial=None, teacher=Encoder(18, 0.125, *STANDARD))
    addresses = [address for batch in EpochBatches(len(pairs), 4, 2) for address in batch]
    expected = [torch.stack(some) for some in zip(*(pairs[address] for address in addresses), strict=True)]
    assert len(seen) == 4
    for found, known in zip(zip(*seen, strict=True), expected, strict=True):
        assert torch.equal(torch.cat(found), known)
