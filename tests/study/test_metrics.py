"""J, F, mIoU and PCK against the official evaluation's values and cases done by hand; loops: `test_properties`."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from stt_core.labels import read_mask
from stt_study.benchmarks import metrics

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
GOLDEN = SHARED / "golden"
SEQUENCES = ["blackswan", "bmx-trees", "car-shadow", "dog", "drift-straight", "kite-surf", "libby", "motocross-jump"]
STATISTICS = [f"{measure}-{name}" for measure in "JF" for name in ("Mean", "Recall", "Decay")]


def rows(name):
    with open(GOLDEN / name, newline="") as file:
        return list(csv.DictReader(file))


def made_up_predictions(annotations):
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return {
        "shift": np.roll(annotations, (3, 5), axis=(1, 2)),
        "static": np.repeat(annotations[:1], len(annotations), axis=0),
        "dilate": np.stack([cv2.dilate(ids, cross, iterations=4) for ids in annotations]),
    }


@pytest.mark.skipif(not (GOLDEN / "davis_official.csv").is_file(), reason="no ../shared/golden")
@pytest.mark.parametrize("name", SEQUENCES)
def test_equals_the_official_evaluation(name):
    paths = sorted((SHARED / "data/davis/Annotations/480p" / name).glob("*.png"))
    annotations = np.stack([read_mask(path) for path in paths])
    predictions = made_up_predictions(annotations)
    if (GOLDEN / "osvos" / name).is_dir():
        predictions["osvos"] = np.stack([read_mask(GOLDEN / "osvos" / name / path.name) for path in paths])
    expected = {row["prediction"]: row for row in rows("davis_official.csv") if row["sequence"] == name}
    assert set(expected) == set(predictions)
    for kind, prediction in predictions.items():
        (scores,) = metrics.sequence_scores(name, prediction, annotations, len(annotations))
        assert scores["name"] == f"{name}_1"
        for statistic in STATISTICS:
            assert scores[statistic] == pytest.approx(float(expected[kind][statistic]), abs=1e-9, rel=0)
        if kind == "osvos":  # frame by frame only for the others
            continue
        frames = [r for r in rows("davis_official_frames.csv") if (r["sequence"], r["prediction"]) == (name, kind)]
        assert [int(r["frame"]) for r in frames] == list(range(1, len(annotations) - 1))
        for measure in "JF":  # eight decimals were written
            np.testing.assert_allclose(scores[measure], [float(r[measure]) for r in frames], rtol=0, atol=5.1e-9)


def test_statistics_by_hand():
    """Ten values: quarters end at the values 1, 3, 6, 8, 10 (5.5 rounds up), borders shared. 0.5 is not recalled."""
    values = [0.9, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.5, 0.4, 0.3]
    result = metrics.statistics(values)
    assert result["Mean"] == pytest.approx(0.6)
    assert result["Recall"] == pytest.approx(0.7)
    assert result["Decay"] == pytest.approx(0.8 - 0.4)
    assert metrics.statistics([1.0, 0.0, 0.25])["Decay"] == pytest.approx(0.5 - 0.25)  # quarters: values 1-2 and 3-3


def test_sequence_scores_objects_void_and_dropped_frames():
    annotations = np.zeros((5, 12, 12), np.uint8)
    annotations[:, 2:6, 2:6] = 1
    annotations[:, 7:11, 7:11] = 2
    annotations[2, 0, :] = 255  # void counts as background
    annotations[1:, 11, :2] = 3  # appears later: not asked for
    predictions = annotations.copy()
    predictions[2, 0, :] = 0
    predictions[0] = predictions[-1] = 0  # the first and the last frame are not scored
    predictions[3][predictions[3] == 2] = 1  # object 2 is called 1 in one frame
    one, two = metrics.sequence_scores("swan", predictions, annotations, 5)
    assert (one["name"], two["name"]) == ("swan_1", "swan_2")
    assert one["J"] == [1, 1, 0.5]
    assert two["J"] == two["F"] == [1, 1, 0]
    assert two["J-Mean"] == pytest.approx(2 / 3)
    assert two["J-Recall"] == pytest.approx(2 / 3)
    predictions[2, 0, :] = 1  # a prediction on void is wrong
    assert metrics.sequence_scores("swan", predictions, annotations, 5)[0]["J"][1] == 16 / 28


def test_centres_and_offsets():
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:5] = True
    assert metrics.centre(mask) == (3.5, 3.0)
    assert metrics.centre(mask[:3].T.copy()) == (2.0, 3.5)
    assert np.isnan(metrics.centre(np.zeros((3, 3), bool))).all()
    one = metrics.mean_offset(np.array([[3, 1], [0, 0], [np.nan, np.nan]]), np.array([[1, 2], [0, 4], [7, 7]]))
    assert one == {"x": 1.0, "y": -2.5, "of": 2}
    nothing = metrics.mean_offset(np.full((1, 2), np.nan), np.ones((1, 2)))
    assert nothing["of"] == 0
    assert metrics.pooled_offset([one, nothing, {"x": 4.0, "y": 0.5, "of": 1}]) == {"x": 2.0, "y": -1.5, "of": 3}
    assert np.isnan(metrics.pooled_offset([nothing])["x"])


def test_davis_totals_average_objects_not_sequences():
    """A sequence of two objects weighs twice."""
    records = [dict.fromkeys(STATISTICS, value) for value in (0.2, 0.4, 0.9)]
    for record, boundary_mean in zip(records, (0.3, 0.6, 0.9), strict=True):
        record["F-Mean"] = boundary_mean
    totals = metrics.davis_totals(records)
    assert list(totals) == ["J&F-Mean", *STATISTICS]  # the official order
    assert totals["J-Mean"] == totals["F-Decay"] == pytest.approx(0.5)
    assert totals["F-Mean"] == pytest.approx(0.6)
    assert totals["J&F-Mean"] == pytest.approx(0.55)


def test_mean_iou_by_hand():
    """Four classes of which one is neither annotated nor predicted; the ignored pixel counts nowhere."""
    annotation = np.array([[0, 0, 1, 1], [2, 2, 2, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 1], [2, 0, 2, 3]], np.uint8)
    counts = metrics.confusion(prediction, annotation, classes=4)
    np.testing.assert_array_equal(counts, [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]])
    assert metrics.mean_iou(counts) == pytest.approx((1 / 3 + 2 / 3 + 2 / 3) / 3)
    counts = metrics.confusion(np.array([[0, 3]], np.uint8), np.array([[0, 0]], np.uint8), classes=4)
    assert metrics.mean_iou(counts) == pytest.approx((1 / 2 + 0) / 2)  # a class that is only predicted


# Three joints whose box is 30 x 40 px: its diagonal is 50, so the unit of distance is 30 px.
TRUTH = np.array([[[10, 10], [40, 50], [20, 30]]], float)


def test_pck_by_hand():
    truth = np.repeat(TRUTH, 4, axis=0)
    predictions = truth.copy()
    predictions[1, 0] += (3, 0)  # 0.1
    predictions[2, 0] += (0, -6)  # 0.2
    predictions[3, 0] += (-6, 8)  # 1/3
    predictions[1:, 1] += (4, 0)  # 2/15
    distances = metrics.pck_distances(predictions, truth)
    np.testing.assert_allclose(distances, [[0, 0, 0], [0.1, 2 / 15, 0], [0.2, 2 / 15, 0], [1 / 3, 2 / 15, 0]])
    scores = metrics.pck([distances], thresholds=(0.1001, 0.2001))
    assert scores["PCK@0.1001"] == pytest.approx((2 / 4 + 1 / 4 + 1) / 3)
    assert scores["PCK@0.2001"] == pytest.approx((3 / 4 + 1 + 1) / 3)
    assert scores["PCK@0.1001, frame 0 left out"] == pytest.approx((1 / 3 + 0 + 1) / 3)
    assert scores["PCK@0.2001, frame 0 left out"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    np.testing.assert_allclose(metrics.pck_per_joint([distances], 0.2001), [3 / 4, 1, 1])


def test_thresholds_are_inclusive_and_clips_pooled_by_frames():
    """A clip of three frames weighs thrice; each clip's own frame 0 is left out."""
    distances = np.array([[0.1, 0.1 + 1e-9, 0.2]])
    scores = metrics.pck([distances, distances])
    assert (scores["PCK@0.1"], scores["PCK@0.2"]) == (pytest.approx(1 / 3), 1)
    clips = [np.array([[0.0], [0.0], [0.0]]), np.array([[0.0], [9.0]])]
    assert metrics.pck_per_joint(clips, 0.1) == pytest.approx(4 / 5)
    assert metrics.pck(clips, (0.1,))["PCK@0.1, frame 0 left out"] == pytest.approx(2 / 3)


def test_missing_joints_are_not_scored_and_not_in_the_box():
    truth = np.concatenate([TRUTH, [[[210, 10]]]], axis=1)  # a fourth joint, far to the right
    predictions = truth + np.array([3.0, 0.0])
    predictions[0, 3] = -1
    distances = metrics.pck_distances(predictions, truth)
    np.testing.assert_allclose(distances, [[0.1, 0.1, 0.1, np.nan]])  # the box is that of the other three
    two = np.concatenate([distances, [[0.5, 0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(metrics.pck_per_joint([two], 0.11), [1 / 2, 1, 1, 1])
    np.testing.assert_allclose(metrics.pck_per_joint([distances], 0.11), [1, 1, 1, 0])  # missing everywhere
    alone = np.full((2, 3, 2), -1.0)
    alone[0, 1] = 40, 50  # one joint's box is a point; in the other frame there is none
    distances = metrics.pck_distances(alone, np.repeat(TRUTH, 2, axis=0))
    np.testing.assert_array_equal(distances, [[np.nan, np.inf, np.nan], [np.nan] * 3])


def test_pck_of_area_by_hand():
    """Areas of 100 and 400 px: a joint is found closer than 2 and 4 px. The first frame is given and not scored."""
    truth = np.zeros((3, 4, 2)) + 50
    predictions = truth.copy()
    predictions[0] += 40  # wrong in the given frame: of no matter
    predictions[1] += [[1.9, 0], [0, 2.0], [0, 0], [30, 0]]  # found; not closer; found; unscored
    predictions[2] += [[2.0, 3.4], [0, 0], [0, 0], [0, 0]]  # found: 3.94 px
    predictions[2, 1] = -1  # missing is wrong
    scored = np.ones((3, 4), bool)
    scored[:, 3] = False
    scored[2, 2] = False
    found = metrics.pck_of_area(predictions, truth, scored, np.array([1.0, 100.0, 400.0]))
    assert found == pytest.approx(3 / 5)
    corner, scored = np.full((2, 1, 2), 1.0), np.ones((2, 1), bool)  # (-1, -1) is missing, near as it may be
    assert metrics.pck_of_area(corner, corner, scored, np.full(2, 400.0)) == 1
    assert metrics.pck_of_area(np.full((2, 1, 2), -1.0), corner, scored, np.full(2, 400.0)) == 0


def test_joints_that_are_never_scored():
    distances = np.array([[0.0, 0.0, np.nan], [0.5, np.nan, np.nan]])
    assert metrics.pck([distances], (0.1,)) == {"PCK@0.1": pytest.approx(0.5), "PCK@0.1, frame 0 left out": 0}
    without = metrics.pck([distances[:, :2] - 0.45], (0.1,), absent=np.nan)
    assert without == {"PCK@0.1": 1, "PCK@0.1, frame 0 left out": 1}
    assert metrics.pck([distances], (0.1,), absent=np.nan)["PCK@0.1"] == pytest.approx(0.75)
