"""Bad data of the benchmarks: every one gets its own sentence, and mended, the same command goes on. See `answers.py`.

Weights are in `test_bad_weights.py`, training data and videos of one's own in `test_bad_videos.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from answers import Row, Shell, Spoil, check, forbidden, half, instead, loop, removed, spoiled, table
from PIL import Image
from scipy.io import savemat
from writers import write_badja, write_davis, write_jhmdb, write_vip

HOW = ["--weights", "lab", "--resize", 48]
SIZE = (48, 64)


# Commands, with good data


def davis(data: Path) -> list:
    write_davis(data / "davis", names=("one", "two"), frames=4)
    return ["evaluate", "davis", "--data", data / "davis", *HOW]


def vip(data: Path) -> list:
    write_vip(data / "vip", names=("one", "two"))
    return ["evaluate", "vip", "--data", data / "vip", *HOW]


def jhmdb(data: Path) -> list:
    write_jhmdb(data / "jhmdb")
    return ["evaluate", "jhmdb", "--data", data / "jhmdb", *HOW]


def badja(data: Path) -> list:
    write_badja(data / "badja")
    return ["evaluate", "badja", "--data", data / "badja", *HOW]


# Places

FRAMES, MASKS, LIST = "davis/JPEGImages/480p/two/", "davis/Annotations/480p/two/", "davis/ImageSets/2017/val.txt"
VIP_MASKS, VIP_LIST = "vip/Annotations/two/", "vip/lists/val_videos.txt"
CLIP, CLIP_LIST = "jhmdb/Rename_Images/wave/hand/", "jhmdb/val_list.txt"
MAT = "jhmdb/joint_positions/wave/hand/joint_positions.mat"
DOG, ANIMAL = "badja/joint_annotations/dog.json", "badja/DAVIS/JPEGImages/480p/dog/"


# Ways to spoil them


def picture(shape: tuple[int, ...], value: int = 0, kind: type = np.uint8, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, np.full(shape, value, kind))[1].tobytes()


def emptied(folder: str) -> Spoil:
    return instead(folder, Path.mkdir)


def cut_to(count: int) -> Spoil:
    """The video has so many frames, and annotations of them."""
    late = [f"{t:05d}" for t in range(count, 4)]
    return removed(*(FRAMES + t + ".jpg" for t in late), *(MASKS + t + ".png" for t in late), named=FRAMES[:-1])


def renamed(old: str, new: str) -> Spoil:
    def spoil(data: Path) -> Path:
        (data / old).rename(data / new)
        return data / old

    return spoil


def both(*spoils: Spoil, named: int = 0) -> Spoil:
    def spoil(data: Path) -> object:
        return [each(data) for each in spoils][named]

    return spoil


def twice(path: str) -> Spoil:
    """The frame is there in upper case, too."""

    def spoil(data: Path) -> Path:
        spoiled(str(Path(path).with_suffix(".JPG")), b"")(data)
        return data / path

    return spoil


def mat(values: object, name: str = "pos_img") -> Spoil:
    def make(path: Path) -> None:
        savemat(path, {name: values})

    return instead(MAT, make)


def joints(value: float = 20.0, *, at: tuple | None = None, odd: float = 0.0, frames: int = 4) -> np.ndarray:
    found = np.full((2, 15, frames), value)
    found[0] += np.arange(15)[:, None]
    if at:
        found[at] = odd
    return found


def entries(change: Callable[[list], object]) -> Spoil:
    """A list of BADJA's, changed in place, or what is returned in its place."""

    def rewrite(content: bytes) -> bytes:
        found = json.loads(content)
        other = change(found)
        return json.dumps(found if other is None else other).encode()

    return spoiled(DOG, rewrite)


def set_joint(entry: int, joint: int, place: list[float]) -> Callable[[list], None]:
    def change(found: list) -> None:
        found[entry]["joints"][joint] = place

    return change


def none_visible(found: list) -> None:
    found[0]["visibility"] = [False] * 4


def all_outside(found: list) -> None:
    found[0]["joints"] = [[-500.0, 9000.0]] * 4


DAVIS_ROWS = (
    Row("no folder", davis, removed("davis"), ("does not exist", "give the folder of DAVIS")),
    Row("a file as folder", davis, instead("davis", Path.touch), ("is a file", "give the folder of DAVIS")),
    Row("no list", davis, removed(LIST), ("is missing", "it should list the sequences")),
    Row("empty list", davis, spoiled(LIST, b"\n \n"), ("lists nothing", "one a line")),
    Row("list in UTF-16", davis, spoiled(LIST, "one\n".encode("utf-16")), ("is not text in UTF-8",)),
    Row("list with zeros", davis, spoiled(LIST, b"one\0\n"), ("is not text in UTF-8",)),
    Row("list that is a folder", davis, instead(LIST, Path.mkdir), ("give a file",)),
    Row("list that nobody may read", davis, forbidden(LIST), ("no right", "chmod"), other_user=True),
    Row("list with a way out", davis, spoiled(LIST, b"one\n../two\n"), ("'../two' is not the name", "mend the line")),
    Row("listed but missing", davis, removed(FRAMES), ("has no *.jpg frames", "unpack it or mend the list")),
    Row("other name", davis, renamed(FRAMES, "davis/JPEGImages/480p/Two"), ("480p/two has no *.jpg frames",)),
    Row("no frames", davis, emptied(FRAMES), ("has no *.jpg frames", "unpack it")),
    Row("one frame", davis, cut_to(1), ("has 1 frames", "give three up"), kept=("one",)),
    Row("two frames", davis, cut_to(2), ("has 2 frames", "give three up"), kept=("one",)),
    Row("frame cut off", davis, spoiled(FRAMES + "00002.jpg", half), ("cannot be decoded", "restore"), kept=("one",)),
    Row("frame of no bytes", davis, spoiled(FRAMES + "00001.jpg", b""), ("cannot be decoded", "restore"), ("one",)),
    Row("text as frame", davis, spoiled(FRAMES + "00002.jpg", b"no image"), ("cannot be decoded", "restore"), ("one",)),
    Row("frame that is a folder", davis, instead(FRAMES + "00002.jpg", Path.mkdir), ("is a folder", "restore")),
    Row("frame in a circle of links", davis, instead(FRAMES + "00002.jpg", loop), ("is a link to nothing", "restore")),
    Row("frame nobody may read", davis, forbidden(FRAMES + "00002.jpg"), ("no right", "chmod"), ("one",), True),
    Row("frame twice", davis, twice(FRAMES + "00002.jpg"), ("00002.JPG are the same frame", "remove one")),
    Row("no annotation", davis, removed(MASKS + "00001.png"), ("its frame is there", "restore this annotation")),
    Row("no annotations", davis, removed(MASKS), ("00000.png is missing", "restore this annotation")),
    Row(
        "annotation without frame",
        davis,
        removed(FRAMES + "00003.jpg", named=MASKS + "00003.png"),
        ("annotates a frame that is not in", "restore the frame"),
    ),
    Row(
        "gap",
        davis,
        removed(FRAMES + "00001.jpg", MASKS + "00001.png"),
        ("is missing between 00000.jpg and 00002.jpg", "restore this frame"),
    ),
    Row("other name of a mask", davis, renamed(MASKS + "00002.png", MASKS + "2.png"), ("00002.png is missing",)),
    Row("mask in colour", davis, spoiled(MASKS + "00002.png", picture((*SIZE, 3))), ("palette or grey PNG",), ("one",)),
    Row("deep mask", davis, spoiled(MASKS + "00000.png", picture(SIZE, 1, np.uint16)), ("16 bits", "8"), ("one",)),
    Row("small mask", davis, spoiled(MASKS + "00001.png", picture((24, 32))), ("32x24 px", "must agree"), ("one",)),
    Row("mask cut off", davis, spoiled(MASKS + "00001.png", half), ("cannot be decoded", "restore"), ("one",)),
    Row("JPEG as mask", davis, spoiled(MASKS + "00001.png", picture(SIZE, 1, ending=".jpg")), ("blurs ids",), ("one",)),
    Row("mask nobody may read", davis, forbidden(MASKS + "00001.png"), ("no right", "chmod"), ("one",), True),
    Row("only void at first", davis, spoiled(MASKS + "00000.png", picture(SIZE, 255)), ("no object",), kept=("one",)),
    Row(
        "frame of other size",
        davis,
        both(
            spoiled(FRAMES + "00002.jpg", picture((24, 32, 3), ending=".jpg")),
            spoiled(MASKS + "00002.png", picture((24, 32))),
        ),
        ("is 32x24 px but", "must agree"),
        kept=("one",),
    ),
)

VIP_ROWS = (
    Row("vip: no list", vip, removed(VIP_LIST), ("is missing", "it should list")),
    Row("vip: listed twice", vip, spoiled(VIP_LIST, b"one\ntwo\none\n"), ("lists one twice", "take one")),
    Row("vip: no annotation", vip, removed(VIP_MASKS + "00003.png"), ("is missing", "restore this annotation")),
    Row(
        "vip: a class too high",
        vip,
        spoiled(VIP_MASKS + "00002.png", picture(SIZE, 20)),
        ("the id 20", "classes are 0 to 19", "mend it"),
        kept=("one",),
    ),
)

JHMDB_ROWS = (
    Row("jhmdb: half a line", jhmdb, spoiled(CLIP_LIST, b"a.mat\n"), ("'a.mat' is not '<joint_pos", "mend the line")),
    Row("jhmdb: no joints", jhmdb, removed(MAT), ("is missing", "unpack JHMDB's joint_positions")),
    Row("jhmdb: text as joints", jhmdb, spoiled(MAT, b"no mat file" * 40), ("no readable pos_img", "restore")),
    Row("jhmdb: joints cut off", jhmdb, spoiled(MAT, half), ("no readable pos_img (cut off)", "restore")),
    # SciPy's reader ends the process on this one.
    Row(
        "jhmdb: damaged joints",
        jhmdb,
        spoiled(MAT, lambda c: c[:192] + b"\xff" + c[193:]),
        ("no readable pos_img (broken)", "restore"),
    ),
    Row("jhmdb: other variable", jhmdb, mat(joints(), "pos_world"), ("there is no pos_img", "restore this file")),
    Row("jhmdb: fewer joints", jhmdb, mat(joints()[:, :13]), ("(2, 13, 4), not (2, 15, frames)",)),
    Row("jhmdb: a matrix", jhmdb, mat(joints()[0]), ("(15, 4), not (2, 15, frames)", "restore")),
    Row("jhmdb: no frame's joints", jhmdb, mat(joints(frames=0)), ("(2, 15, 0), not (2, 15, frames)",)),
    Row("jhmdb: cells", jhmdb, mat(np.array([1, "a"], object)), ("doesn't hold real numbers", "restore")),
    Row("jhmdb: text in it", jhmdb, mat("joints"), ("doesn't hold real numbers", "restore")),
    Row("jhmdb: NaN", jhmdb, mat(joints(at=(0, 3, 2), odd=np.nan)), ("frame 3 has a NaN or infinity", "restore")),
    Row("jhmdb: too large", jhmdb, mat(joints(at=(1, 0, 0), odd=1e300)), ("frame 1 has a NaN or infinity",)),
    Row("jhmdb: all outside", jhmdb, mat(joints(900.0)), ("no joint of frame 1 within", "leave the clip out")),
    Row("jhmdb: fewer frames", jhmdb, removed(CLIP + "00004.png", named=CLIP[:-1]), ("has 3 frames but", "has 4")),
    Row("jhmdb: gap", jhmdb, removed(CLIP + "00002.png"), ("is missing between 00001.png and", "restore this frame")),
    Row("jhmdb: frame cut off", jhmdb, spoiled(CLIP + "00003.png", half), ("cannot be decoded",), ("catch--ball",)),
    Row(
        "jhmdb: frame of other size",
        jhmdb,
        spoiled(CLIP + "00003.png", picture((24, 32, 3))),
        ("is 32x24 px but", "must agree"),
        kept=("catch--ball",),
    ),
)

BADJA_ROWS = (
    Row("badja: no lists", badja, removed("badja/joint_annotations"), ("has no *.json lists", "folder of BADJA")),
    Row("badja: list cut off", badja, spoiled(DOG, half), ("is not valid JSON", "restore it")),
    Row("badja: another list", badja, entries(lambda found: {"a": found}), ("not in BADJA's format", "restore")),
    Row("badja: a number", badja, spoiled(DOG, b"3"), ("not in BADJA's format", "restore")),
    Row("badja: no entry", badja, spoiled(DOG, b"[]"), ("not in BADJA's format (no frame)", "restore")),
    Row(
        "badja: no folders",
        badja,
        entries(lambda f: [e | {"image_path": "DAVIS/1.jpg"} for e in f[:1]]),
        ("DAVIS/1.jpg",),
    ),
    Row("badja: frame twice", badja, entries(lambda found: [*found, found[0]]), ("a frame twice", "restore")),
    Row("badja: z, too", badja, entries(set_joint(1, 2, [1.0, 2.0, 3.0])), ("a list of image_path", "restore")),
    Row("badja: NaN", badja, entries(set_joint(1, 2, [float("nan"), 3.0])), ("of 00002.jpg is NaN or", "restore")),
    Row("badja: infinite", badja, entries(set_joint(2, 0, [1e300, 3.0])), ("of 00004.jpg is NaN or infinite",)),
    Row("badja: none visible", badja, entries(none_visible), ("no joint that is visible", "leave it out")),
    Row(
        "badja: all outside", badja, entries(all_outside), ("no joint of its first frame within", "leave the list out")
    ),
    Row("badja: no frame", badja, removed(ANIMAL + "00002.jpg"), ("has its joints", "restore this frame")),
    Row("badja: gap", badja, removed(ANIMAL + "00001.jpg"), ("is missing between 00000.jpg and", "restore")),
    Row(
        "badja: one mask is missing",
        badja,
        removed("badja/DAVIS/Annotations/480p/dog/00002.png"),
        ("other masks of its video are there", "restore this annotation"),
    ),
    Row(
        "badja: frame of other size",
        badja,
        spoiled(ANIMAL + "00003.jpg", picture((24, 32, 3), ending=".jpg")),
        ("is 32x24 px but", "must agree"),
        kept=("bear",),
    ),
)


@table(*DAVIS_ROWS, *VIP_ROWS, *JHMDB_ROWS, *BADJA_ROWS)
def test_bad_input(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    check(row, tmp_path, Shell(monkeypatch, capfd))


# Odd, but good


def mapped(pattern: str, change: Callable[[Path], object]) -> Spoil:
    """Every file that matches is changed."""

    def alter(data: Path) -> None:
        for path in sorted(data.glob(pattern)):
            change(path)

    return alter


def upper_case(path: Path) -> None:
    path.rename(path.with_suffix(path.suffix.upper()))


def grey(path: Path) -> None:
    with Image.open(path) as image:
        ids = np.array(image)
    Image.fromarray(ids, mode="L").save(path)


def two_valued(path: Path) -> None:
    with Image.open(path) as image:
        ids = np.array(image)
    Image.fromarray(ids == 1).save(path)


def with_void(path: Path) -> None:
    with Image.open(path) as image:
        ids = np.array(image)
    ids[:20] = 255
    Image.fromarray(ids, mode="L").save(path)


def some_outside(path: Path) -> None:
    found = joints(25.0)
    found[:, :5] = -300
    savemat(path, {"pos_img": found})


def beside(path: Path) -> None:
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")  # as a Mac leaves them


SAME, OTHER = True, False  # metrics as those of the plain data, or not


@pytest.mark.parametrize(
    ("command", "alter", "metrics"),
    [
        pytest.param(davis, mapped("davis/JPEGImages/480p/*/*", upper_case), SAME, id="upper-case frames"),
        pytest.param(davis, mapped("davis/*/480p/*/*", upper_case), SAME, id="upper-case frames and masks"),
        pytest.param(vip, mapped("vip/*/*/*.???", upper_case), SAME, id="vip: upper case"),
        pytest.param(jhmdb, mapped("jhmdb/Rename_Images/*/*/*", upper_case), SAME, id="jhmdb: upper case"),
        pytest.param(badja, mapped("badja/DAVIS/*/480p/*/*", upper_case), SAME, id="badja: upper case"),
        pytest.param(davis, mapped("davis/*/480p/*/*", beside), SAME, id="a Mac's files"),
        pytest.param(davis, mapped("davis/Annotations/480p/*/*", grey), SAME, id="grey masks"),
        pytest.param(davis, mapped("davis/Annotations/480p/*/*", two_valued), SAME, id="masks of one bit"),
        pytest.param(davis, mapped("davis/Annotations/480p/*/*", with_void), OTHER, id="void beside the object"),
        pytest.param(davis, spoiled(LIST, b"\r\none\r\n\r\n two \r\n"), SAME, id="list of Windows"),
        pytest.param(davis, spoiled(LIST, b"\xef\xbb\xbfone\ntwo"), SAME, id="list with a mark"),
        pytest.param(jhmdb, mapped("jhmdb/joint_positions/*/*/*", some_outside), OTHER, id="some joints outside"),
    ],
)
def test_odd_but_good_input(
    command: Callable[[Path], list],
    alter: Spoil,
    metrics: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    stt = Shell(monkeypatch, capfd)
    arguments, found = command(tmp_path), []
    for name in ("plain", "odd"):
        answer = stt(*arguments, "--out", tmp_path / name)
        assert (answer.code, answer.error, answer.warned) == (0, "", [])
        found.append(json.loads((tmp_path / name / "results.json").read_text())["metrics"])
        if name == "plain":
            alter(tmp_path)
    assert (found[0] == found[1]) == metrics
