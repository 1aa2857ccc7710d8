"""Frames for training: reduced while decoding, out of videos, broken ones refused."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from writers import write_picture

from stt_core import pictures
from stt_core.errors import InputError
from stt_core.labels import read_mask
from stt_core.training.images import Images
from stt_core.training.pairs import EVERY, FramePairs, training_videos
from stt_study.video.frames import open_video, write_video


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("extent", "needed", "factor"),
    [(720, 256, 2), (512, 256, 1), (513, 256, 2), (1025, 256, 4), (9000, 256, 8), (100, 256, 1)],
)
def test_reduction_leaves_more_than_needed(extent: int, needed: int, factor: int) -> None:
    assert pictures.reduction(extent, needed) == factor


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_reduced_frames_are_means_of_blocks(tmp_path: Path, factor: int) -> None:
    image = smooth(96, 160)
    path = write_picture(tmp_path / "a.jpg", image)
    assert pictures.frame_size(path) == (96, 160)
    found = pictures.read_frame(path, factor).astype(float)
    blocks = image.reshape(96 // factor, factor, 160 // factor, factor, 3).mean(axis=(1, 3))
    assert found.shape == blocks.shape
    assert np.abs(found - blocks).mean() < 3  # JPEG's own loss


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_s_orientation_is_one_for_all_readers(tmp_path: Path, name: str, orientation: int) -> None:
    """Against Pillow's own turning: the picture, its size and a mask that a camera's program has noted alike."""
    exif, stored = Image.Exif(), smooth(40, 60)
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / name, exif=exif, **({"quality": 95} if name == "a.jpg" else {}))
    with Image.open(tmp_path / name) as image:
        shown = np.array(ImageOps.exif_transpose(image))
    assert pictures.frame_size(tmp_path / name) == shown.shape[:2]
    assert np.abs(pictures.read_image(tmp_path / name).astype(int) - shown).mean() < 2
    assert pictures.read_frame(tmp_path / name, 4).shape == (*(side // 4 for side in shown.shape[:2]), 3)
    Image.fromarray(stored[..., 0] // 64).save(tmp_path / "mask.png", exif=exif)
    turned = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "mask.png")))
    assert np.array_equal(read_mask(tmp_path / "mask.png"), turned)


@pytest.mark.parametrize("factor", [1, 2, 8])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_cut_off_jpegs_are_refused(tmp_path: Path, factor: int, share: float) -> None:
    path = write_picture(tmp_path / "a.jpg", smooth(96, 160))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"a\.jpg cannot be decoded as an image; restore"):
        pictures.read_frame(path, factor)
    path.unlink()
    for read in (pictures.read_frame, pictures.frame_size):
        with pytest.raises(InputError, match=r"a\.jpg is missing"):
            read(path)


def test_large_images_and_frames_look_the_same_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out of a large file hardly differs from what comes out of it decoded in full."""
    write_picture(tmp_path / "images/a/0.jpg", smooth(600, 800))
    for t in range(2):
        write_picture(tmp_path / f"videos/v/{t}.jpg", smooth(720, 1280, t))
    reduced, full = [], []
    for found in (reduced, full):
        images, pairs = Images(tmp_path / "images", 128), FramePairs(tmp_path / "videos", size=128)
        found += [images[3, 0].float(), *(pairs[epoch, 0].float() for epoch in range(4))]
        for module in ("images", "pairs"):
            monkeypatch.setattr(f"stt_core.training.{module}.reduction", lambda extent, needed: 1)
    for small, large in zip(reduced, full, strict=True):
        assert small.shape == large.shape
        assert 0 < (small - large).abs().mean() < 3  # crops begin at whole pixels


def test_frames_of_a_video_are_those_of_a_whole_pass(tmp_path: Path) -> None:
    images = [np.roll(smooth(48, 64), 3 * t, axis=1) for t in range(23)]
    path = tmp_path / "clip.mp4"
    write_video(path, ((t / 25, image) for t, image in enumerate(images)), 25)
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = pictures.video_frames(path, 5)
    assert len(frames) == 5  # 0, 5, 10, 15, 20
    for place in (3, 0, 4, 1, 2):  # in any order
        assert np.array_equal(pictures.read_frame(frames[place]), whole[5 * place])
    assert pictures.frame_size(frames[0]) == (48, 64)
    assert pictures.read_frame(frames[1], 2).shape == (24, 32, 3)


def test_a_folder_of_videos_and_frame_folders(tmp_path: Path) -> None:
    for name in ("b.mp4", "c.avi"):
        images = (np.roll(smooth(48, 80), 4 * t, axis=1) for t in range(2 * EVERY + 1))
        write_video(tmp_path / name, ((t / 25, image) for t, image in enumerate(images)), 25)
    for t in range(2):
        write_picture(tmp_path / f"a/{t}.jpg", smooth(48, 80, t))
    (tmp_path / "notes.txt").write_text("no video")
    videos = training_videos(tmp_path)
    assert [len(frames) for frames in videos] == [2, 3, 3]
    assert isinstance(videos[1][0], pictures.VideoFrame)
    pairs = FramePairs(tmp_path, size=32)
    assert len(pairs) == 5
    cached = FramePairs(tmp_path, size=32, cache=True)
    for index in range(5):
        assert pairs[2, index].shape == (2, 3, 32, 32)
        assert (cached[2, index] == pairs[2, index]).all()
        assert (cached[2, index] == pairs[2, index]).all()  # from memory


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        ("9.jpg 10.JPG 100.jpeg notes.txt ._9.jpg", "9.jpg 10.JPG 100.jpeg"),
        ("0.jpg 1.jpg 0.png 1.png", "0.jpg 1.jpg"),  # masks beside the frames
        ("0.jpg 1.jpg first.png", "0.jpg 1.jpg"),
        ("0.png 1.png 2.png first.png", "0.png 1.png 2.png"),
        ("0.png 1.png thumbnail.jpg", "0.png 1.png"),
        ("b.png a.png", "a.png b.png"),
        ("v2-9.png v2-10.png", "v2-9.png v2-10.png"),
        ("a.png b.png c0.png", "a.png b.png c0.png"),
    ],
)
def test_a_folder_that_is_not_only_frames(tmp_path: Path, names: str, frames: str) -> None:
    for name in names.split():
        write_picture(tmp_path / "video" / name.replace(".txt", ".jpg"), smooth(6, 8)).rename(tmp_path / "video" / name)
    assert [path.name for path in pictures.folder_frames(tmp_path / "video")] == frames.split()
    assert [path.name for path in training_videos(tmp_path)[0]] == frames.split()
    assert [path.name for path in open_video(tmp_path / "video").files] == frames.split()


@pytest.mark.parametrize("other", ["00001_mask.png", "00001.PNG", "00001-a7.png", "mask1.png"])
def test_two_pictures_of_one_number_are_refused(tmp_path: Path, other: str) -> None:
    for name in ("00000.png", "00001.png", "00002.png", other):
        write_picture(tmp_path / name, smooth(6, 8))
    with pytest.raises(InputError, match=r"can't both be a frame; leave only the frames"):
        pictures.folder_frames(tmp_path)
