"""Bad training data, and bad videos of one's own: every one gets its own sentence. See `answers.py`."""

import json
import wave
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from answers import (
    Row,
    Shell,
    Spoil,
    assert_refused,
    check,
    forbidden,
    half,
    instead,
    left_behind,
    removed,
    spoiled,
    table,
)
from test_cli import TINY
from writers import write_images, write_videos

from stt_study.video.frames import write_video

SIZE = (48, 80)


# Commands, with good data


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
    return ["propagate", data / "video0", *_given(data)]


def film(data: Path) -> list:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8), SIZE[::-1])
    images = [np.roll(image, 2 * t, axis=1) for t in range(40)]
    write_video(data / "film.mp4", [(t / 10, image) for t, image in enumerate(images)], 10)
    return ["propagate", data / "film.mp4", *_given(data)]


def _given(data: Path) -> list:
    ids = np.zeros(SIZE, np.uint8)
    ids[10:30, 10:30], ids[30:40, 40:70] = 1, 2
    cv2.imwrite(str(data / "first.png"), ids)
    (data / "points.csv").write_text("name,x,y\nnose,20,15\ntail,60,35\n")
    given = ["--mask", data / "first.png", "--points", data / "points.csv"]
    return [*given, "--weights", "lab", "--resize", 48]


# Ways to spoil them


def every(pattern: str, change: Callable[[Path], object], named: str) -> Spoil:
    """All files that match: which of them is read first is left to chance."""

    def spoil(data: Path) -> Path:
        for path in sorted(data.glob(pattern)):
            change(path)
        return data / named

    return spoil


def content(change: bytes | Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: spoiled(path.name, change)(path.parent)


def picture(value: int = 90, size: tuple[int, ...] = (*SIZE, 3), kind: type = np.uint8, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, np.full(size, value, kind))[1].tobytes()


def meta(videos: object) -> Spoil:
    """A meta.json of YouTube-VOS beside one video with the frames 0 and 1."""

    def spoil(data: Path) -> Path:
        frames = data / "youtube-vos/train/JPEGImages/a"
        frames.mkdir(parents=True)
        for t in range(2):
            (frames / f"{t:05d}.jpg").write_bytes(picture(ending=".jpg"))
        return spoiled("youtube-vos/train/meta.json", json.dumps({"videos": videos}).encode())(data)

    return spoil


def listing(*frames: object) -> dict:
    return {"a": {"objects": {"1": {"frames": list(frames)}}}}


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))


def listed_only(data: Path) -> Path:
    (data / "youtube-vos/JPEGImages/480p").mkdir(parents=True)
    spoiled("youtube-vos/ImageSets/2017/train.txt", b"wolf\n")(data)
    return data / "youtube-vos/JPEGImages/480p/wolf"


def then(spoil: Spoil, named: str) -> Spoil:
    """What the sentence names isn't what was spoiled."""

    def both(data: Path) -> Path:
        spoil(data)
        return data / named

    return both


IMAGES, VIDEOS = "imagenet/train/*/*", "youtube-vos/*/*"
DECODE = ("cannot be decoded as an image", "restore this frame")

TRAINING = (
    Row("no images", spatial, removed("imagenet", named="."), ("has no images folder", "it should be called")),
    Row(
        "no class", spatial, instead("imagenet/train", Path.mkdir), ("has no images in class folders", "put ImageNet's")
    ),
    Row("images of text", spatial, every(IMAGES, content(b"no image"), "imagenet/train"), DECODE),
    Row("images of no bytes", spatial, every(IMAGES, content(b""), "imagenet/train"), DECODE),
    Row("images cut off", spatial, every(IMAGES, content(half), "imagenet/train"), DECODE),
    Row(
        "folders as images",
        spatial,
        every(IMAGES, lambda path: instead(path.name, Path.mkdir)(path.parent), "imagenet/train"),
        ("is a folder, not an image", "restore this frame"),
    ),
    Row(
        "images nobody may read",
        spatial,
        every(IMAGES, lambda path: path.chmod(0), "imagenet/train"),
        ("no right", "chmod"),
        other_user=True,
    ),
    Row("no videos", temporal, removed("youtube-vos", named="."), ("has no videos folder", "it should be called")),
    Row(
        "frames cut off",
        temporal,
        every(VIDEOS, content(half), "youtube-vos/video"),
        DECODE,
    ),
    Row(
        "a pair of two sizes",
        temporal,
        every("youtube-vos/*/*[13].jpg", content(picture(size=(24, 40, 3), ending=".jpg")), "youtube-vos/video"),
        ("differs in size from", "must agree"),
    ),
    Row(
        "single frames",
        temporal,
        then(every("youtube-vos/*/*[123].jpg", Path.unlink, ""), "youtube-vos"),
        ("no video of two",),
    ),
    Row("no meta", temporal, spoiled("youtube-vos/train/meta.json", b"{broken"), ("is not valid JSON", "restore it")),
    Row("meta is a list", temporal, spoiled("youtube-vos/train/meta.json", b"[]"), ("not YouTube-VOS's", "restore it")),
    Row("meta without frames", temporal, meta({"a": {"objects": {"1": {}}}}), ("not YouTube-VOS's", "restore it")),
    Row("meta with numbers", temporal, meta(listing(0, 1)), ("not YouTube-VOS's", "restore it")),
    Row("meta with a way out", temporal, meta(listing("../../x", "1")), ("not YouTube-VOS's", "restore it")),
    Row(
        "listed first frame", temporal, meta(listing("00002", "00003")), ("is listed in", "unpack JPEGImages beside it")
    ),
    Row(
        "listed later frame",
        temporal,
        then(meta(listing("00000", "00007")), "youtube-vos/train/JPEGImages/a/00007.jpg"),
        ("is missing", "restore this frame"),
    ),
    Row("listed video", temporal, listed_only, ("is listed but missing", "take it off the list")),
    Row(
        "film of text",
        temporal,
        spoiled("youtube-vos/a.mp4", b"no film" * 99),
        ("cannot be read as a video", "take it out"),
    ),
    Row(
        "film without pictures",
        temporal,
        lambda data: sound(data / "youtube-vos/a.mp4") or data / "youtube-vos/a.mp4",
        ("has no video in it", "take it out of the folder"),
    ),
)

FIRST, SECOND = "video0/00000.jpg", "video0/00002.jpg"

OWN = (
    Row("no video", frames, removed("video0"), ("does not exist", "give a video file or a folder of frames")),
    Row("empty folder", frames, instead("video0", Path.mkdir), ("has no .jpg, .jpeg, .png frames", "give the folder")),
    Row("first frame of text", frames, spoiled(FIRST, b"no image"), DECODE),
    Row("frame of text", frames, spoiled(SECOND, b"no image"), DECODE),
    Row("frame cut off", frames, spoiled(SECOND, half), DECODE),
    Row("PNG cut off", frames, spoiled(SECOND, picture()[:-9]), DECODE),
    Row("PNG damaged", frames, spoiled(SECOND, picture()[:60] + b"?" + picture()[61:]), DECODE),
    Row(
        "frame of other size",
        frames,
        spoiled(SECOND, picture(size=(24, 40, 3))),
        ("is 40x24 px, not 80x48 px", "cut it"),
    ),
    Row("frame nobody may read", frames, forbidden(SECOND), ("no right", "chmod"), other_user=True),
    Row("film of no bytes", film, spoiled("film.mp4", b""), ("cannot be read as a video", "give another one")),
    Row("film of text", film, spoiled("film.mp4", b"no film" * 99), ("cannot be read as a video", "give another one")),
    Row("film without pictures", film, instead("film.mp4", sound), ("has no video in it", "give another file")),
    Row("film nobody may read", film, forbidden("film.mp4"), ("no right", "chmod"), other_user=True),
    Row("no mask", frames, removed("first.png"), ("is missing", "restore this annotation")),
    Row("mask of no bytes", frames, spoiled("first.png", b""), ("cannot be decoded", "restore this annotation")),
    Row("mask cut off", frames, spoiled("first.png", half), ("cannot be decoded", "restore this annotation")),
    Row("mask in colour", frames, spoiled("first.png", picture()), ("is a colour image", "palette or grey PNG")),
    Row(
        "deep mask",
        frames,
        spoiled("first.png", picture(1, SIZE, np.uint16)),
        ("has 16 bits a pixel", "save it with 8"),
    ),
    Row(
        "small mask", frames, spoiled("first.png", picture(1, (24, 40))), ("is 40x24 px but the video is 80x48", "draw")
    ),
    Row("mask without objects", frames, spoiled("first.png", picture(0, SIZE)), ("has no object to follow", "above 0")),
    Row("mask with a gap", frames, spoiled("first.png", picture(3, SIZE)), ("an object 3 but no 1", "without a gap")),
    Row("mask nobody may read", frames, forbidden("first.png"), ("no right", "chmod"), other_user=True),
    Row("no points", frames, removed("points.csv"), ("is missing", "give a CSV with name,x,y")),
    Row(
        "points in Latin-1",
        frames,
        spoiled("points.csv", b"name,x,y\n\xf6,1,2\n"),
        ("cannot be read as a table", "give a CSV"),
    ),
    Row("points of a picture", frames, spoiled("points.csv", picture()), ("cannot be read as a table", "give a CSV")),
    Row("points without header", frames, spoiled("points.csv", b"nose,1,2\n"), ("begins with 'nose,1,2'", "name,x,y")),
    Row(
        "points without points", frames, spoiled("points.csv", b"name,x,y\n"), ("has no point to follow", "add a line")
    ),
    Row(
        "points outside",
        frames,
        spoiled("points.csv", b"name,x,y\nnose,80,2\n"),
        ("line 2", "outside of 80x48 px", "mend it"),
    ),
    Row(
        "points of words",
        frames,
        spoiled("points.csv", b"name,x,y\nnose,left,2\n"),
        ("line 2", "two numbers", "mend it"),
    ),
    Row(
        "points of NaN", frames, spoiled("points.csv", b"name,x,y\nnose,nan,2\n"), ("line 2", "two numbers", "mend it")
    ),
    Row(
        "points in a mess",
        frames,
        spoiled("points.csv", b'name,x,y\n"a\nb",1,2,3\n'),
        ("line 3: 'a b,1,2,3' isn't", "mend"),
    ),
    Row(
        "a point twice",
        frames,
        spoiled("points.csv", b"name,x,y\na,1,2\na,3,4\n"),
        ("line 3", "a point a before", "another name"),
    ),
    Row("points nobody may read", frames, forbidden("points.csv"), ("no right", "chmod"), other_user=True),
)


@table(*TRAINING)
def test_bad_training_data(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    check(row, tmp_path, Shell(monkeypatch, capfd))


@table(*OWN)
def test_bad_video(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    check(row, tmp_path, Shell(monkeypatch, capfd))


def test_film_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    """What can be decoded is followed and kept; the whole film is another one."""
    stt, path, out = Shell(monkeypatch, capfd), tmp_path / "film.mp4", tmp_path / "out"
    arguments = [*film(tmp_path), "--out", out]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 85 // 100])
    assert_refused(stt(*arguments), path, "cannot be decoded from frame", "restore it, or cut it there")
    assert left_behind(out) == []
    masks = sorted((out / "masks").iterdir())
    assert 0 < len(masks) < 40
    assert len((out / "masks.csv").read_text().splitlines()) == 1 + 2 * len(masks)
    path.write_bytes(whole)
    assert_refused(stt(*arguments), path, "has changed since", "give a new folder")
    assert stt(*arguments[:-1], tmp_path / "new").code == 0


# A folder of results that was begun


class Code:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


def state(change: Callable[[dict], object]) -> Spoil:
    def spoil(out: Path) -> Path:
        found = torch.load(out / "state.pt", weights_only=True)
        other = change(found)
        torch.save(other if isinstance(other, dict) else found, out / "state.pt")
        return out / "state.pt"

    return spoil


def hostile(out: Path) -> Path:
    torch.save({"frames": Code(out.parent / "ran")}, out / "state.pt")
    return out / "state.pt"


def lines(keep: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    return lambda content: b"".join(keep(content.splitlines(keepends=True)))


ANEW = ("is broken", "delete it to begin the video anew")
LACKS = ("lacks rows of the 3 frames", "delete", "state.pt to begin the video anew")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(spoiled("state.pt", half), ANEW, id="cut off"),
        pytest.param(spoiled("state.pt", b""), ANEW, id="of no bytes"),
        pytest.param(hostile, ANEW, id="hostile"),
        pytest.param(state(lambda found: {"frames": 3}), ANEW, id="a part is missing"),
        pytest.param(state(lambda found: found.update(frames=99)), ANEW, id="other count"),
        pytest.param(state(lambda found: found["maps"].pop()), ANEW, id="fewer maps"),
        pytest.param(state(lambda found: found.update(maps=[m[:1] for m in found["maps"]])), ANEW, id="small maps"),
        pytest.param(state(lambda found: found["maps"][0].fill_(torch.nan)), ANEW, id="NaN"),
        pytest.param(removed("masks.csv"), LACKS, id="no table"),
        pytest.param(spoiled("masks.csv", half), LACKS, id="table cut off"),
        pytest.param(spoiled("points.csv", lines(lambda rows: rows[:3] + rows[4:])), LACKS, id="a row is missing"),
        pytest.param(spoiled("points.csv", lambda old: old[:-1]), LACKS, id="half a number"),
        pytest.param(spoiled("masks.csv", lambda old: b"\xff\0" + old[len(old) // 2 :]), LACKS, id="bytes in a table"),
        pytest.param(removed("masks/00001.png"), ("is missing, but was done", "delete"), id="a mask is missing"),
    ],
)
def test_begun_and_damaged(
    spoil: Spoil,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    """Refused; begun anew as the sentence says, it ends as a run that nothing happened to."""
    stt, out = Shell(monkeypatch, capfd), tmp_path / "out"
    arguments = [*frames(tmp_path), "--out"]
    assert stt(*arguments, tmp_path / "whole").code == 0
    last = tmp_path / "video0/00003.jpg"
    good = last.read_bytes()
    last.write_bytes(b"")
    assert stt(*arguments, out).code == 2
    assert (out / "state.pt").exists()
    last.write_bytes(good)
    named = spoil(out)
    assert_refused(stt(*arguments, out), named, *words)
    assert left_behind(out) == []
    assert not (tmp_path / "ran").exists()
    (out / "state.pt").unlink()
    assert stt(*arguments, out).code == 0
    for name in ("masks.csv", "points.csv", "masks/00001.png", "masks/00003.png"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{broken", ("is not valid JSON", "restore it")),
        (b"[1]", ("is not what a followed video leaves", "give a new folder")),
        (b"{}", ("was begun with another", "give a new folder")),
    ],
)
def test_broken_settings(
    content: bytes, words: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    stt, out = Shell(monkeypatch, capfd), tmp_path / "out"
    arguments = [*frames(tmp_path), "--out", out]
    assert stt(*arguments).code == 0
    (out / "settings.json").write_bytes(content)
    assert_refused(stt(*arguments), out, *words)


def test_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    spoiled("thesis.tex", b"years of work")(out)
    assert_refused(Shell(monkeypatch, capfd)(*frames(tmp_path), "--out", out), out, "other things", "give a new folder")
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == ["thesis.tex"]
