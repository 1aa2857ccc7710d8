"""The world made of code: layouts read back by hand, reproducible bytes, and labels that agree with the pixels."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from stt_core.errors import InputError
from stt_study.world import layouts, synthetic, textures
from stt_study.world.plans import JOINTS, VIP
from stt_study.world.scenes import CODES, Track, look, random_scene, render
from stt_study.world.synthetic import World, write_world

TINY = World(
    seed=1, size=96, labelled_size=112, images=7, classes=3, train_videos=14, train_frames=6, val_videos=1,
    test_videos=3, frames=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return write_world(tmp_path_factory.mktemp("world") / "made", TINY)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def still(noiseless):
    """The same scene without noise, blur, and changes of light."""
    constant = np.array([1.0, 0, 0, 0, 0, 0])
    light = Track(constant, np.zeros(6), np.zeros((1, 6, 3)), np.zeros((0, 7)), np.zeros(6))
    defocus = Track(np.zeros(1), np.zeros(1), np.zeros((1, 1, 3)), np.zeros((0, 2)), np.zeros(1))
    return replace(noiseless, light=light, defocus=defocus, depth_blur=0.0, shutter=0.0, noise=0.0)


def test_first_frames_of_davis_show_every_object(world):
    davis = world / "davis"
    names = {split: (davis / f"ImageSets/2017/{split}.txt").read_text().split() for split in ("train", "val")}
    assert names == {"train": ["val-00"], "val": ["test-00", "test-01", "test-02"]}
    for sequence in names["train"] + names["val"]:
        ids = [np.array(Image.open(davis / f"Annotations/480p/{sequence}/0000{t}.png")) for t in range(4)]
        objects = 1 + int(sequence[-2:]) % 3
        assert np.bincount(ids[0].ravel(), minlength=objects + 1)[1:].min() > 0.01 * ids[0].size
        assert ids[0].max() == objects
        assert set(np.unique(ids[3])) == set(range(objects + 1))  # nobody leaves for good


def test_people_have_vip_s_classes(world):
    for video in ("val-00", "test-00"):
        paths = sorted((world / "vip/Annotations" / video).iterdir())
        seen = set(np.unique(np.stack([np.array(Image.open(path)) for path in paths])))
        assert seen <= set(range(20))
        assert {0, VIP["face"], VIP["right-arm"], VIP["left-arm"]} <= seen


def test_people_have_jhmdb_s_joints(world):
    jhmdb = world / "jhmdb"
    for line in (jhmdb / "val_list.txt").read_text().splitlines():
        positions = loadmat(jhmdb / line.split()[0])["pos_img"]
        assert positions.shape == (2, 15, 4)
        neck, belly, face = positions[:, 0, 0], positions[:, 1, 0], positions[:, 2, 0]
        assert face[1] < neck[1] < belly[1]  # y, upright
        right, left = list(JOINTS).index("right shoulder"), list(JOINTS).index("left shoulder")
        assert positions[0, right, 0] < positions[0, left, 0]  # x: the person faces us


def test_bytes_are_the_same_on_rerun_whatever_else_is_made(world, tmp_path):
    again = digests(write_world(tmp_path / "again", TINY))
    assert again == digests(world)
    fewer = digests(write_world(tmp_path / "fewer", replace(TINY, train_videos=2, test_videos=1)))
    same = [name for name in fewer if Path(name).suffix in (".jpg", ".JPEG", ".png", ".mat")]
    assert all(fewer[name] == again[name] for name in same)
    other = digests(write_world(tmp_path / "other", replace(TINY, seed=2, train_videos=2, test_videos=1)))
    pictures = [name for name in set(other) & set(again) if Path(name).suffix in (".jpg", ".JPEG")]
    assert pictures
    assert all(other[name] != again[name] for name in pictures)


def test_a_made_world_is_kept_and_another_one_replaced(tmp_path):
    counts = dict.fromkeys(("images", "classes", "train_videos", "train_frames", "val_videos", "test_videos"), 1)
    small = World(seed=3, size=32, labelled_size=32, frames=1, **counts)
    root = write_world(tmp_path / "world", small)
    stamp = (root / "world.json").stat().st_mtime_ns
    write_world(root, small)
    assert (root / "world.json").stat().st_mtime_ns == stamp
    (tmp_path / ".world.making/half").mkdir(parents=True)  # of a run that was killed
    write_world(root, replace(small, frames=2))
    assert not (tmp_path / ".world.making").exists()
    assert len(list((root / "davis/JPEGImages/480p/test-00").iterdir())) == 2


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of paint")

    monkeypatch.setitem(synthetic.LABELLED, "vip", (fail, "{}.txt", "{0}"))
    with pytest.raises(RuntimeError, match="out of paint"):
        write_world(tmp_path / "world", replace(TINY, train_videos=1, images=1, classes=1))
    assert [path.name for path in tmp_path.iterdir()] == [".world.lock"]


def test_bad_input(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="another folder"):
        write_world(tmp_path, TINY)
    assert (tmp_path / "thesis.txt").exists()
    with pytest.raises(InputError, match="no more classes"):
        World(images=2, classes=3)


def test_recorded_cuts_are_cuts(world):
    train = world / "youtube-vos" / "train"
    cuts = 0
    for video, events in json.loads((train / "events.json").read_text()).items():
        paths = sorted((train / "JPEGImages" / video).glob("*.jpg"))
        pictures = np.stack([cv2.imread(str(path)) for path in paths]).astype(float)
        change = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))  # (T-1,)
        at = [int(name) // 5 - 1 for name in events["cuts"]]
        cuts += len(at)
        assert all(change[i] > 1.3 * np.median(np.delete(change, at)) for i in at)
    assert cuts >= 2
    for benchmark in ("davis", "vip", "jhmdb"):
        assert all(not e["cuts"] for e in json.loads((world / benchmark / "events.json").read_text()).values())


def test_splits_crop_disjoint_pixels(monkeypatch):
    maps = {}  # every photograph becomes a map of its own number and coordinates: a crop then tells where it is from
    for number, name in enumerate(textures.PHOTOGRAPHS):
        y, x = np.mgrid[tuple(slice(side) for side in textures.photograph(name).shape[:2])]
        maps[name] = np.stack([np.full_like(y, number), y, x], axis=2)
    monkeypatch.setattr(textures, "photograph", maps.get)
    monkeypatch.setattr(textures, "CONTRAST", -1)
    rng = np.random.default_rng(0)
    used = {split: [np.zeros(m.shape[:2], bool) for m in maps.values()] for split in textures.BANDS}
    for split, photographs in used.items():
        for _ in range(300):
            number, y, x = textures.crop(rng, split, int(rng.integers(60, 400))).reshape(-1, 3).T
            photographs[number[0]][y, x] = True
    for train, val, test in zip(*used.values(), strict=True):
        assert min(train.mean(), val.mean(), test.mean()) > 0.05  # each split has seen a good part of each photograph
        assert not (train & val | train & test | val & test).any()


@pytest.mark.parametrize("seed", range(6))
def test_joints_lie_on_their_parts(seed):
    rng = np.random.default_rng(seed)
    shot = random_scene(rng, "test", 160, [look(rng, "test", ("walk", "wave", "jump")[seed % 3])], hidden=1.0)
    person = next(i for i, actor in enumerate(shot.actors) if actor.label == 1)
    bones = shot.actors[person].creature.bones
    checked = 0
    for t in (0, 14, 28):
        frame = render(shot, t, rng)
        places = layouts.joints(frame, shot)
        for (bone, *_), (x, y) in zip(JOINTS.values(), places, strict=True):
            if not (0 <= x <= 159 and 0 <= y <= 159):
                continue
            code = person * CODES + 1 + next(i for i, b in enumerate(bones) if b.name == bone)
            column, row = round(x), round(y)
            near = frame.labels[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            seen = divmod(int(frame.labels[row, column]) - 1, CODES)
            # Its own bone is there, or something drawn later hides the place; never background or a bone behind it.
            hidden = seen[0] > person or (seen[0] == person and bones[seen[1]].depth >= bones[code % CODES - 1].depth)
            assert (near == code).any() or hidden
            checked += (near == code).any()
        classes = layouts.parts(frame, shot)
        assert ((classes > 0) == (frame.objects > 0)).all()
    assert checked >= 15


def test_visible_share_and_masks_agree_with_removing_the_occluder():
    hidden = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shot = random_scene(rng, "train", 160, [look(rng, "train")], still=True, hidden=1.0)
        bare = replace(shot, actors=shot.actors[:-1])
        frame, full = render(shot, 0, rng), render(bare, 0, rng)
        share = (frame.objects == 1).sum() / (full.objects == 1).sum()
        assert frame.visible[1] == pytest.approx(share, abs=0.03)  # counted on the finer canvas there
        assert full.visible[1] == 1.0
        hidden.append(1 - share)
    assert max(hidden) > 0.1
