"""The check of data: a whole set has no problems, and each kind of damage is named, all in one run."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_server import imagenette_files, jpeg, mat, png, youtube_meta
from writers import write_davis, write_images, write_videos

from stt_core.errors import InputError
from stt_study.benchmarks.davis import davis_sequences
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.cli import main
from stt_study.data import check as data_check
from stt_study.data.check import check
from stt_study.video.frames import write_video


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def named(problems: tuple[str, ...], *wanted: str) -> None:
    """There are as many problems as `wanted`, and each has one of these in it."""
    assert len(problems) == len(wanted), problems
    for word in wanted:
        assert sum(word in problem for problem in problems) == 1, (word, problems)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    return write_davis(tmp_path / "DAVIS", names=("one", "two", "three"), frames=4)


@pytest.fixture
def jhmdb(tmp_path: Path) -> Path:
    files, lines = {}, []
    for clip in ("a", "b", "c"):
        files[f"joint_positions/catch/{clip}/joint_positions.mat"] = mat(3)
        lines.append(f"joint_positions/catch/{clip}/joint_positions.mat Rename_Images/catch/{clip}")
        files |= {f"Rename_Images/catch/{clip}/{t:05d}.png": png(mode="RGB") for t in (1, 2, 3)}
    return write(tmp_path / "JHMDB", files | {"val_list.txt": "\n".join(lines).encode()})


@pytest.fixture
def youtube(tmp_path: Path) -> Path:
    files = {"train/meta.json": json.dumps(youtube_meta()).encode()}
    for video, entry in youtube_meta()["videos"].items():
        for frame in entry["objects"]["1"]["frames"]:
            files[f"train/JPEGImages/{video}/{frame}.jpg"] = jpeg()
            files[f"train/Annotations/{video}/{frame}.png"] = png()
    return write(tmp_path / "youtube-vos", files)


def test_whole_davis(davis: Path) -> None:
    checked = check("davis", davis, every=True)
    assert checked.counts == {"frames": 12, "annotations": 12, "sequences": 3, "decoded": 24}
    assert checked.notes == ("3 of the official 30 sequences of val.",)
    assert checked.problems == ()


def test_every_fault_of_davis_is_named_at_once(davis: Path) -> None:
    images, masks = davis / "JPEGImages" / "480p", davis / "Annotations" / "480p"
    (davis / "ImageSets" / "2017" / "val.txt").write_text("one\ntwo\nthree\nfour\nthree\n")
    (images / "one" / "00001.jpg").unlink()  # a gap, and an annotation without its frame
    (masks / "one" / "00002.png").unlink()
    cut = images / "two" / "00002.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    (masks / "two" / "00003.png").write_bytes(b"")
    (masks / "two" / "00001.png").write_bytes(png((48, 60)))
    (images / "three" / "00003.jpg").write_bytes(jpeg((48, 60)))
    (masks / "three" / "00003.png").write_bytes(png((48, 60)))
    (masks / "three" / "00000.png").write_bytes(png((48, 64), mode="RGB"))
    (images / "extra").mkdir()
    checked = check("davis", davis, every=True)
    named(
        checked.problems,
        "val.txt lists 1 twice",
        "four is missing, but it is listed",
        "one lacks frame 1;",
        "one/00001.png annotates a frame that is not",
        "one/00002.png is missing",
        "two/00002.jpg cannot be decoded",
        "two/00003.png is empty",
        "two/00001.png is 60x48 px but",
        "three/00003.jpg is 60x48 px but",
        "three/00000.png is a colour image",
    )
    assert "1 folders in" in checked.notes[-1]
    # What the loader says first is among what the check says.
    with pytest.raises(InputError) as first:
        davis_sequences(davis)
    assert str(first.value).split(" is missing")[0] in "\n".join(checked.problems)


def test_damage_that_the_loader_finds_is_found(davis: Path) -> None:
    for name, damage in (("one", b"not a png"), ("two", png((10, 10))), ("three", png((48, 64), mode="RGB"))):
        path = davis / "Annotations" / "480p" / name / "00001.png"
        path.write_bytes(damage)
        sequence = next(sequence for sequence in davis_sequences(davis) if sequence.name == name)
        with pytest.raises(InputError) as caught:
            read_sequence_mask(sequence, 1)
        assert str(path) in str(caught.value)
        assert any(str(path) in problem for problem in check("davis", davis).problems)


def test_davis_without_annotations_or_lists(tmp_path: Path, davis: Path) -> None:
    for path in sorted((davis / "Annotations").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (davis / "Annotations").rmdir()
    (davis / "ImageSets" / "2017" / "val.txt").rename(davis / "ImageSets" / "2017" / "train.txt")
    checked = check("davis", davis)
    assert checked.counts == {"frames": 12, "sequences": 3, "decoded": 12}
    assert checked.problems == ()
    assert "no annotations" in checked.notes[0]
    (davis / "ImageSets" / "2017" / "train.txt").unlink()
    named(check("davis", davis).problems, "neither train.txt nor val.txt")


def test_sample_is_spread_and_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "n", {f"train/c{c}/{i:02d}.JPEG": jpeg() for c in range(5) for i in range(20)})
    seen: list[list[str]] = []

    def fault(picture: data_check.Picture) -> None:
        seen[-1].append(f"{picture.path.parent.name}/{picture.path.name}")

    monkeypatch.setattr(data_check, "_fault", fault)
    for _ in range(2):
        seen.append([])
        assert check("imagenet", root, sample=10).counts == {"images": 100, "classes": 5, "decoded": 10}
    assert sorted(seen[0]) == sorted(seen[1])
    assert [sum(name.startswith(f"c{c}/") for name in seen[0]) for c in range(5)] == [2] * 5
    seen.append([])
    check("imagenet", root, sample=10, every=True)
    assert len(set(seen[2])) == 100


def test_empty_and_missing_files_are_found_without_decoding(tmp_path: Path) -> None:
    root = write_images(tmp_path / "i", classes=3, each=30)
    (root / "train" / "class1" / "7.JPEG").write_bytes(b"")
    (root / "train" / "class9").mkdir()
    (root / "train" / "class2" / "notes.txt").write_text("x")
    checked = check("imagenet", root, sample=1)
    named(checked.problems, "class1/7.JPEG is empty", "class9 has no images")
    assert checked.counts == {"images": 90, "classes": 4, "other files": 1, "decoded": 1}
    assert checked.notes == ("4 of the official 1,000 classes.", "90 of the official 1,281,167 images.")
    named(check("imagenet", root / "train" / "class0").problems, "no class folders")


def test_imagenette(tmp_path: Path) -> None:
    root = write(tmp_path, imagenette_files()) / "imagenette2-160"
    assert check("imagenette", root).problems == ()
    cut = root / "val" / "n01440764" / "1.JPEG"
    cut.write_bytes(cut.read_bytes()[:-30])
    named(check("imagenette", root).problems, "val/n01440764/1.JPEG cannot be decoded")
    (root / "train").rename(root / "training")
    named(check("imagenette", root).problems, "1.JPEG cannot be decoded", "train is missing")


def test_jhmdb(jhmdb: Path) -> None:
    checked = check("jhmdb", jhmdb)
    assert checked.problems == ()
    assert checked.counts == {"frames": 9, "joint files": 3, "clips": 3, "decoded": 9}
    joints = jhmdb / "joint_positions" / "catch"
    (joints / "a" / "joint_positions.mat").write_bytes(mat(3, joints=14))
    (joints / "b" / "joint_positions.mat").unlink()
    (joints / "c" / "joint_positions.mat").write_bytes(mat(3)[:100])
    (jhmdb / "Rename_Images" / "catch" / "c" / "00001.png").unlink()
    with (jhmdb / "val_list.txt").open("a") as file:
        file.write("\nonly-one-part\n")
    wanted = ("(2, 14, 3), not (2, 15, frames)", "b/joint_positions.mat is missing", "no readable pos_img")
    named(check("jhmdb", jhmdb).problems, *wanted, "c lacks frame 1;", "'only-one-part' is not")
    (joints / "c" / "joint_positions.mat").write_bytes(mat(3))
    assert any("joints of 3 frames, but only 2" in problem for problem in check("jhmdb", jhmdb).problems)
    (jhmdb / "val_list.txt").unlink()
    named(check("jhmdb", jhmdb).problems, "val_list.txt is missing")


@pytest.mark.parametrize("inner", ["", "Category_ids/"])
def test_vip(tmp_path: Path, inner: str) -> None:
    files = {f"Images/v/{t:012d}.jpg": jpeg() for t in (1, 26)}
    files |= {f"Annotations/{inner}v/{t:012d}.png": png() for t in (1, 26)} | {"lists/val_videos.txt": b"v\n"}
    root = write(tmp_path / "VIP_Fine", files)
    checked = check("vip", root)
    assert checked.problems == ()
    assert checked.counts == {"frames": 2, "annotations": 2, "videos": 1, "decoded": 4}
    (root / f"Annotations/{inner}v/{26:012d}.png").unlink()
    named(check("vip", root).problems, "000000000026.png is missing")
    (root / "lists" / "val_videos.txt").unlink()
    named(check("vip", root).problems, "val_videos.txt is missing")


def test_youtube_vos(youtube: Path) -> None:
    checked = check("youtube-vos", youtube)
    assert checked.problems == ()
    assert checked.counts == {"frames": 6, "annotations": 6, "videos": 2, "decoded": 12}
    train = youtube / "train"
    (train / "JPEGImages" / "003234408d" / "00005.jpg").unlink()
    (train / "Annotations" / "0043f083b5" / "00010.png").write_bytes(png((9, 9)))
    (train / "JPEGImages" / "more").mkdir()
    checked = check("youtube-vos", youtube)
    assert "1 folders in" in checked.notes[-1]
    # The annotation's own frame is gone, which is one fault and not two.
    named(checked.problems, "003234408d/00005.jpg is missing", "0043f083b5/00010.png is 9x9 px")
    meta = youtube_meta()
    meta["videos"]["gone"] = {"objects": {"1": {"frames": ["00000", "00005"]}}}
    meta["videos"]["none"] = {"objects": {}}
    (train / "meta.json").write_text(json.dumps(meta))
    problems = check("youtube-vos", youtube).problems
    assert any("gone is missing, but" in problem and "2 frames" in problem for problem in problems)
    assert any("lists no frame of video none" in problem for problem in problems)
    for content, word in (("{", "not valid JSON"), ('{"videos": {"a": {}}}', "not YouTube-VOS's"), ("[]", "YouTube")):
        (train / "meta.json").write_text(content)
        named(check("youtube-vos", youtube).problems, word)


def test_badja(tmp_path: Path) -> None:
    for name in ("bear", "dog"):
        entries = [
            {
                "image_path": f"own/{name}/{t:05d}.jpg",
                "segmentation_path": f"own-masks/{name}/{t:05d}.png",
                "joints": [[5, 5], [8, 9]],
                "visibility": [1, 1],
            }
            for t in (0, 2)
        ]
        files = {f"own/{name}/{t:05d}.jpg": jpeg() for t in range(3)}
        write(tmp_path, files | {f"joint_annotations/{name}.json": json.dumps(entries).encode()})
    checked = check("badja", tmp_path)
    assert checked.problems == ()
    assert checked.counts == {"clips": 2, "frames": 6, "annotated frames": 4, "decoded": 6}
    (tmp_path / "own" / "bear" / "00001.jpg").write_bytes(jpeg((10, 10)))
    (tmp_path / "own" / "dog" / "00002.jpg").unlink()
    named(check("badja", tmp_path).problems, "bear/00001.jpg is 10x10", "dog/00002.jpg is missing")


def test_videos(tmp_path: Path) -> None:
    root = write_videos(tmp_path / "v", videos=2, frames=4)
    frames = (np.full((32, 48, 3), 20 * t, np.uint8) for t in range(6))
    write_video(root / "film.mp4", ((t / 10, frame) for t, frame in enumerate(frames)), rate=10)
    checked = check("videos", root)
    assert checked.problems == ()
    assert checked.counts["videos"] == 3
    assert checked.counts["frames"] == 4 + 4 + 6
    assert checked.counts["decoded"] == 4 + 4 + 2
    film = root / "film.mp4"
    film.write_bytes(film.read_bytes()[:200])
    cv2.imwrite(str(root / "video0" / "00002.jpg"), np.zeros((8, 8, 3), np.uint8))
    (root / "nothing").mkdir()
    named(check("videos", root).problems, "film.mp4 has no video", "00002.jpg is 8x8", "nothing has 0 frames")


def test_unknown_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'kitti' can't be checked; choose from davis, vip"):
        check("kitti", tmp_path)
    with pytest.raises(InputError, match="none does not exist"):
        check("davis", tmp_path / "none")
    for name in ("davis", "vip", "jhmdb", "badja", "youtube-vos", "imagenet", "imagenette", "videos"):
        assert len(check(name, tmp_path).problems) >= 1


def test_command(davis: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def stt(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stt", "data", "check", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    code, output, error = stt("davis", davis, "--every")
    assert (code, error) == (0, "")
    assert output.splitlines() == [
        f"{davis}: frames 12, annotations 12, sequences 3, decoded 24",
        "3 of the official 30 sequences of val.",
        "no problems",
    ]
    names = [f"gone{i}" for i in range(60)]
    (davis / "ImageSets" / "2017" / "val.txt").write_text("one\n" + "\n".join(names))
    code, output, error = stt("davis", davis)
    lines = error.splitlines()
    assert code == 2
    assert "no problems" not in output
    assert len(lines) == 52
    assert lines[50] == "and 10 more"
    assert lines[51] == f"stt: {davis} has problems (60); mend them, or get it anew."
    assert all(name in line for name, line in zip(names, lines[:50], strict=False))


REAL = Path("../shared/data")


@pytest.mark.skipif(not (REAL / "davis" / "ImageSets").is_dir(), reason="no real DAVIS at hand")
def test_real_davis() -> None:
    checked = check("davis", REAL / "davis", sample=20)
    assert checked.problems == ()
    assert checked.counts == {"frames": 419, "annotations": 419, "sequences": 8, "decoded": 20}
