"""Loaders of the official layouts and of training data: made-up folders, real ones where they are, and bad input."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch.utils.data import DataLoader

from stt_core.datasets import (
    davis_sequences,
    find_folder,
    jhmdb_clips,
    read_image,
    read_sequence_mask,
    vip_sequences,
)
from stt_core.files import InputError
from stt_core.labels import write_mask
from stt_core.training_data import EpochBatches, FramePairs, Images

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def noise(seed, height=24, width=32):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def lines(path, *names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(names) + "\n\n")


@pytest.fixture
def davis(tmp_path):
    for name in ("cat", "ant"):
        for t in range(3):
            write(tmp_path / "JPEGImages/480p" / name / f"{t:05d}.jpg", noise(t))
            write_mask(tmp_path / "Annotations/480p" / name / f"{t:05d}.png", np.full((24, 32), t, np.uint8))
    lines(tmp_path / "ImageSets/2017/val.txt", "cat", "ant")
    return tmp_path


@pytest.fixture
def vip(tmp_path):
    for t in (1, 26, 51):
        write(tmp_path / "Images/v1" / f"{t:012d}.jpg", noise(t))
        write_mask(tmp_path / "Annotations/v1" / f"{t:012d}.png", np.zeros((24, 32), np.uint8))
    lines(tmp_path / "lists/val_videos.txt", "v1")
    return tmp_path


@pytest.fixture
def jhmdb(tmp_path):
    for t in range(4):
        write(tmp_path / "Rename_Images/catch/c1" / f"{t + 1:05d}.png", noise(t))
    positions = tmp_path / "joint_positions/catch/c1/joint_positions.mat"
    positions.parent.mkdir(parents=True)
    pos_img = np.arange(2 * 15 * 4, dtype=float).reshape(2, 15, 4)
    savemat(positions, {"pos_img": pos_img})
    lines(tmp_path / "val_list.txt", "joint_positions/catch/c1/joint_positions.mat Rename_Images/catch/c1")
    return tmp_path


# --- one image ---


def test_images_are_rgb(tmp_path):
    write(tmp_path / "a.png", np.full((2, 3, 3), (255, 128, 0), np.uint8))  # OpenCV writes blue first
    image = read_image(tmp_path / "a.png")
    assert (image.shape, image.dtype) == ((2, 3, 3), np.uint8)
    assert (image == (0, 128, 255)).all()
    write(tmp_path / "grey.png", np.full((2, 3), 7, np.uint8))
    assert (read_image(tmp_path / "grey.png") == 7).all()


@pytest.mark.parametrize("name", ["frame.jpg", "frame.png"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.6, 0.95])
def test_cut_off_images_are_named(tmp_path, name, kept):
    """OpenCV would fill the rest of a cut-off JPEG with grey."""
    path = tmp_path / name
    write(path, noise(0, 100, 120))
    content = path.read_bytes()
    read_image(path)
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=rf"{name} cannot be decoded"):
        read_image(path)


def test_a_jpeg_may_have_bytes_after_its_end(tmp_path):
    path = tmp_path / "frame.jpg"
    write(path, noise(0, 100, 120))
    expected = read_image(path)
    path.write_bytes(path.read_bytes() + b"\0" * 64)
    np.testing.assert_array_equal(read_image(path), expected)


def test_bad_images_are_named(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.jpg cannot be decoded"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(InputError, match=r"gone\.jpg is missing"):
        read_image(tmp_path / "gone.jpg")


# --- labelled benchmarks ---


def test_davis(davis):
    cat, ant = davis_sequences(davis)  # the list's order
    assert (cat.name, ant.name) == ("cat", "ant")
    assert [p.name for p in cat.frames] == ["00000.jpg", "00001.jpg", "00002.jpg"]
    assert [p.name for p in cat.masks] == ["00000.png", "00001.png", "00002.png"]
    assert cat.frames[0].parent == davis / "JPEGImages/480p/cat"
    assert ant.masks[0].parent == davis / "Annotations/480p/ant"
    assert (read_sequence_mask(cat, 2) == 2).all()


def test_davis_other_split_year_and_resolution(davis):
    for kind in ("JPEGImages", "Annotations"):
        shutil.copytree(davis / kind / "480p" / "cat", davis / kind / "Full-Resolution" / "cat")
    lines(davis / "ImageSets/2016/train.txt", "cat")
    (cat,) = davis_sequences(davis, "train", year="2016", resolution="Full-Resolution")
    assert "Full-Resolution" in cat.frames[0].parts
    assert "Full-Resolution" in cat.masks[0].parts


def test_bad_davis_is_named(davis, tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist.*DAVIS"):
        davis_sequences(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"test\.txt is missing"):
        davis_sequences(davis, "test")
    lines(davis / "ImageSets/2017/empty.txt")
    with pytest.raises(InputError, match=r"empty\.txt lists nothing"):
        davis_sequences(davis, "empty")
    lines(davis / "ImageSets/2017/more.txt", "cat", "dog")
    with pytest.raises(InputError, match=r"dog has no \*\.jpg frames, but its sequence is listed"):
        davis_sequences(davis, "more")


def test_davis_frames_and_annotations_must_pair(davis):
    extra = davis / "Annotations/480p/ant/00003.png"
    write_mask(extra, np.zeros((24, 32), np.uint8))
    with pytest.raises(InputError, match=r"ant/00003\.png annotates a frame that is not in"):
        davis_sequences(davis)
    extra.unlink()
    (davis / "Annotations/480p/ant/00001.png").unlink()
    with pytest.raises(InputError, match=r"ant/00001\.png is missing, but its frame is there"):
        davis_sequences(davis)


def test_an_annotation_of_another_size_is_named(davis):
    write_mask(davis / "Annotations/480p/cat/00001.png", np.zeros((12, 32), np.uint8))
    cat = davis_sequences(davis)[0]
    read_sequence_mask(cat, 0)
    with pytest.raises(InputError, match=r"cat/00001\.png is 32x12 px but its frame is 32x24"):
        read_sequence_mask(cat, 1)


def test_vip(vip):
    (video,) = vip_sequences(vip)
    assert video.name == "v1"
    assert [p.stem for p in video.frames] == [p.stem for p in video.masks] == [f"{t:012d}" for t in (1, 26, 51)]
    (vip / "Annotations/v1").rename(vip / "v1")  # the original archive has Category_ids in between
    (vip / "Annotations/Category_ids").mkdir()
    (vip / "v1").rename(vip / "Annotations/Category_ids/v1")
    (video,) = vip_sequences(vip)
    assert video.masks[0] == vip / "Annotations/Category_ids/v1/000000000001.png"
    assert video.masks[0].is_file()


def test_bad_vip_is_named(vip):
    with pytest.raises(InputError, match=r"test_videos\.txt is missing"):
        vip_sequences(vip, "test")
    (vip / "Annotations/v1/000000000026.png").unlink()
    with pytest.raises(InputError, match=r"000000000026\.png is missing"):
        vip_sequences(vip)


def test_jhmdb(jhmdb):
    (clip,) = jhmdb_clips(jhmdb)
    assert clip.name == "catch/c1"
    assert [p.name for p in clip.frames] == ["00001.png", "00002.png", "00003.png", "00004.png"]
    assert (clip.joints.shape, clip.joints.dtype) == ((4, 15, 2), np.float32)
    # pos_img[axis, joint, frame] = 60 axis + 4 joint + frame, counted from 1
    np.testing.assert_array_equal(clip.joints[3, 2], [4 * 2 + 3 - 1, 60 + 4 * 2 + 3 - 1])


def test_jhmdb_frames_without_joints_are_left_out(jhmdb):
    write(jhmdb / "Rename_Images/catch/c1/00005.png", noise(5))
    (clip,) = jhmdb_clips(jhmdb)
    assert len(clip.frames) == len(clip.joints) == 4
    assert clip.frames[-1].name == "00004.png"


def test_bad_jhmdb_is_named(jhmdb):
    with pytest.raises(InputError, match=r"test_list\.txt is missing"):
        jhmdb_clips(jhmdb, "test_list.txt")
    lines(jhmdb / "bad.txt", "only-one-part")
    with pytest.raises(InputError, match=r"bad\.txt: 'only-one-part' is not"):
        jhmdb_clips(jhmdb, "bad.txt")
    (jhmdb / "Rename_Images/catch/c1/00002.png").unlink()
    with pytest.raises(InputError, match=r"c1 has 3 frames but .*joint_positions\.mat has 4"):
        jhmdb_clips(jhmdb)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        ({"pos_world": np.zeros((2, 15, 4))}, "no readable pos_img"),
        ({"pos_img": np.zeros((2, 14, 4))}, r"\(2, 14, 4\), not \(2, 15, frames\)"),
        ({"pos_img": np.zeros((2, 15))}, "no readable pos_img"),
        (b"no matrix", "no readable pos_img"),
    ],
)
def test_bad_joint_positions_are_named(jhmdb, content, message):
    positions = jhmdb / "joint_positions/catch/c1/joint_positions.mat"
    positions.unlink()
    if isinstance(content, bytes):
        positions.write_bytes(content)
    elif content:
        savemat(positions, content)
    with pytest.raises(InputError, match=rf"joint_positions\.mat.*{message}"):
        jhmdb_clips(jhmdb)


def test_find_folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "a").write_text("a file is no folder")
    assert find_folder(tmp_path, ("a", "b", "c"), "videos") == tmp_path / "b"
    with pytest.raises(InputError, match=r"has no videos folder.*x or y"):
        find_folder(tmp_path, ("x", "y"), "videos")


@real
def test_real_benchmarks():
    sequences = davis_sequences(DATA / "davis")
    assert len(sequences) == 8
    assert sum(len(s.frames) for s in sequences) == sum(len(s.masks) for s in sequences) == 419
    assert set(np.unique(read_sequence_mask(sequences[0], 0))) == {0, 1}
    (video,) = vip_sequences(DATA / "vip-camvid")
    assert len(video.frames) == 101
    assert set(np.unique(read_sequence_mask(video, 0))) <= {*range(11), 255}


@pytest.mark.skipif(not list(DATA.glob("jhmdb/**/joint_positions.mat")), reason="no joint_positions.mat in ../shared")
def test_real_jhmdb_clip():
    (clip,) = jhmdb_clips(DATA / "jhmdb")
    assert len(clip.frames) == len(clip.joints) == 40
    height, width = read_image(clip.frames[0]).shape[:2]
    assert ((clip.joints >= 0) & (clip.joints < (width, height))).all()


# --- training images ---


@pytest.fixture
def classes(tmp_path):
    write(tmp_path / "train/n01/a.JPEG", noise(0, 60, 40))
    write(tmp_path / "train/n01/b.png", noise(1, 20, 20))
    write(tmp_path / "train/n02/c.jpg", noise(2, 20, 50))
    (tmp_path / "train/n02/notes.txt").write_text("no image")
    (tmp_path / "train/list.txt").write_text("no folder")
    return tmp_path


def test_images_of_class_folders(classes):
    images = Images(classes, 20)
    assert [p.name for p in images.paths] == ["a.JPEG", "b.png", "c.jpg"]
    assert [p for p in Images(classes / "train", 20).paths] == images.paths
    for index in range(3):
        item = images[0, index]
        assert (item.shape, item.dtype) == ((3, 20, 20), torch.uint8)
        assert item.is_contiguous() or item.permute(1, 2, 0).is_contiguous()
    expected = torch.from_numpy(read_image(classes / "train/n01/b.png")).permute(2, 0, 1)
    assert images[0, 1].equal(expected)  # already of that size: untouched


def test_images_are_random_squares_of_the_resized_image(classes):
    images = Images(classes, 20, seed=3)
    wide = read_image(classes / "train/n02/c.jpg")  # (20, 50, 3): only its left edge is drawn
    lefts = set()
    for epoch in range(12):
        item = images[epoch, 2].permute(1, 2, 0).numpy()
        lefts |= {left for left in range(31) if (wide[:, left : left + 20] == item).all()}
    assert len(lefts) > 5
    tall = cv2.resize(read_image(classes / "train/n01/a.JPEG"), (20, 30), interpolation=cv2.INTER_AREA)
    item = images[0, 0].permute(1, 2, 0).numpy()
    assert any((tall[top : top + 20] == item).all() for top in range(11))


def test_small_images_are_enlarged(classes):
    item = Images(classes, 40)[0, 1].permute(1, 2, 0).numpy().astype(int)
    expected = cv2.resize(read_image(classes / "train/n01/b.png"), (40, 40), interpolation=cv2.INTER_LINEAR)
    assert np.abs(item - expected).max() <= 1


def test_an_item_depends_on_seed_epoch_and_index_only(classes):
    first, second, cached = Images(classes, 15), Images(classes, 15), Images(classes, 15, cache=True)
    addresses = [(epoch, index) for epoch in range(3) for index in range(3)]
    expected = {address: first[address] for address in addresses}
    for address in reversed(addresses):
        assert second[address].equal(expected[address])
        assert cached[address].equal(expected[address])
    assert not expected[0, 0].equal(expected[1, 0])
    assert not expected[0, 0].equal(Images(classes, 15, seed=1)[0, 0])


def test_cached_images_are_read_once(classes):
    images = Images(classes, 15, cache=True)
    expected = images[4, 0]
    images.paths[0].unlink()
    assert images[4, 0].equal(expected)


def test_bad_image_folders_are_named(classes, tmp_path):
    with pytest.raises(InputError, match="nowhere has no images in class folders"):
        Images(tmp_path / "nowhere")
    (classes / "train/n01/a.JPEG").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"a\.JPEG cannot be decoded"):
        Images(classes, 20)[0, 0]


# --- training pairs ---


def coordinates(height, width):
    """A frame whose red is x and whose green is y, 0 to 255 over the picture (BGR, as OpenCV writes it)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([np.zeros_like(x), y * 255 / (height - 1), x * 255 / (width - 1)], axis=-1).round().astype(np.uint8)


def crop_of(view):
    """Left, top, width, height as shares of the frame, and whether the view (3, S, S) is flipped, by its colours."""
    red, green = view[0].float(), view[1].float()
    left, right, top, bottom = (float(v) / 255 for v in (red.min(), red.max(), green.min(), green.max()))
    return left, top, right - left, bottom - top, bool(red[0, 0] > red[0, -1])


@pytest.fixture
def still(tmp_path):
    """One video of four equal frames of 480 x 854 px."""
    for t in range(4):
        write(tmp_path / "video" / f"{t:05d}.png", coordinates(480, 854))
    return tmp_path


def test_both_frames_are_cut_out_alike(still):
    pairs = FramePairs(still, size=64, cache=True)
    crops = []
    for epoch in range(30):
        pair = pairs[epoch, 1]
        assert (pair.shape, pair.dtype) == ((2, 3, 64, 64), torch.uint8)
        assert pair[0].equal(pair[1])
        crops.append(crop_of(pair[0]))
    left, top, width, height, flipped = np.array(crops).T
    assert 0.57 < (width * height).min() < 0.75 < 0.85 < (width * height).max() <= 1.0  # a pixel's breadth is lost
    aspect = (width * 854) / (height * 480)
    assert 1.45 < aspect.min() < 1.65 < 1.85 < aspect.max() < 2.06
    assert 5 < flipped.sum() < 25
    assert left.std() > 0.01
    assert top.std() > 0.01


def test_where_no_crop_fits_the_largest_central_one_is_taken(tmp_path):
    for t in range(2):
        write(tmp_path / "square" / f"{t}.png", coordinates(300, 300))
        write(tmp_path / "wide/square" / f"{t}.png", coordinates(100, 400))
    left, top, width, height, _ = crop_of(FramePairs(tmp_path, size=96, area=(1, 1), aspect=(3, 3))[0, 0][0])
    np.testing.assert_allclose([left, top, width, height], [0, 1 / 3, 1, 1 / 3], atol=0.02)
    pairs = FramePairs(tmp_path / "wide", size=96, area=(1, 1), aspect=(1.5, 2))
    left, top, width, height, _ = crop_of(pairs[0, 0][0])
    np.testing.assert_allclose([left, top, width, height], [1 / 4, 0, 1 / 2, 1], atol=0.02)


def grey_video(folder, names, ending=".png"):
    """Frames that are grey in 8 times their number."""
    for name in names:
        write(folder / f"{name}{ending}", np.full((40, 70, 3), 8 * int(name), np.uint8))


def times(pair):
    return [round(float(view.float().mean()) / 8) for view in pair]


def test_the_second_frame_is_one_to_max_gap_later(tmp_path):
    grey_video(tmp_path / "a", [f"{t:05d}" for t in range(6)])
    grey_video(tmp_path / "b", ["00020"])  # has no successor
    grey_video(tmp_path / "c", ["00025", "00030"])
    pairs = FramePairs(tmp_path, size=16, max_gap=3)
    assert len(pairs) == 5 + 0 + 1
    seen = {index: {tuple(times(pairs[epoch, index])) for epoch in range(40)} for index in range(6)}
    assert seen[0] == {(0, 1), (0, 2), (0, 3)}
    assert seen[3] == {(3, 4), (3, 5)}
    assert seen[4] == {(4, 5)}
    assert seen[5] == {(25, 30)}  # frames of one video only
    assert {tuple(times(FramePairs(tmp_path, size=16)[epoch, 0])) for epoch in range(9)} == {(0, 1)}


def test_youtube_vos_frames_are_those_listed_for_any_object(tmp_path):
    frames = tmp_path / "train/JPEGImages/x1"
    grey_video(frames, ["00000", "00005", "00010", "00012", "00015"], ".jpg")
    objects = {"1": {"frames": ["00005", "00015"]}, "2": {"frames": ["00000", "00005"]}}
    (tmp_path / "train/meta.json").write_text(json.dumps({"videos": {"x1": {"objects": objects}}}))
    pairs = FramePairs(tmp_path, size=16)
    assert [[p.name for p in video] for video in pairs.videos] == [["00000.jpg", "00005.jpg", "00015.jpg"]]
    assert [times(pairs[0, index]) for index in range(2)] == [[0, 5], [5, 15]]


def test_bad_youtube_vos_is_named(tmp_path):
    meta = tmp_path / "train/meta.json"
    meta.parent.mkdir()
    for content, message in [
        ("{not json", "not valid JSON"),
        ("[1]", "not YouTube-VOS"),
        ('{"videos": {"x1": {}}}', "not YouTube-VOS"),
        ('{"videos": {}}', "no video of two frames"),
        ('{"videos": {"x1": {"objects": {"1": {"frames": ["00000", "00005"]}}}}}', r"x1/00000\.jpg is listed in"),
    ]:
        meta.write_text(content)
        with pytest.raises(InputError, match=message):
            FramePairs(tmp_path)


def test_davis_as_unlabelled_video(tmp_path):
    for name in ("x", "y", "z"):
        grey_video(tmp_path / "JPEGImages/480p" / name, ["00000", "00001"], ".jpg")
    assert len(FramePairs(tmp_path).videos) == 3  # no list: all
    lines(tmp_path / "ImageSets/2017/train.txt", "z", "x")
    assert [video[0].parent.name for video in FramePairs(tmp_path).videos] == ["z", "x"]
    lines(tmp_path / "ImageSets/2017/train.txt", "z", "w")
    with pytest.raises(InputError, match="w is listed but missing"):
        FramePairs(tmp_path)


def test_bad_videos_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        FramePairs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no video of two frames"):
        FramePairs(tmp_path)
    grey_video(tmp_path / "a", ["00000"])
    write(tmp_path / "a/00001.png", noise(0))
    with pytest.raises(InputError, match=r"00001\.png differs in size from .*00000\.png"):
        FramePairs(tmp_path)[0, 0]
    (tmp_path / "a/00001.png").write_text("no picture")
    with pytest.raises(InputError, match=r"00001\.png cannot be decoded"):
        FramePairs(tmp_path)[0, 0]


def test_a_pair_depends_on_seed_epoch_and_index_only(still):
    first, second, cached = (FramePairs(still, size=24, cache=cache) for cache in (False, False, True))
    addresses = [(epoch, index) for epoch in range(2) for index in range(3)]
    expected = {address: first[address] for address in addresses}
    for address in reversed(addresses):
        assert second[address].equal(expected[address])
        assert cached[address].equal(expected[address])
    assert not expected[0, 0].equal(expected[1, 0])
    assert not expected[0, 0].equal(FramePairs(still, size=24, seed=1)[0, 0])


def test_workers_change_nothing(tmp_path):
    grey_video(tmp_path / "a", [f"{t:05d}" for t in range(9)])
    pairs = FramePairs(tmp_path, size=8, max_gap=3)
    batches = [list(DataLoader(pairs, batch_sampler=EpochBatches(8, 3, 5), num_workers=n)) for n in (0, 2)]
    assert len(batches[0]) == 5
    for alone, parallel in zip(*batches, strict=True):
        assert alone.shape == (3, 2, 3, 8, 8)
        assert alone.equal(parallel)


@real
def test_real_training_data():
    pairs = FramePairs(DATA / "davis-train-256p", size=128)
    assert len(pairs.videos) == 30
    assert len(pairs) == 2079 - 30
    pair = pairs[0, 5]
    assert pair.shape == (2, 3, 128, 128)
    difference = (pair[0].float() - pair[1].float()).abs().mean()
    assert 0 < difference < 40  # the next frame looks alike
    assert len(Images(DATA / "imagenet-sample")) == 1000
    assert Images(DATA / "tiny-imagenet", 64)[0, 5999].shape == (3, 64, 64)


# --- batches ---


@pytest.mark.parametrize(("length", "batch_size"), [(10, 3), (12, 4), (3, 3), (3, 8), (1, 2)])
def test_resuming_goes_on_as_if_never_stopped(length, batch_size):
    whole = list(EpochBatches(length, batch_size, 20, seed=5))
    assert len(whole) == len(EpochBatches(length, batch_size, 20)) == 20
    for start in (0, 1, 7, 19, 20):
        resumed = EpochBatches(length, batch_size, 20, start=start, seed=5)
        assert list(resumed) == whole[start:]
        assert len(resumed) == 20 - start
    assert list(EpochBatches(length, batch_size, 30, seed=5))[:20] == whole  # the number of steps changes no batch


def test_an_epoch_takes_every_item_at_most_once():
    batches = list(EpochBatches(10, 3, 9))
    assert all(len(batch) == 3 for batch in batches)
    orders = []
    for epoch in range(3):
        addresses = [address for batch in batches[3 * epoch : 3 * epoch + 3] for address in batch]
        assert {e for e, _ in addresses} == {epoch}
        indices = [index for _, index in addresses]
        assert len(set(indices)) == 9  # the tenth would make a short batch
        assert set(indices) <= set(range(10))
        orders.append(tuple(indices))
    assert len(set(orders)) == 3
    assert list(EpochBatches(10, 3, 9, seed=1)) != batches


def test_a_batch_larger_than_the_data_wraps():
    for epoch, batch in enumerate(EpochBatches(3, 8, 4)):
        indices = [index for _, index in batch]
        assert {e for e, _ in batch} == {epoch}
        assert len(batch) == 8
        assert [sorted(indices[:3]), sorted(indices[3:6])] == [[0, 1, 2]] * 2
        assert len(set(indices[6:])) == 2
