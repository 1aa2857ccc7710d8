"""Bad data of the benchmarks: each gets its own sentence, and restored, the same command goes on. See `answers.py`.

What the check of data says in the same words is in `test_data_check.py`. Weights are in `test_bad_weights.py`,
training data and videos of one's own in `test_bad_videos.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from answers import Command, Row, Shell, Spoil, check, every, forbid, half, instead, removed, rows, spoiled
from scipy.io import savemat
from writers import write_badja, write_davis, write_jhmdb, write_vip

SIZE = (48, 64)


def evaluated(task: str, write: Callable, **how: object) -> Command:
    def command(data: Path) -> list:
        write(data / task, **how)
        return ["evaluate", task, "--data", data / task, "--weights", "lab", "--resize", 48]

    return command


davis = evaluated("davis", write_davis, names=("one", "two"), frames=4)
vip = evaluated("vip", write_vip, names=("one", "two"))
jhmdb, badja = evaluated("jhmdb", write_jhmdb), evaluated("badja", write_badja)

FRAMES, MASKS, LIST = "davis/JPEGImages/480p/two/", "davis/Annotations/480p/two/", "davis/ImageSets/2017/val.txt"
VIP_MASKS, VIP_LIST = "vip/Annotations/two/", "vip/lists/val_videos.txt"
CLIP, CLIP_LIST = "jhmdb/Rename_Images/wave/hand/", "jhmdb/val_list.txt"
MAT = "jhmdb/joint_positions/wave/hand/joint_positions.mat"
DOG, ANIMAL = "badja/joint_annotations/dog.json", "badja/DAVIS/JPEGImages/480p/dog/"


def picture(shape: tuple[int, ...], value: int | tuple = 0, kind: type = np.uint8, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, np.full(shape, value, kind))[1].tobytes()


SMALL, SMALL_JPG = picture((24, 32)), picture((24, 32, 3), ending=".jpg")


def two_frames(data: Path) -> Path:
    """The video has so many, and annotations of them."""
    late = [f"{t:05d}" for t in range(2, 4)]
    return removed(*(FRAMES + t + ".jpg" for t in late), *(MASKS + t + ".png" for t in late), named=FRAMES[:-1])(data)


def mat(values: object, name: str = "pos_img") -> Spoil:
    return instead(MAT, lambda path: savemat(path, {name: values}))


def joints(value: float = 20.0, *, at: tuple | None = None, odd: float = 0.0, frames: int = 4) -> np.ndarray:
    found = np.full((2, 15, frames), value)
    found[0] += np.arange(15)[:, None]
    if at:
        found[at] = odd
    return found


def entries(change: Callable[[list], object]) -> Spoil:
    """What is returned in the place of a list of BADJA's."""
    return spoiled(DOG, lambda content: json.dumps(change(json.loads(content))).encode())


def first_entry(**changes: object) -> Spoil:
    return entries(lambda found: [found[0] | changes, *found[1:]])


ROWS = [
    *rows(
        davis,
        ("no folder", removed("davis"), "does not exist", "give the folder of DAVIS"),
        ("no list", removed(LIST), "is missing", "it should list the sequences"),
        ("empty list", spoiled(LIST, b"\n \n"), "lists nothing", "one a line"),
        ("list in UTF-16", spoiled(LIST, "one\n".encode("utf-16")), "is not text in UTF-8"),
    ),
    *rows(
        davis,
        ("two frames", two_frames, "has 2 frames", "give three up"),
        ("frame cut off", spoiled(FRAMES + "00002.jpg", half), "cannot be decoded", "restore"),
        ("mask in colour", spoiled(MASKS + "00002.png", picture((*SIZE, 3), (9, 8, 7))), "palette or grey PNG"),
        ("deep mask", spoiled(MASKS + "00000.png", picture(SIZE, 1, np.uint16)), "16 bits", "8"),
        ("small mask", spoiled(MASKS + "00001.png", SMALL), "32x24 px", "must agree"),
        ("mask cut off", spoiled(MASKS + "00001.png", half), "cannot be decoded", "restore"),
        ("only void at first", spoiled(MASKS + "00000.png", picture(SIZE, 255)), "no object"),
        kept=("one",),
    ),
    *rows(
        davis,
        (
            "frame nobody may read",
            every(FRAMES + "00002.jpg", forbid, FRAMES + "00002.jpg"),
            "permission denied",
            "chmod",
        ),
        kept=("one",),
        other_user=True,
    ),
    *rows(
        vip,
        ("vip: listed twice", spoiled(VIP_LIST, b"one\ntwo\none\n"), "lists one twice", "take one"),
        ("vip: no annotation", removed(VIP_MASKS + "00003.png"), "is missing", "restore this annotation"),
    ),
    *rows(
        vip,
        ("vip: a class too high", spoiled(VIP_MASKS + "00002.png", picture(SIZE, 20)), "id 20", "classes are 0 to 19"),
        kept=("one",),
    ),
    *rows(
        jhmdb,
        ("jhmdb: half a line", spoiled(CLIP_LIST, b"a.mat\n"), "'a.mat' is not '<joint_pos", "the line"),
        ("jhmdb: no joints", removed(MAT), "is missing", "unpack JHMDB's joint_positions"),
        ("jhmdb: joints cut off", spoiled(MAT, half), "no readable pos_img", "restore"),
        ("jhmdb: other variable", mat(joints(), "pos_world"), "pos_img", "restore this file"),
        ("jhmdb: fewer joints", mat(joints()[:, :13]), "(2, 13, 4), not (2, 15, frames)"),
        ("jhmdb: NaN", mat(joints(at=(0, 3, 2), odd=np.nan)), "not (2, 15, frames) of finite", "restore"),
        ("jhmdb: all outside", mat(joints(900.0)), "no joint of frame 1 within", "leave the clip out"),
        ("jhmdb: fewer frames", removed(CLIP + "00004.png", named=CLIP[:-1]), "has 3 frames but", "has 4"),
        ("jhmdb: gap", removed(CLIP + "00002.png"), "is missing between 00001.png and", "restore this frame"),
    ),
    *rows(
        jhmdb,
        ("jhmdb: frame cut off", spoiled(CLIP + "00003.png", half), "cannot be decoded"),
        ("jhmdb: other size", spoiled(CLIP + "00003.png", picture((24, 32, 3))), "is 32x24 px but", "must agree"),
        kept=("catch--ball",),
    ),
    *rows(
        badja,
        ("badja: no lists", removed("badja/joint_annotations"), "has no *.json lists", "folder of BADJA"),
        ("badja: list cut off", spoiled(DOG, half), "is not valid JSON", "restore it"),
        ("badja: no video", removed("badja/DAVIS/JPEGImages/480p/dog", named="badja"), "give a DAVIS that has dog"),
        ("badja: NaN", first_entry(joints=[[float("nan"), 3.0]] * 4), "not in BADJA's format", "two numbers"),
        ("badja: none visible", first_entry(visibility=[False] * 4), "no joint that is visible", "leave it out"),
        ("badja: all outside", first_entry(joints=[[-500.0, 9000.0]] * 4), "first frame within", "leave the list out"),
        ("badja: gap", removed(ANIMAL + "00001.jpg"), "is missing between 00000.jpg and", "restore"),
    ),
    *rows(
        badja,
        ("badja: frame of other size", spoiled(ANIMAL + "00003.jpg", SMALL_JPG), "is 32x24 px but", "must agree"),
        kept=("bear",),
    ),
]


@pytest.mark.parametrize("row", ROWS)
def test_bad_input(row: Row, tmp_path: Path, shell: Shell) -> None:
    check(row, tmp_path, shell)


def upper_case(path: Path) -> None:
    path.rename(path.with_suffix(path.suffix.upper()))


def beside(path: Path) -> None:
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")  # as a Mac leaves them


def some_outside() -> np.ndarray:
    found = joints(25.0)
    found[:, :5] = -300
    return found


SAME, OTHER = True, False  # metrics as those of the plain data, or not


@pytest.mark.parametrize(
    ("command", "alter", "metrics"),
    [
        pytest.param(davis, every("davis/*/480p/*/*", upper_case), SAME, id="upper-case frames and masks"),
        pytest.param(jhmdb, every("jhmdb/Rename_Images/*/*/*", upper_case), SAME, id="jhmdb: upper case"),
        pytest.param(badja, every("badja/DAVIS/*/480p/*/*", upper_case), SAME, id="badja: upper case"),
        pytest.param(davis, every("davis/*/480p/*/*", beside), SAME, id="a Mac's files"),
        pytest.param(davis, spoiled(LIST, b"\xef\xbb\xbf\r\none\r\n\r\n two \r\n"), SAME, id="list of Windows"),
        pytest.param(jhmdb, mat(some_outside()), OTHER, id="some joints outside"),
    ],
)
def test_odd_but_good_input(command, alter: Spoil, metrics: bool, tmp_path: Path, shell: Shell) -> None:
    arguments, found = command(tmp_path), []
    for name in ("plain", "odd"):
        answer = shell(*arguments, "--out", tmp_path / name)
        assert (answer.code, answer.error, answer.warned) == (0, "", [])
        found.append(json.loads((tmp_path / name / "results.json").read_text())["metrics"])
        if name == "plain":
            alter(tmp_path)
    assert (found[0] == found[1]) == metrics
