"""Masks and keypoints to maps and back, against loops, hand-computed cases and other readers of the same files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from loops import naive_bilinear
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from stt_core import labels
from stt_core.propagation import propagate

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "masks.npz"


def test_palette_has_the_known_colours():
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128)}
    known |= {8: (64, 0, 0), 15: (192, 128, 128), 16: (0, 64, 0), 255: (224, 224, 192)}
    for index, colour in known.items():
        assert tuple(labels.PALETTE[index]) == colour, index
    assert labels.PALETTE.shape == (256, 3)
    assert labels.PALETTE.dtype == np.uint8
    assert len(np.unique(labels.PALETTE, axis=0)) == 256


def test_masks_are_written_as_palette_and_read_back(tmp_path):
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    path = tmp_path / "new" / "00000.png"
    labels.write_mask(path, ids)
    np.testing.assert_array_equal(labels.read_mask(path), ids)
    with Image.open(path) as image:
        assert image.mode == "P"
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], labels.PALETTE[ids])  # what a viewer shows
    assert [p.name for p in path.parent.iterdir()] == ["00000.png"]  # nothing temporary stays


@pytest.mark.parametrize(("mode", "largest"), [("L", 127), ("1", 1)])
def test_ids_of_a_grey_png_and_of_one_bit(tmp_path, mode, largest):
    ids = np.random.default_rng(0).integers(0, largest + 1, (5, 7), dtype=np.uint8)
    Image.fromarray(ids if mode == "L" else ids == 1).save(tmp_path / "ids.png")
    np.testing.assert_array_equal(labels.read_mask(tmp_path / "ids.png"), ids)


def test_not_black_is_the_object_in_any_kind_of_png(tmp_path):
    ids = np.array([[0, 1], [4, 255]], np.uint8)
    labels.write_mask(tmp_path / "palette.png", ids)
    cv2.imwrite(str(tmp_path / "grey.png"), ids)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(ids[..., None], 3, axis=2))
    cv2.imwrite(str(tmp_path / "deep.png"), ids.astype(np.uint16))  # 1 of 65535 isn't black, either
    for name in ("palette", "grey", "colour", "deep"):
        found = labels.read_mask(tmp_path / f"{name}.png", not_black=True)
        np.testing.assert_array_equal(found, [[0, 1], [1, 1]])


def test_one_hot_has_background_first_and_leaves_void_out():
    maps = labels.one_hot(np.array([[0, 1, 2], [255, 3, 1]], np.uint8), 2)
    assert maps.dtype == torch.float32
    expected = [[[1, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 1]], [[0, 0, 1], [0, 0, 0]]]
    np.testing.assert_array_equal(maps.numpy(), expected)


@pytest.mark.parametrize(
    ("size", "grid"), [((12, 20), (3, 5)), ((13, 17), (4, 5)), ((9, 9), (9, 9)), ((480, 854), (60, 107))]
)
def test_a_cell_of_a_mask_has_the_id_at_its_centre(size, grid):
    ids = np.random.default_rng(size).integers(0, 3, size, dtype=np.uint8)
    expected = np.zeros((3, *grid))
    for i in range(grid[0]):
        for j in range(grid[1]):
            y, x = (2 * i + 1) * size[0] // (2 * grid[0]), (2 * j + 1) * size[1] // (2 * grid[1])
            expected[ids[y, x], i, j] = 1
    np.testing.assert_array_equal(labels.to_grid(labels.one_hot(ids, 2), grid, "nearest").numpy(), expected)


@pytest.mark.skipif(not GOLDEN.exists(), reason="no ../shared/golden/masks.npz")
@pytest.mark.parametrize("clip", ["three", "odd", "fine"])
def test_the_whole_way_of_a_mask_equals_golden_values(clip):
    with np.load(GOLDEN) as golden:
        parts = ("first_ids", "features", "grid_ids", "predicted_ids", "config")
        first, features, grid_ids, predicted, (_, radius) = (golden[f"{clip}__{name}"] for name in parts)
    maps = labels.to_grid(labels.one_hot(first, int(first.max())), features.shape[2:], "nearest")
    np.testing.assert_array_equal(maps.argmax(dim=0).numpy(), grid_ids)
    carried = propagate(torch.from_numpy(features).float(), maps, radius=int(radius))
    found = np.stack([first, *(labels.decode_masks(frame, first.shape) for frame in carried[1:])])
    assert (found != predicted).mean() <= 1e-6


@pytest.mark.parametrize(("grid", "size"), [((3, 4), (11, 13)), ((5, 3), (20, 12)), ((4, 4), (4, 4))])
def test_decode_masks_equals_loops(grid, size):
    maps = torch.rand(3, *grid, generator=torch.Generator().manual_seed(grid[0]))
    maps *= torch.tensor([5, 1, 0.2])[:, None, None]
    full = np.stack([naive_bilinear(m, size) for m in maps.double().numpy()])  # (K, H, W)
    for k in range(3):
        full[k] = (full[k] - full[k].min()) / (full[k].max() - full[k].min())
    ids = labels.decode_masks(maps, size)
    assert ids.dtype == np.uint8
    ordered = np.sort(full, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-4  # rounding decides the rest
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(ids[clear], full.argmax(axis=0)[clear])


def test_every_class_is_normalised_by_itself():
    """The object's map peaks at 0.3 where the background still has 0.7: normalised, the object wins there."""
    background = torch.tensor([[1.0, 1.0, 0.7, 1.0]])
    maps = torch.stack([background, 1 - background])  # (2, 1, 4)
    np.testing.assert_array_equal(labels.decode_masks(maps, (1, 4)), [[0, 0, 1, 0]])
    np.testing.assert_array_equal(labels.decode_masks(maps, (1, 4), normalise=False), [[0, 0, 0, 0]])


def test_a_lost_object_takes_no_pixel():
    maps = torch.stack(
        [torch.tensor([[1.0, 0.8], [0.9, 0.1]]), torch.zeros(2, 2), torch.tensor([[0.0, 0.2], [0.1, 0.9]])]
    )
    assert set(np.unique(labels.decode_masks(maps, (8, 8)))) == {0, 2}


def test_keypoint_maps_are_gaussians():
    joints = np.array([[3.0, 5.5], [-1.0, -1.0], [0.0, 0.0]], np.float32)
    maps = labels.keypoints_to_maps(joints, (13, 9), sigma=2.0)
    assert maps.shape == (3, 13, 9)
    for y in range(13):
        for x in range(9):
            inside = abs(x - 3) <= 6 and abs(y - 5.5) <= 6  # 3 sigma
            assert maps[0, y, x] == pytest.approx(inside * np.exp(-((x - 3) ** 2 + (y - 5.5) ** 2) / 8), abs=1e-6)
    assert maps[0, 12, 3] == 0
    assert maps[1].eq(0).all()  # missing
    assert maps[2, 0, 0] == 1  # a joint on the first pixel is there


@pytest.mark.parametrize(("size", "grid"), [((240, 320), (40, 40)), ((160, 160), (20, 20))])
def test_keypoints_survive_the_grid(size, grid):
    """The grid differs in aspect from the image, too: JHMDB is propagated at 320 x 320."""
    height, width = size
    joints = np.random.default_rng(0).uniform((12, 12), (width - 12, height - 12), (15, 2)).astype(np.float32)
    joints[4] = -1
    found = labels.decode_keypoints(labels.to_grid(labels.keypoints_to_maps(joints, size), grid, "bilinear"), size)
    np.testing.assert_array_equal(found[4], [-1, -1])
    cell = max(height / grid[0], width / grid[1])
    errors = np.linalg.norm(found - joints, axis=1)
    assert errors.max() < cell  # never a cell off
    assert errors.mean() < cell / 2


def test_decoding_takes_no_more_memory_for_more_objects():
    """Of 30 objects not much more at a time than of two, in maps of the picture's size."""

    class Watch(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
            result = function(*arguments, **kwargs or {})
            for value in result if isinstance(result, tuple) else (result,):
                self.largest = max(self.largest, value.numel() if isinstance(value, torch.Tensor) else 0)
            return result

    with Watch() as watch:
        labels.decode_masks(torch.rand(30, 6, 8), (48, 64))
    assert watch.largest <= 48 * 64
