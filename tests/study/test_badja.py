"""BADJA: its lists and folders, the authors' rule and JHMDB's by hand, the real sequences."""

import json
from pathlib import Path

import numpy as np
import pytest
from writers import write_picture

from stt_core.errors import InputError
from stt_core.labels import read_mask
from stt_core.pictures import read_image
from stt_core.propagation import Inference
from stt_study.benchmarks.badja import BADJA, areas, badja_clips, badja_davis
from stt_study.benchmarks.label_sources import label_source
from stt_study.benchmarks.run import evaluate

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SIZE = (192, 108)  # width, height of the frames: a tenth of the size that joints are given for
JOINTS = 6
TIMES = (2, 3, 6)  # annotated frames of nine
RULE = "PCK@0.2 sqrt(area)"


def truth():
    """(A, J, 2) xy px of the frames. Joint 4 is never visible, joint 5 is not in the first annotated frame."""
    first = np.array([[20, 20], [60, 50], [40, 30], [30, 40], [90, 90], [25, 25]], float)
    moved = np.repeat(first[None], 3, axis=0)
    moved[1, 0] += (0, 5)
    moved[2, 0] += (0, 9)
    moved[2, 1] += (30, 0)
    moved[1, 3] += (50, 50)  # not visible there
    return moved


def visible():
    seen = np.ones((3, JOINTS), bool)
    seen[:, 4] = False
    seen[0, 5] = False
    seen[1, 3] = False
    return seen


def write_list(root, name="lion", joints=None, seen=None, own=False):
    """A list, in any order; with `own`, of a video of BADJA's own in its pixels, else of DAVIS at full resolution."""
    joints, seen = truth() if joints is None else joints, visible() if seen is None else seen
    image, mask = f"DAVIS/JPEGImages/Full-Resolution/{name}", f"DAVIS/Annotations/Full-Resolution/{name}"
    if own:
        image, mask = f"extra_videos/{name}/rgb", f"extra_videos/{name}/segments"
    entries = [
        {
            "image_path": f"{image}/{t:05d}.jpg",
            "segmentation_path": f"{mask}/{t:05d}.png",
            "joints": np.where(seen[a][:, None], joints[a, :, ::-1] * (1 if own else 10), 0).tolist(),
            "visibility": seen[a].tolist(),
        }
        for a, t in enumerate(TIMES)
    ]
    path = root / f"joint_annotations/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries[::-1]))


def write_frames(folder, size=SIZE):
    for t in range(9):
        write_picture(folder / f"{t:05d}.jpg", np.full((size[1], size[0], 3), 20 * t, np.uint8))


def write_masks(folder, sides=(10, 20, 30), size=SIZE):
    for t, side in zip(TIMES, sides, strict=True):
        mask = np.zeros(size[::-1], np.uint8)
        mask[:side, :side] = 1
        mask[:1, :side] = 2  # a rider is part of it
        write_picture(folder / f"{t:05d}.png", mask)


@pytest.fixture
def badja(tmp_path):
    root = tmp_path / "badja"
    write_list(root)
    write_frames(root / "DAVIS/JPEGImages/480p/lion")
    write_masks(root / "DAVIS/Annotations/480p/lion")
    return root


def test_layout(badja):
    (clip,) = badja_clips(badja)
    assert clip.name == "lion"
    assert [frame.name for frame in clip.frames] == [f"{t:05d}.jpg" for t in range(2, 7)]  # first to last annotated
    assert clip.times == (0, 1, 4)
    np.testing.assert_array_equal(clip.visible, visible())
    np.testing.assert_allclose(clip.joints[visible()], truth()[visible()], rtol=1e-6)
    assert [mask.name for mask in clip.masks] == [f"{t:05d}.png" for t in TIMES]
    np.testing.assert_allclose(areas(clip), [100, 400, 900])


def test_a_joint_at_the_origin_is_not_visible(badja):
    joints, seen = truth(), visible()
    joints[2, 2] = 0
    write_list(badja, joints=joints, seen=seen)
    (clip,) = badja_clips(badja)
    assert not clip.visible[2, 2]


def test_frames_and_masks_beside_badja(badja, tmp_path):
    """As in a folder of data sets: badja and davis side by side; an explicit folder is looked at first."""
    (badja / "DAVIS").rename(tmp_path / "davis")
    assert badja_davis(badja) == [tmp_path / "davis"]
    (clip,) = badja_clips(badja)
    assert clip.frames[0] == tmp_path / "davis/JPEGImages/480p/lion/00002.jpg"
    (tmp_path / "davis").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"lion"):
        badja_clips(badja)
    (clip,) = badja_clips(badja, tmp_path / "elsewhere")
    assert len(clip.masks) == 3
    with pytest.raises(InputError, match=r"nowhere does not exist.*DAVIS"):
        badja_clips(badja, tmp_path / "nowhere")


def test_frames_here_and_masks_there(badja, tmp_path):
    (badja / "DAVIS/Annotations").rename(tmp_path / "Annotations")
    (clip,) = badja_clips(badja)
    assert clip.masks == ()
    (tmp_path / "DAVIS").mkdir()
    (tmp_path / "Annotations").rename(tmp_path / "DAVIS/Annotations")
    (clip,) = badja_clips(badja)
    assert clip.masks[0] == tmp_path / "DAVIS/Annotations/480p/lion/00002.png"


def test_masks_of_another_size_have_the_frames_area(badja):
    (badja / "DAVIS/Annotations").rename(badja / "old")
    write_masks(badja / "DAVIS/Annotations/Full-Resolution/lion", (30, 60, 90), (3 * SIZE[0], 3 * SIZE[1]))
    (clip,) = badja_clips(badja)
    np.testing.assert_allclose(areas(clip), [100, 400, 900])


def test_white_masks_in_colour(badja):
    white = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    white[:20, :20] = 255
    write_picture(badja / "DAVIS/Annotations/480p/lion/00003.png", white)
    (clip,) = badja_clips(badja)
    np.testing.assert_allclose(areas(clip), [100, 400, 900])


def test_videos_of_its_own_are_in_their_own_pixels(badja):
    write_list(badja, "cat", own=True)
    write_frames(badja / "extra_videos/cat/rgb")
    cat, lion = badja_clips(badja)
    np.testing.assert_allclose(cat.joints[visible()], lion.joints[visible()], rtol=1e-6)
    assert (cat.name, cat.masks) == ("cat", ())


def test_an_empty_mask_is_named(badja, tmp_path):
    write_picture(badja / "DAVIS/Annotations/480p/lion/00006.png", np.zeros(SIZE[::-1], np.uint8))
    with pytest.raises(InputError, match=r"00006\.png is empty"):
        evaluate(BADJA, label_source("copy"), badja, tmp_path / "out", Inference())


def test_copying_by_hand(badja, tmp_path):
    """Followed: joints 0 to 3. Later frames' areas are 400 and 900 px: found closer than 4 and 6 px.

    Frame 3: joint 0 is 5 px off, 1 and 2 stand, 3 is not visible. Frame 6: joint 0 is 9 px off, joint 1 is 30, the
    others stand.
    """
    results = evaluate(BADJA, label_source("copy"), badja, tmp_path / "out", Inference())
    assert results["metrics"][RULE] == pytest.approx((2 + 2) / (3 + 4))
    # JHMDB's unit is 0.6 times the diagonal of the box around the joints that are scored: (20 to 60) x (20 to 50) in
    # the first frame, then (20 to 60) x (25 to 50), then (20 to 90) x (29 to 50).
    units = [0.6 * np.hypot(40, height) for height in (30, 25)] + [0.6 * np.hypot(70, 21)]
    shares = np.array([0, 5, 9]) / units, np.array([0, 0, 30]) / units
    for a in (0.1, 0.2):
        with_first = [np.mean(shares[0] <= a), np.mean(shares[1] <= a), 1, 1]
        assert results["metrics"][f"PCK@{a}"] == pytest.approx(np.mean(with_first))
        without = [np.mean(shares[0][1:] <= a), np.mean(shares[1][1:] <= a), 1, 1]
        assert results["metrics"][f"PCK@{a}, frame 0 left out"] == pytest.approx(np.mean(without))
    assert list(results["metrics"]) == [
        *("PCK@0.1", "PCK@0.2", "PCK@0.1, frame 0 left out", "PCK@0.2, frame 0 left out"),
        RULE,
    ]
    assert (results["frames"], results["notes"]) == (5, [])
    found = json.loads((tmp_path / "out/joints/lion.json").read_text())
    assert found["frames"] == [f"{t:05d}.jpg" for t in range(2, 7)]
    joints = np.array(found["joints"])
    np.testing.assert_allclose(joints[:, :4], np.repeat(truth()[:1, :4], 5, axis=0), atol=0.01)
    assert (joints[:, 4:] == -1).all()  # what is not visible at first is not followed


def test_sequences_without_masks_are_counted(badja, tmp_path):
    """The authors' rule is the mean of the sequences that have masks, and says so."""
    for name in ("ape", "zebra"):
        write_list(badja, name)
        write_frames(badja / f"DAVIS/JPEGImages/480p/{name}")
    write_masks(badja / "DAVIS/Annotations/480p/zebra", (10, 100, 100))  # 20 px suffice: one joint is farther off
    results = evaluate(BADJA, label_source("copy"), badja, tmp_path / "out", Inference())
    ape, lion, zebra = (record["metrics"] for record in results["sequences"])
    assert RULE not in ape
    assert lion[RULE] == pytest.approx(4 / 7)
    assert zebra[RULE] == pytest.approx(6 / 7)
    assert results["metrics"][RULE] == pytest.approx((4 / 7 + 6 / 7) / 2)
    assert results["notes"] == [f"{RULE} is over 2 of 3 sequences: no masks of ape"]
    assert json.loads((tmp_path / "out/results.json").read_text()) == results


def test_new_masks_measure_again(badja, tmp_path):
    first = evaluate(BADJA, label_source("copy"), badja, tmp_path / "out", Inference())
    assert evaluate(BADJA, label_source("copy"), badja, tmp_path / "out", Inference()) == first
    write_masks(badja / "DAVIS/Annotations/480p/lion", (10, 100, 100))
    again = evaluate(BADJA, label_source("copy"), badja, tmp_path / "out", Inference())
    assert again["metrics"][RULE] > first["metrics"][RULE]


@pytest.mark.skipif(not (DATA / "badja").is_dir(), reason="no ../shared/data/badja")
def test_the_real_sequences(tmp_path):
    clips = {clip.name: clip for clip in badja_clips(DATA / "badja")}
    assert sorted(clips) == ["bear", "dog", "dog-agility", "horsejump-low"]
    assert [name for name, clip in clips.items() if clip.masks] == ["dog"]  # the other three's are not in the sample
    for clip in clips.values():
        assert clip.times[0] == 0
        assert clip.times[-1] == len(clip.frames) - 1
        height, width = read_image(clip.frames[0]).shape[:2]
        assert ((clip.joints >= 0) & (clip.joints < (width, height)))[clip.visible].all()
    dog = clips["dog"]
    on_it = []
    for a, mask in enumerate(dog.masks):
        x, y = dog.joints[a][dog.visible[a]].round().astype(int).T
        on_it += read_mask(mask)[y, x].tolist()
    assert np.mean(on_it) > 0.9  # drawn at (y, x) or at another scale, they would be beside the dog
