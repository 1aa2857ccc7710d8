"""Readers of the official layouts, on tiny layouts written by hand and on real folders."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from writers import write_jhmdb, write_lines, write_picture

from stt_core import provenance
from stt_core.errors import InputError
from stt_core.files import read_json
from stt_core.pictures import read_image
from stt_core.propagation import Inference
from stt_core.training.pairs import training_videos
from stt_study.benchmarks.davis import davis_sequences
from stt_study.benchmarks.jhmdb import JHMDB, jhmdb_clips
from stt_study.benchmarks.label_sources import label_source
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.benchmarks.run import evaluate
from stt_study.benchmarks.vip import vip_sequences

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
FRAME = np.zeros((6, 8, 3), np.uint8)
real = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")


@pytest.fixture
def davis(tmp_path):
    root = tmp_path / "davis"
    for name, frames in (("swan", 3), ("dog", 2), ("not-listed", 2)):
        for t in reversed(range(frames)):
            write_picture(root / f"JPEGImages/480p/{name}/{t:05d}.jpg", FRAME + np.uint8(10 * t))
            write_picture(root / f"Annotations/480p/{name}/{t:05d}.png", np.full((6, 8), t, np.uint8))
    write_lines(root / "ImageSets/2017/val.txt", "swan", "", " dog ")
    return root


@pytest.fixture
def vip(tmp_path):
    root = tmp_path / "vip"
    for name in ("videos1", "videos2"):
        for number in (7, 12, 101):  # VIP's frames are not counted from 0
            write_picture(root / f"Images/{name}/{number:012d}.jpg", FRAME)
            write_picture(root / f"Annotations/{name}/{number:012d}.png", np.full((6, 8), 3, np.uint8))
    write_lines(root / "lists/val_videos.txt", "videos2", "videos1")
    return root


@pytest.fixture
def jhmdb(tmp_path):
    return write_jhmdb(tmp_path / "jhmdb", names=("wave/hello", "catch/a_ball"))


def test_davis_layout(davis):
    swan, dog = davis_sequences(davis)
    assert (swan.name, dog.name) == ("swan", "dog")
    assert [p.relative_to(davis).as_posix() for p in swan.frames] == [
        f"JPEGImages/480p/swan/0000{t}.jpg" for t in range(3)
    ]
    assert [p.relative_to(davis).as_posix() for p in dog.masks] == [f"Annotations/480p/dog/0000{t}.png" for t in (0, 1)]
    assert [read_sequence_mask(swan, t).max() for t in range(3)] == [0, 1, 2]
    assert np.abs(read_image(swan.frames[2]).astype(int) - 20).max() <= 1


def test_davis_2016_merges_the_objects_of_2017(davis):
    ids = np.zeros((6, 8), np.uint8)
    ids[0, :4] = 1, 2, 3, 255
    write_picture(davis / "Annotations/480p/swan/00000.png", ids)
    write_lines(davis / "ImageSets/2016/train.txt", "swan")
    (swan,) = davis_sequences(davis, "train", "2016")
    np.testing.assert_array_equal(read_sequence_mask(swan, 0)[0], [1, 1, 1, 0, 0, 0, 0, 0])  # 255 is void
    assert read_sequence_mask(davis_sequences(davis)[0], 0)[0].tolist() == [1, 2, 3, 255, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        (("00000", "00005", "00010"), None),
        (("9", "10", "11"), None),
        (("a1", "a2", "a4", "b"), None),
        (("00000", "00001", "00003"), "00002"),
        (("00000", "00010", "00015"), "00005"),
        (("0", "3", "4"), "1"),
    ],
)
def test_frames_in_order_and_a_gap_is_named(davis, names, lost):
    """Of every fifth number, without zeros in front, or named otherwise: 9 comes before 10."""
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
        shutil.rmtree(davis / folder / "480p/swan")
        for name in names:
            write_picture(davis / folder / f"480p/swan/{name}.{ending}", FRAME)
    if lost:
        with pytest.raises(InputError, match=rf"JPEGImages/480p/swan/{lost}\.jpg is missing between "):
            davis_sequences(davis)
    else:
        swan, _ = davis_sequences(davis)
        assert tuple(path.stem for path in swan.frames) == tuple(path.stem for path in swan.masks) == names


def test_vip_layout(vip):
    second, first = vip_sequences(vip)
    assert (second.name, first.name) == ("videos2", "videos1")
    assert [p.stem for p in first.frames] == ["000000000007", "000000000012", "000000000101"]
    assert first.masks[2] == vip / "Annotations/videos1/000000000101.png"
    assert (read_sequence_mask(first, 0) == 3).all()


def test_vip_layout_of_the_original_archive(vip):
    """There, annotations of categories, instances and humans lie side by side; categories are the ones to read."""
    (vip / "Annotations").rename(vip / "Category_ids")
    (vip / "Annotations").mkdir()
    (vip / "Category_ids").rename(vip / "Annotations/Category_ids")
    (vip / "Annotations/Instance_ids/videos1").mkdir(parents=True)
    _, first = vip_sequences(vip)
    assert first.masks[0] == vip / "Annotations/Category_ids/videos1/000000000007.png"
    (vip / "Annotations/Category_ids/videos1/000000000012.png").unlink()
    with pytest.raises(InputError, match=r"Category_ids/videos1/000000000012\.png is missing"):
        vip_sequences(vip)


def test_jhmdb_layout(jhmdb):
    wave, catch = jhmdb_clips(jhmdb)
    assert (wave.name, catch.name) == ("wave/hello", "catch/a_ball")
    expected = loadmat(jhmdb / "joint_positions/catch/a_ball/joint_positions.mat")["pos_img"]
    np.testing.assert_allclose(catch.joints, expected.transpose(2, 1, 0) - 1, atol=1e-6)  # counted from 1
    assert [p.name for p in catch.frames] == ["00001.png", "00002.png", "00003.png", "00004.png"]


def test_jhmdb_lists_of_other_methods(jhmdb):
    """UVC's begin at its authors' root."""
    clips = jhmdb_clips(jhmdb)
    path = jhmdb / "val_list.txt"
    lines = [" ".join(f"/home/other/JHMDB/{part}" for part in line.split()) for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    assert [(clip.name, clip.frames) for clip in jhmdb_clips(jhmdb)] == [(clip.name, clip.frames) for clip in clips]


def test_davis_at_full_resolution_alone(davis):
    """It is trained on, but not measured, and the sentence says why."""
    (davis / "JPEGImages" / "480p").rename(davis / "JPEGImages" / "Full-Resolution")
    with pytest.raises(InputError, match="has Full-Resolution alone, but DAVIS is measured at 480p"):
        davis_sequences(davis)
    frames = training_videos(davis)[0]
    assert frames[0].parent.parent.name == "Full-Resolution"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_commit_of_a_repository_that_is_another_user_s(tmp_path, monkeypatch):
    for name in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", os.devnull)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    said = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 12345, 12345)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.commit() == said
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "site-packages")  # installed, in an environment inside of it
    assert provenance.commit() == "unknown"


def test_frames_after_the_last_joints_are_left_out(jhmdb):
    write_picture(jhmdb / "Rename_Images/wave/hello/00005.png", FRAME)
    wave, _ = jhmdb_clips(jhmdb)
    assert len(wave.frames) == len(wave.joints) == 4


@real
def test_real_davis_and_vip_layout():
    sequences = davis_sequences(DATA / "davis")
    assert len(sequences) == 8
    assert sum(len(s.frames) for s in sequences) == sum(len(s.masks) for s in sequences) == 419
    assert set(np.unique(read_sequence_mask(sequences[0], 0))) == {0, 1}
    (video,) = vip_sequences(DATA / "vip-camvid")
    assert len(video.frames) == len(video.masks) == 101
    assert set(np.unique(read_sequence_mask(video, 0))) <= {*range(11), 255}


@pytest.mark.skipif(not list(DATA.glob("jhmdb/**/joint_positions.mat")), reason="no joint_positions.mat in ../shared")
def test_real_jhmdb_clip(tmp_path):
    (clip,) = jhmdb_clips(DATA / "jhmdb")
    assert clip.name == "catch/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2"
    assert len(clip.frames) == len(clip.joints) == 40
    height, width = read_image(clip.frames[0]).shape[:2]
    assert ((clip.joints >= 0) & (clip.joints < (width, height))).all()
    results = evaluate(JHMDB, label_source("lab"), DATA / "jhmdb", tmp_path, Inference(resize=(160, 160), radius=2))
    assert results["frames"] == 40
    (path,) = (tmp_path / "joints").iterdir()
    found = np.array(read_json(path))  # (T, J, 2)
    assert ((found >= 0) & (found < (320, 240))).all()
