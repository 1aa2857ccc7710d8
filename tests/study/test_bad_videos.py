"""Bad training data, and bad videos of one's own: every one gets its own sentence. See `answers.py`."""

import json
import wave
from collections.abc import Callable
from pathlib import Path

import answers
import cv2
import numpy as np
import pytest
import torch
import yaml
from answers import Row, Shell, Spoil, both, every, forbid, half, instead, removed, rows, spoiled
from data_server import jpeg, png
from test_cli import TINY
from writers import write_images, write_videos

from stt_study.video.frames import write_video

SIZE = (48, 80)


def spatial(data: Path) -> list:
    write_images(data / "imagenet")
    return ["train", "spatial", *_profile(data)]


def temporal(data: Path) -> list:
    write_videos(data / "youtube-vos")
    return ["train", "temporal", "--variant", "scratch", *_profile(data)]


def _profile(data: Path) -> list:
    (data / "tiny.yaml").write_text(yaml.safe_dump({"profile": "tiny", "settings": TINY}))
    return ["--profile", data / "tiny.yaml", "--data", data]


def frames(data: Path) -> list:
    write_videos(data, videos=1)
    return ["propagate", data / "video0", *_labels(data)]


def film(data: Path) -> list:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8), SIZE[::-1])
    images = [np.roll(image, 2 * t, axis=1) for t in range(40)]
    write_video(data / "film.mp4", [(t / 10, image) for t, image in enumerate(images)], 10)
    return ["propagate", data / "film.mp4", *_labels(data)]


def _labels(data: Path) -> list:
    ids = np.zeros(SIZE, np.uint8)
    ids[10:30, 10:30], ids[30:40, 40:70] = 1, 2
    cv2.imwrite(str(data / "first.png"), ids)
    (data / "points.csv").write_text("name,x,y\nnose,20,15\ntail,60,35\n")
    return ["--mask", data / "first.png", "--points", data / "points.csv", "--weights", "lab", "--resize", 48]


def content(change: bytes | Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: spoiled(path.name, change)(path.parent)


def meta(*listed: object, named: str = "meta.json") -> Spoil:
    """A meta.json of YouTube-VOS beside one video with the frames 0 and 1."""
    videos = {"a": {"objects": {"1": {"frames": listed}}}}
    frames = [spoiled(f"youtube-vos/train/JPEGImages/a/0000{t}.jpg", jpeg(SIZE)) for t in range(2)]
    written = spoiled("youtube-vos/train/meta.json", json.dumps({"videos": videos}).encode())
    return both(*frames, written, named=f"youtube-vos/train/{named}")


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))


IMAGES, VIDEOS, META = "imagenet/train/*/*", "youtube-vos/*/*", "youtube-vos/train/meta.json"
TRAIN, VIDEO, SECOND = "imagenet/train", "youtube-vos/video", "video0/00002.jpg"
FILM = "youtube-vos/a.mp4"
DECODE = ("cannot be decoded as an image", "restore this frame")
SMALL_JPG = jpeg((24, 40))
LISTED_ONLY = both(
    spoiled("youtube-vos/JPEGImages/480p/bear/00000.jpg", b""),
    spoiled("youtube-vos/ImageSets/2017/train.txt", b"wolf\n"),
    named="youtube-vos/JPEGImages/480p/wolf",
)

ROWS = [
    *rows(
        spatial,
        ("no images", removed("imagenet", named="."), "has no images folder", "it should be called"),
        ("no class", instead(TRAIN, Path.mkdir), "has no images in class folders", "put ImageNet's"),
        ("images of text", every(IMAGES, content(b"no image"), TRAIN), *DECODE),
        ("images cut off", every(IMAGES, content(half), TRAIN), *DECODE),
    ),
    *rows(
        temporal,
        ("no videos", removed("youtube-vos", named="."), "has no videos folder", "it should be called"),
        ("frames cut off", every(VIDEOS, content(half), VIDEO), *DECODE),
        ("two sizes", every("youtube-vos/*/*[13].jpg", content(SMALL_JPG), VIDEO), "differs in size", "must agree"),
        ("single frames", every("youtube-vos/*/*[123].jpg", Path.unlink, "youtube-vos"), "no video of 2 frames"),
        ("broken meta", spoiled(META, b"{broken"), "is not valid JSON", "restore it"),
        ("meta with a way out", meta("../../x", "1"), "not YouTube-VOS's", "restore it"),
        ("listed first frame", meta("00002", "00003"), "is listed in", "unpack JPEGImages beside it"),
        ("listed later frame", meta("00000", "00007", named="JPEGImages/a/00007.jpg"), "is missing", "restore"),
        ("listed video", LISTED_ONLY, "is listed but missing", "take it off the list"),
        ("film of text", spoiled(FILM, b"no film" * 99), "cannot be read as a video", "take it out"),
    ),
    *rows(
        frames,
        ("no video", removed("video0"), "does not exist", "give a video file or a folder of frames"),
        ("empty folder", instead("video0", Path.mkdir), "has no .jpg, .jpeg, .png frames", "give the folder"),
        ("frame cut off", spoiled(SECOND, half), *DECODE),
        ("PNG damaged", spoiled(SECOND, png(SIZE)[:60] + b"?" + png(SIZE)[61:]), *DECODE),
        ("own frame of other size", spoiled(SECOND, SMALL_JPG), "is 40x24 px, not 80x48 px", "cut it"),
        ("no mask", removed("first.png"), "is missing", "restore this annotation"),
        ("mask cut off", spoiled("first.png", half), "cannot be decoded", "restore this annotation"),
    ),
    *rows(
        film,
        ("film of no bytes", spoiled("film.mp4", b""), "cannot be read as a video", "give another one"),
        ("own film without pictures", instead("film.mp4", sound), "has no video in it", "give another one"),
    ),
    *rows(
        spatial, ("images nobody may read", every(IMAGES, forbid, TRAIN), "permission denied", "chmod"), other_user=True
    ),
    *rows(
        film,
        ("film nobody may read", every("film.mp4", forbid, "film.mp4"), "permission denied", "chmod"),
        other_user=True,
    ),
]


@pytest.mark.parametrize("row", ROWS)
def test_bad_training_data_and_bad_video(row: Row, tmp_path: Path, shell: Shell) -> None:
    answers.check(row, tmp_path, shell)


def hostile(out: Path) -> Path:
    torch.save({"frames": answers.Code(out.parent / "ran")}, out / "state.pt")
    return out / "state.pt"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoiled("state.pt", half), "is broken"),
        (spoiled("state.pt", b""), "is broken"),
        (hostile, "is broken"),
        (removed("masks/00001.png"), "is missing, but was done"),
    ],
)
def test_begun_and_damaged(spoil: Spoil, says: str, tmp_path: Path, shell: Shell) -> None:
    """Refused; begun anew as the sentence says, it ends as a run that nothing happened to."""
    out = tmp_path / "out"
    arguments = [*frames(tmp_path), "--out"]
    assert shell(*arguments, tmp_path / "whole").code == 0
    last = tmp_path / "video0/00003.jpg"
    good = last.read_bytes()
    last.write_bytes(b"")
    assert shell(*arguments, out).code == 2
    assert (out / "state.pt").exists()
    last.write_bytes(good)
    named = spoil(out)
    answers.assert_refused(shell(*arguments, out), named, says, "to begin the video anew")
    assert answers.left_behind(out) == []
    assert not (tmp_path / "ran").exists()
    (out / "state.pt").unlink()
    assert shell(*arguments, out).code == 0
    for name in ("masks.csv", "points.csv", "masks/00001.png", "masks/00003.png"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
