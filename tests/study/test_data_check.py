"""The check of data: a whole set has no problems, and each kind of damage is named, all in one run."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_server import jpeg, png, youtube_files
from PIL import Image
from writers import write_badja, write_davis, write_images, write_videos

from stt_core.errors import InputError
from stt_study.benchmarks.davis import DAVIS
from stt_study.benchmarks.labelled_videos import read_frames, read_sequence_mask
from stt_study.data import check as data_check
from stt_study.data.check import check
from stt_study.video.frames import write_video


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def named(problems: list[str], *wanted: str) -> None:
    """There are as many problems as `wanted`, and each has one of these in it."""
    assert len(problems) == len(wanted), problems
    for word in wanted:
        assert sum(word in problem for problem in problems) == 1, (word, problems)


def whole(name: str, root: Path, **counts: int) -> None:
    checked = check(name, root, every=True)
    assert (checked.problems, checked.counts) == ([], {what.replace("_", " "): n for what, n in counts.items()})


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    return write_davis(tmp_path / "DAVIS", names=("one", "two", "three", "four", "five"), frames=4)


def test_every_fault_of_davis_is_named_at_once(davis: Path) -> None:
    whole("davis", davis, frames=20, annotations=20, sequences=5, decoded=40)
    assert check("davis", davis).notes == ["5 of the official 30 sequences of val."]
    images, masks = davis / "JPEGImages" / "480p", davis / "Annotations" / "480p"
    (davis / "ImageSets" / "2017" / "val.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\nthree\n../one\n")
    (masks / "one" / "00002.png").unlink()
    (images / "four" / "00001.jpg").unlink()
    (images / "five" / "00001.jpg").unlink()
    (masks / "five" / "00001.png").unlink()  # a gap
    cut = images / "two" / "00002.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    (masks / "two" / "00003.png").write_bytes(b"")
    (masks / "two" / "00001.png").write_bytes(png((48, 60)))
    (images / "three" / "00003.jpg").write_bytes(jpeg((48, 60)))
    (masks / "three" / "00003.png").write_bytes(png((48, 60)))
    (masks / "three" / "00000.png").write_bytes(jpeg((48, 64)))
    named(
        check("davis", davis, every=True).problems,
        "val.txt lists three twice",
        "480p/six has no *.jpg frames",
        "'../one' is not the name of a video",
        "four/00001.png annotates a frame that is not",
        "five/00001.jpg is missing between",
        "one/00002.png is missing",
        "two/00002.jpg cannot be decoded",
        "two/00003.png is empty",
        "two/00001.png is 60x48 px but",
        "three/00003.jpg is 60x48 px but",
        "three/00000.png is a JPEG",
    )


def test_frames_that_a_camera_noted_as_turned(davis: Path) -> None:
    """Masks belong to the pictures as they are shown: those as stored are problems, for the evaluation, too."""
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    for path in (davis / "JPEGImages").rglob("*.jpg"):
        with Image.open(path) as image:
            image.save(path, exif=exif)
    problems = check("davis", davis, every=True).problems
    assert len(problems) == 20
    assert all("is 64x48 px but" in problem and "is 48x64" in problem for problem in problems)
    sequence = DAVIS.read(davis)[0]
    with pytest.raises(InputError, match="is 64x48 px but its frame is 48x64"):
        read_sequence_mask(sequence, 0)
    for path in (davis / "Annotations").rglob("*.png"):
        with Image.open(path) as image:
            image.rotate(-90, expand=True).save(path)
    whole("davis", davis, frames=20, annotations=20, sequences=5, decoded=40)
    orange = next(read_frames(sequence.frames))[..., 0] > 160
    assert (orange != (read_sequence_mask(sequence, 0) == 1)).mean() < 0.02


def test_the_sample_is_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "n", {f"train/c{c}/{i:02d}.JPEG": jpeg() for c in range(5) for i in range(20)})
    seen: list[Path] = []
    monkeypatch.setattr(data_check, "_fault", lambda picture: seen.append(picture[0]))
    for _ in range(2):
        assert check("imagenet", root, sample=10).counts == {"images": 100, "classes": 5, "decoded": 10}
    assert sorted(seen[:10]) == sorted(seen[10:])
    assert len(set(seen)) == 10
    check("imagenet", root, sample=10, every=True)
    assert len(set(seen[20:])) == 100


def test_images(tmp_path: Path) -> None:
    root = write_images(tmp_path / "i", classes=3, each=30)
    (root / "train" / "class1" / "7.JPEG").write_bytes(b"")
    checked = check("imagenet", root, sample=1)
    named(checked.problems, "class1/7.JPEG is empty")  # found without decoding it
    assert checked.counts == {"images": 90, "classes": 3, "decoded": 1}
    assert checked.notes == ["3 of the official 1,000 classes.", "90 of the official 1,281,167 images."]
    named(check("imagenet", root / "train" / "class0").problems, "no images in class folders")


def test_youtube_vos(tmp_path: Path) -> None:
    root = write(tmp_path / "youtube-vos", youtube_files())
    whole("youtube-vos", root, frames=6, videos=2, decoded=6)
    frames = root / "train" / "JPEGImages"
    (frames / "003234408d" / "00005.jpg").unlink()
    (frames / "0043f083b5" / "00010.jpg").write_bytes(jpeg((9, 9)))
    named(check("youtube-vos", root).problems, "003234408d/00005.jpg is missing", "0043f083b5/00010.jpg is 9x9 px")
    (root / "train" / "meta.json").write_text("{")
    named(check("youtube-vos", root).problems, "not valid JSON")


def test_badja(tmp_path: Path) -> None:
    root = write_badja(tmp_path)
    frames, masks = (root / "DAVIS" / kind / "480p" for kind in ("JPEGImages", "Annotations"))
    shutil.rmtree(masks / "dog")
    whole("badja", root, clips=2, frames=10, decoded=10)
    (note,) = check("badja", root).notes
    assert note.startswith("dog has no masks")
    (frames / "bear" / "00001.jpg").write_bytes(jpeg((10, 10)))
    (frames / "dog" / "00002.jpg").unlink()
    (masks / "bear" / "00002.png").write_bytes(b"x")
    wanted = ("bear/00001.jpg is 10x10", "dog/00002.jpg is missing", "bear/00002.png cannot be decoded")
    named(check("badja", root).problems, *wanted)


def test_videos(tmp_path: Path) -> None:
    root = write_videos(tmp_path / "v", videos=2, frames=4)
    frames = (np.full((32, 48, 3), 20 * t, np.uint8) for t in range(6))
    write_video(root / "film.mp4", ((t / 10, frame) for t, frame in enumerate(frames)), rate=10)
    whole("videos", root, videos=3, frames=4 + 4 + 2, decoded=10)  # of a file, every fifth
    cv2.imwrite(str(root / "video0" / "00002.jpg"), np.zeros((8, 8, 3), np.uint8))
    named(check("videos", root).problems, "00002.jpg is 8x8")
    (root / "film.mp4").write_bytes((root / "film.mp4").read_bytes()[:200])
    named(check("videos", root).problems, "film.mp4 has no video")


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    for name in data_check.CHECKS:
        assert check(name, tmp_path).problems
