"""Whole evaluations on tiny benchmarks of rolling textures, whose correspondence is known: scores, files, resuming."""

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from alive import Alive
from PIL import Image
from scipy.io import savemat
from writers import write_lines, write_picture

from stt_core import labels
from stt_core.features import FeatureSource, feature_source
from stt_core.labels import PALETTE, read_mask
from stt_core.propagation import Inference
from stt_study.benchmarks import labelled_videos
from stt_study.benchmarks.davis import DAVIS
from stt_study.benchmarks.jhmdb import JHMDB
from stt_study.benchmarks.label_sources import label_source
from stt_study.benchmarks.metrics import sequence_scores
from stt_study.benchmarks.registry import BENCHMARKS, PRESETS, TASKS, chosen
from stt_study.benchmarks.run import evaluate
from stt_study.benchmarks.vip import VIP
from stt_study.profile import Evaluation, Folders

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "davis_official.csv"
MAT = "joint_positions/catch/ball/joint_positions.mat"
FRAMES, HEIGHT, WIDTH, STEP = 6, 64, 96, 8  # STEP px to the right a frame: whole cells at stride 8 and 4
JOINTS = np.random.default_rng(0).uniform((10, 10), (40, HEIGHT - 10), (15, 2))  # (J, 2), from 0
# The window spans the picture: what enters on the left has left on the right.
INFERENCE = Inference(resize=None, num_preceding=4, radius=24, topk=3, temperature=0.02)


def texture(seed):
    noise = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH, 3)).astype(np.float32)
    # Blurred three times as wide as needed, so that its left and right ends meet.
    noise = cv2.GaussianBlur(np.tile(noise, (1, 3, 1)), (0, 0), 2.5)[:, WIDTH : 2 * WIDTH]
    return np.clip(128 + noise / noise.std() * 50, 0, 255).astype(np.uint8)


def rolling(image):
    return np.stack([np.roll(image, STEP * t, axis=1) for t in range(FRAMES)])


def write_joints(root, joints):
    (root / MAT).parent.mkdir(parents=True, exist_ok=True)
    savemat(root / MAT, {"pos_img": joints.transpose(2, 1, 0) + 1})


def blocks():
    """Object 1 and object 2, apart, inside the picture in every frame."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[8:40, 8:40] = 1
    ids[40:56, 16:48] = 2
    return ids


@pytest.fixture
def davis(tmp_path):
    for seed, name in enumerate(("one", "two")):
        ids = blocks() if name == "one" else (blocks() == 1).astype(np.uint8)
        for t, (frame, mask) in enumerate(zip(rolling(texture(seed)), rolling(ids), strict=True)):
            write_picture(tmp_path / f"davis/JPEGImages/480p/{name}/{t:05d}.jpg", frame)
            write_picture(tmp_path / f"davis/Annotations/480p/{name}/{t:05d}.png", mask)
    write_lines(tmp_path / "davis/ImageSets/2017/val.txt", "one", "two")
    return tmp_path / "davis"


@pytest.fixture
def vip(tmp_path):
    ids = blocks()
    ids[ids == 2] = 19  # the last of VIP's classes
    for t, (frame, mask) in enumerate(zip(rolling(texture(2)), rolling(ids), strict=True)):
        mask[:4] = 255  # void, in the first frame, too
        write_picture(tmp_path / f"vip/Images/walk/{3 * t:012d}.jpg", frame)
        write_picture(tmp_path / f"vip/Annotations/walk/{3 * t:012d}.png", mask)
    write_lines(tmp_path / "vip/lists/val_videos.txt", "walk")
    return tmp_path / "vip"


@pytest.fixture
def jhmdb(tmp_path):
    moving = JOINTS + np.arange(FRAMES)[:, None, None] * (STEP, 0)  # (T, J, 2)
    for t, frame in enumerate(rolling(texture(3))):
        write_picture(tmp_path / f"jhmdb/Rename_Images/catch/ball/{t + 1:05d}.png", frame)
    write_joints(tmp_path / "jhmdb", moving)
    write_lines(tmp_path / "jhmdb/val_list.txt", f"{MAT} Rename_Images/catch/ball")
    return tmp_path / "jhmdb"


def counted(source):
    """The same source, and a list that grows by the shape of every image it is asked for."""
    calls = []

    def extract(rgb):
        calls.append(tuple(rgb.shape))
        return source.extract(rgb)

    return replace(source, extract=extract), calls


def png(folder, name):
    return np.stack([read_mask(path) for path in sorted((folder / name).glob("*.png"))])


@pytest.mark.parametrize("benchmark", ["davis", "vip"])
def test_a_video_s_masks_are_not_held(benchmark, request, tmp_path, monkeypatch):
    """Of the six frames' masks, predicted and annotated, at most three of each are alive at a time."""
    predicted, annotated = Alive(), Alive()
    decode, read = labels.decode_masks, labelled_videos.read_sequence_mask
    monkeypatch.setattr(labels, "decode_masks", lambda *given: predicted(decode(*given)))
    monkeypatch.setattr(labelled_videos, "read_sequence_mask", lambda *given: annotated(read(*given)))
    data = request.getfixturevalue(benchmark)
    evaluate(BENCHMARKS[benchmark], label_source("copy"), data, tmp_path / "out", INFERENCE)
    assert 1 <= predicted.most <= 3
    assert 1 <= annotated.most <= 3


def test_the_offset_of_what_is_left_behind_is_known(davis, vip, jhmdb, tmp_path):
    """First labels stay while all moves by STEP px a frame: DAVIS scores frames 1 to 4, the others 1 to 5."""
    source = label_source("copy")
    of_davis = evaluate(DAVIS, source, davis, tmp_path / "davis-out", INFERENCE)["offset"]
    of_vip = evaluate(VIP, source, vip, tmp_path / "vip-out", INFERENCE)["offset"]
    of_jhmdb = evaluate(JHMDB, source, jhmdb, tmp_path / "jhmdb-out", INFERENCE)["offset"]
    for offset, x, count in ((of_davis, -2.5 * STEP, 12), (of_vip, -3 * STEP, 10), (of_jhmdb, -3 * STEP, 75)):
        assert offset == {"x": pytest.approx(x, abs=0.1), "y": pytest.approx(0, abs=0.1), "of": count}


@pytest.mark.parametrize("stride", [8, 4])
def test_still_masks_have_no_offset(stride, tmp_path):
    """From files to results: round masks in a clip where nothing moves, carried by features that are places.

    But for half a pixel: a cell has no pixel in the middle, so the one after it is read.
    """
    y, x = np.mgrid[: 30 * stride - 3, : 53 * stride - 3]
    ids = np.zeros(y.shape, np.uint8)
    for k, (row, column) in enumerate(
        [(41, 45), (45, 130), (38, 233), (181, 52), (177, 141), (190, 262), (99, 365)], start=1
    ):
        ids[(y - row * stride / 8) ** 2 + (x - column * stride / 8) ** 2 < (35 * stride / 8) ** 2] = k
    for t in range(4):
        write_picture(tmp_path / f"JPEGImages/480p/still/{t:05d}.jpg", np.zeros((*ids.shape, 3), np.uint8))
        write_picture(tmp_path / f"Annotations/480p/still/{t:05d}.png", ids)
    write_lines(tmp_path / "ImageSets/2017/val.txt", "still")
    places = torch.eye(30 * 53).view(1, -1, 30, 53)
    source = FeatureSource("places", "places", stride, lambda rgb: places)
    offset = evaluate(DAVIS, source, tmp_path, tmp_path / "out", replace(INFERENCE, radius=2, topk=1))["offset"]
    assert offset["of"] == 7 * 2
    assert max(abs(offset["x"]), abs(offset["y"])) < 1


def test_davis_scores_are_those_of_the_written_masks(davis, tmp_path):
    """Smooth features do badly here; the scores must be those of the files whatever they are."""
    blurred = FeatureSource("blur", "blur", 8, lambda rgb: torch.nn.functional.avg_pool2d(rgb, 8))
    results = evaluate(DAVIS, blurred, davis, tmp_path / "out", INFERENCE)
    expected = []
    for name in ("one", "two"):
        annotations, predictions = png(davis / "Annotations/480p", name), png(tmp_path / "out/masks", name)
        np.testing.assert_array_equal(predictions[0], annotations[0])
        expected += sequence_scores(name, predictions, annotations, FRAMES)
    objects = [scores for record in results["sequences"] for scores in record["objects"]]
    assert [o["name"] for o in objects] == ["one_1", "one_2", "two_1"]
    assert objects == expected
    names = [f"{measure}-{name}" for measure in "JF" for name in ("Mean", "Recall", "Decay")]
    assert list(results["metrics"]) == ["J&F-Mean", *names]
    for name in names:
        assert results["metrics"][name] == pytest.approx(np.mean([o[name] for o in expected]))
    assert 0 < results["metrics"]["J-Mean"] < 0.98
    both = (results["metrics"]["J-Mean"] + results["metrics"]["F-Mean"]) / 2
    assert results["metrics"]["J&F-Mean"] == pytest.approx(both)


def test_results_say_how_they_were_made(davis, tmp_path):
    results = evaluate(DAVIS, feature_source("lab", stride=4), davis, tmp_path / "out", INFERENCE)
    assert json.loads((tmp_path / "out/results.json").read_text()) == results
    assert min(results["metrics"][name] for name in ("J-Mean", "F-Mean")) > 0.9  # a texture that rolls is followed
    assert results["task"] == "davis"
    of = {"task": "davis", "split": "val", "year": "2017", "stride": 4}
    assert results["settings"] == of | asdict(INFERENCE)
    assert results["weights"] == {"path": "lab", "identity": "lab"}
    assert results["versions"]["torch"] == torch.__version__.split("+")[0]
    assert results["versions"]["numpy"] == np.__version__
    assert results["frames"] == 2 * FRAMES
    assert results["seconds"] == pytest.approx(sum(record["seconds"] for record in results["sequences"]))
    assert all(record["seconds"] > 0 for record in results["sequences"])
    assert results["fps"] == pytest.approx(2 * FRAMES / results["seconds"])
    with Image.open(tmp_path / "out/masks/one/00003.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[: 3 * 4] == PALETTE[:4].ravel().tolist()


def test_copying_and_the_official_tables_by_hand(davis, tmp_path):
    """A block of 32 px that moves by 8 a frame: frame t overlaps the first one by 32 - 8 t columns, up to frame 3."""
    results = evaluate(DAVIS, label_source("copy"), davis, tmp_path / "out", INFERENCE)
    inside = [24 / 40, 16 / 48, 8 / 56, 0]  # frames 1 to 4; the first and the last are not scored
    for scores in (results["sequences"][0]["objects"][0], results["sequences"][1]["objects"][0]):
        assert scores["J"] == pytest.approx(inside)
    assert results["settings"] == {"task": "davis", "split": "val", "year": "2017", "stride": 1}  # nothing else applies
    totals, per_object = ((tmp_path / f"out/{n}_results-val.csv").read_text() for n in ("global", "per-sequence"))
    values = ",".join(f"{value:.3f}" for value in results["metrics"].values())
    assert totals == f"J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n{values}\n"
    objects = [scores for record in results["sequences"] for scores in record["objects"]]
    rows = [f"{o['name']},{o['J-Mean']:.3f},{o['F-Mean']:.3f}" for o in objects]
    assert per_object.splitlines() == ["Sequence,J-Mean,F-Mean", *rows]


def test_year_2016_is_one_object(davis, tmp_path):
    write_lines(davis / "ImageSets/2016/val.txt", "one")
    results = evaluate(DAVIS, label_source("copy"), davis, tmp_path / "out", INFERENCE, year="2016")
    (record,) = results["sequences"]
    assert [o["name"] for o in record["objects"]] == ["one_1"]
    assert set(np.unique(png(tmp_path / "out/masks", "one"))) == {0, 1}
    merged = (blocks() > 0).astype(np.uint8)
    expected = sequence_scores("one", np.repeat(merged[None], FRAMES, axis=0), rolling(merged), FRAMES)
    assert record["objects"] == expected


@pytest.mark.skipif(not GOLDEN.is_file(), reason="no ../shared/golden")
def test_copying_real_masks_scores_as_the_official_evaluation(tmp_path):
    """Its figures for the first annotation repeated, on a real sequence."""
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / kind).symlink_to((GOLDEN.parents[1] / "data/davis" / kind).resolve())
    write_lines(tmp_path / "ImageSets/2017/val.txt", "blackswan")
    results = evaluate(DAVIS, label_source("copy"), tmp_path, tmp_path / "out", Inference())
    with GOLDEN.open() as table:
        (official,) = (r for r in csv.DictReader(table) if (r["sequence"], r["prediction"]) == ("blackswan", "static"))
    for name in ("J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"):
        assert results["metrics"][name] == pytest.approx(float(official[name]), abs=1e-12)


def test_frames_are_resized_and_masks_are_not(davis, tmp_path):
    source, calls = counted(feature_source("lab"))
    evaluate(DAVIS, source, davis, tmp_path / "out", replace(INFERENCE, resize=32))
    assert calls == [(1, 3, 32, 48)] * (2 * FRAMES)
    evaluate(DAVIS, source, davis, tmp_path / "out", replace(INFERENCE, resize=(40, 56)))
    assert calls[2 * FRAMES :] == [(1, 3, 40, 56)] * (2 * FRAMES)
    assert png(tmp_path / "out/masks", "one").shape == (FRAMES, HEIGHT, WIDTH)


@pytest.mark.parametrize("task", ["davis", "vip", "jhmdb"])
def test_a_second_run_recomputes_nothing(task, request, tmp_path):
    benchmark, root, out = BENCHMARKS[task], request.getfixturevalue(task), tmp_path / "out"
    source, calls = counted(feature_source("lab"))
    first = evaluate(benchmark, source, root, out, INFERENCE)
    videos = benchmark.read(root)
    assert len(calls) == first["frames"] == FRAMES * len(videos)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.parent != out and path.is_file()}
    assert set(before) > {path for video in videos for path in video.outputs(out)}
    assert evaluate(benchmark, source, root, out, INFERENCE) == first
    assert len(calls) == FRAMES * len(videos)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    calls.clear()
    lost = videos[-1].outputs(out)[-2:]
    for path in lost:  # what is lost is made again, of that video only
        content = path.read_bytes()
        path.unlink()
        again = evaluate(benchmark, source, root, out, INFERENCE)
        assert path.read_bytes() == content
        assert again["metrics"] == first["metrics"]
    assert len(calls) == len(lost) * FRAMES
    evaluate(benchmark, source, root, out, replace(INFERENCE, topk=1))
    assert len(calls) == (len(lost) + len(videos)) * FRAMES


CHANGES = [{"topk": 2}, {"radius": 2}, {"num_preceding": 3}, {"temperature": 0.05}, {"with_first": False}]
CHANGES += [{"window": "circle"}, {"stride": 4}, {"identity": "other weights"}]


def test_changed_settings_and_sources_recompute(davis, tmp_path):
    """Each change by itself, in a copy of what was measured without."""
    source, calls = counted(feature_source("lab"))
    evaluate(DAVIS, source, davis, tmp_path / "out", INFERENCE)
    for change in ({}, *CHANGES):
        out = shutil.copytree(tmp_path / "out", tmp_path / f"{change}")
        calls.clear()
        inference = replace(INFERENCE, **{name: change[name] for name in change if hasattr(INFERENCE, name)})
        other = replace(source, **{name: change[name] for name in change if hasattr(source, name)})
        changed = evaluate(DAVIS, other, davis, out, inference)
        assert len(calls) == 2 * FRAMES * len(change), change
        assert changed == json.loads((out / "results.json").read_text())
        assert change.items() <= (changed["settings"] | changed["weights"]).items()


def test_vip_pools_counts_over_videos(vip, tmp_path):
    """A second video without motion: the total is neither video's and not their mean."""
    for t in range(FRAMES):
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        ids[16:32, 16:32] = 5
        write_picture(vip / f"Images/stand/{t:012d}.jpg", texture(4))
        write_picture(vip / f"Annotations/stand/{t:012d}.png", np.roll(ids, 2 * t, axis=0))
    write_lines(vip / "lists/val_videos.txt", "walk", "stand")
    results = evaluate(VIP, feature_source("lab"), vip, tmp_path / "out", INFERENCE)
    records = [json.loads((tmp_path / f"out/sequences/{name}.json").read_text()) for name in ("walk", "stand")]
    assert np.sum(records[0]["counts"]) == FRAMES * (HEIGHT - 4) * WIDTH  # the first frame is counted, void is not
    assert "counts" not in results["sequences"][0]
    counts = np.sum([record["counts"] for record in records], axis=0)
    ious = [counts[k, k] / (counts[k].sum() + counts[:, k].sum() - counts[k, k]) for k in (0, 1, 5, 19)]
    assert results["metrics"]["mIoU"] == pytest.approx(np.mean(ious))
    singles = [record["metrics"]["mIoU"] for record in results["sequences"]]
    assert abs(results["metrics"]["mIoU"] - np.mean(singles)) > 1e-3


def test_the_first_frame_is_scored_as_the_encoder_sees_it(vip, tmp_path):
    """At a quarter of the size, rows 2, 6, 10, … are read: 8 and 9 are lost, 36 to 47 stay what they are."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[8:10], ids[36:48] = 5, 3
    write_picture(vip / "Annotations/walk/000000000000.png", ids)
    own = Inference(resize=(HEIGHT // 4, WIDTH // 4), radius=0, topk=1)
    evaluate(VIP, feature_source("lab", stride=4), vip, tmp_path / "out", own)
    np.testing.assert_array_equal(png(tmp_path / "out/masks", "walk")[0], np.where(ids == 5, 0, ids))
    counts = np.array(json.loads((tmp_path / "out/sequences/walk.json").read_text())["counts"])
    assert counts[5, 0] == 2 * WIDTH  # the lost rows count


def test_an_absent_class_by_hand(vip, tmp_path):
    """Class 5 is there in frame 1 only, 8 x 8 px of background in all others: no copy finds it, and it counts as 0."""
    for t in range(FRAMES):
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        ids[:, :48] = 3
        ids[8:16, 80:88] = 5 if t == 1 else 255 if t == 2 else 0
        write_picture(vip / f"Annotations/walk/{3 * t:012d}.png", ids)
    results = evaluate(VIP, label_source("copy"), vip, tmp_path / "out", INFERENCE)
    background = FRAMES * HEIGHT * 48
    # of the background's union, frame 1's 64 px are class 5 in truth, and frame 2's are void
    expected = np.mean([1, (background - 2 * 64) / (background - 64), 0])
    assert results["metrics"]["mIoU"] == pytest.approx(expected)


def test_jhmdb_follows_joints(jhmdb, tmp_path):
    results = evaluate(JHMDB, feature_source("lab", stride=4), jhmdb, tmp_path / "out", INFERENCE)
    names = [f"PCK@0.{i}" for i in range(1, 6)]
    assert list(results["metrics"]) == [*names, *(f"{name}, frame 0 left out" for name in names)]
    assert results["metrics"]["PCK@0.2, frame 0 left out"] > 0.9
    predictions = np.array(json.loads((tmp_path / "out/joints/catch--ball.json").read_text()))
    assert predictions.shape == (FRAMES, 15, 2)
    np.testing.assert_allclose(predictions[0], JOINTS, atol=0.5)  # given, from 0, in px
    truth = JOINTS + np.arange(FRAMES)[:, None, None] * (STEP, 0)
    scale = 0.6 * np.hypot(*np.ptp(JOINTS, axis=0))  # the body is rigid
    distances = np.hypot(*(predictions - truth).T).T / scale  # (T, J)
    assert results["metrics"]["PCK@0.1"] == pytest.approx((distances <= 0.1).mean(), abs=1e-9)
    assert results["metrics"]["PCK@0.1, frame 0 left out"] == pytest.approx((distances[1:] <= 0.1).mean(), abs=1e-9)
    copied = np.hypot(*(JOINTS - truth).T).T / scale
    assert results["metrics"]["PCK@0.2"] > (copied <= 0.2).mean() + 0.3
    assert results["task"] == "jhmdb"
    assert results["sequences"][0]["name"] == "catch/ball"
    assert "distances" not in results["sequences"][0]


def test_a_joint_missing_from_the_first_frame_is_not_scored(jhmdb, tmp_path):
    joints = JOINTS.copy()
    joints[3] = -5, -5  # outside the picture, as some of JHMDB's are
    write_joints(jhmdb, np.repeat(joints[None], FRAMES, axis=0))
    evaluate(JHMDB, feature_source("lab"), jhmdb, tmp_path / "out", INFERENCE)
    predictions = np.array(json.loads((tmp_path / "out/joints/catch--ball.json").read_text()))
    np.testing.assert_array_equal(predictions[1:, 3], np.full((FRAMES - 1, 2), -1.0))
    record = json.loads((tmp_path / "out/sequences/catch--ball.json").read_text())
    distances = np.array(record["distances"], float)
    assert np.isnan(distances[:, 3]).all()
    assert np.isfinite(np.delete(distances, 3, axis=1)).all()


def test_a_wrong_joint_by_hand(jhmdb, tmp_path):
    """All stands still, but one joint of fifteen is 0.35 of the person's size off from frame 1 on."""
    joints = np.random.default_rng(0).uniform((20, 20), (60, HEIGHT - 20), (15, 2)).round()
    joints[0], joints[1] = (20, 20), (60, 50)  # the box is 40 x 30 px, its diagonal 50
    moving = np.repeat(joints[None], FRAMES, axis=0)
    moving[1:, 7] = joints[7] + (0, 0.35 * 0.6 * 50 * (1 if joints[7, 1] < 30 else -1))
    write_joints(jhmdb, moving)
    scores = evaluate(JHMDB, label_source("copy"), jhmdb, tmp_path / "out", INFERENCE)["metrics"]
    for a in (0.1, 0.2, 0.3):
        assert scores[f"PCK@{a}"] == pytest.approx((14 + 1 / FRAMES) / 15)
        assert scores[f"PCK@{a}, frame 0 left out"] == pytest.approx(14 / 15)
    for a in (0.4, 0.5):
        assert scores[f"PCK@{a}"] == scores[f"PCK@{a}, frame 0 left out"] == 1


def test_every_benchmark_has_settings_and_a_place_in_a_profile():
    for name, benchmark in BENCHMARKS.items():
        assert getattr(Evaluation(), name) == benchmark.presets["s8"] == PRESETS[f"{name}_s8"]
        assert getattr(Folders(), name)
        assert "s4" in benchmark.presets
    assert {*Evaluation.__dataclass_fields__} - {"stride"} == {*TASKS} - {"fine"}


def test_settings_are_those_of_the_paper():
    """Neighbour range 24, 70 (DAVIS), 32, 70 (VIP), 10, 24 (JHMDB): a window of |d| <= range // 2 cells."""
    ranges = {"davis_s8": 24, "davis_s4": 70, "vip_s8": 32, "vip_s4": 70, "jhmdb_s8": 10, "jhmdb_s4": 24}
    ranges |= {"badja_s8": 24, "badja_s4": 70}  # as on DAVIS
    sizes = {"davis": 480, "badja": 480, "vip": (560, 560), "jhmdb": (320, 320)}
    for name, neighbours in ranges.items():
        task, stride = name.split("_s")
        inference, chosen_stride = chosen(task, stride=int(stride))
        assert inference == PRESETS[name]
        assert chosen_stride == int(stride)
        assert inference.radius == neighbours // 2
        assert inference.resize == sizes[task]
        rest = (inference.num_preceding, inference.topk, inference.temperature, inference.with_first)
        assert rest == (20, 10, 0.07, True)
        assert (inference.window, inference.first_windowed) == ("square", True)
