"""Tables of results files made by hand, and the rule that turns an interval into a verdict."""

import numpy as np
import pytest

from stt_core.tables import MAIN, over_time, paired_difference, per_sequence, totals, verdict


def davis(*sequences):
    """Every sequence a list of objects, every object (J-Mean, F-Mean)."""
    records = [
        {"name": f"s{i}", "objects": [{"J-Mean": j, "F-Mean": f} for j, f in objects]}
        for i, objects in enumerate(sequences)
    ]
    objects = [o for record in records for o in record["objects"]]
    mean = np.mean([(o["J-Mean"] + o["F-Mean"]) / 2 for o in objects])
    return {"task": "davis", "metrics": {"J&F-Mean": mean, "J-Mean": 0.25}, "sequences": records}


def vip(*scores):
    records = [{"name": f"v{i}", "metrics": {"mIoU": score}} for i, score in enumerate(scores)]
    return {"task": "vip", "metrics": {"mIoU": 0.5}, "sequences": records}


def test_totals_are_in_percent():
    table = totals({"ours": davis([(0.5, 0.7)]), "theirs": davis([(0.1, 0.3)])})
    assert list(table.index) == ["ours", "theirs"]
    assert list(table.columns) == ["J&F-Mean", "J-Mean"]
    assert table.loc["ours", "J&F-Mean"] == pytest.approx(60)
    assert table.loc["theirs", "J&F-Mean"] == pytest.approx(20)
    assert table.loc["theirs", "J-Mean"] == pytest.approx(25)


def test_per_sequence_averages_objects():
    table = per_sequence({"ours": davis([(0.5, 0.7), (0.1, 0.3)], [(1.0, 0.8)]), "other": davis([(0.2, 0.4)])})
    assert list(table.columns) == ["variant", "sequence", MAIN["davis"]]
    rows = [(variant, sequence, round(value, 9)) for variant, sequence, value in table.itertuples(index=False)]
    assert rows == [("ours", "s0", 0.4), ("ours", "s1", 0.9), ("other", "s0", 0.3)]


@pytest.mark.parametrize(("task", "score"), [("vip", "mIoU"), ("jhmdb", "PCK@0.1"), ("badja", MAIN["badja"])])
def test_per_sequence_of_the_other_tasks(task, score):
    record = {"name": "a/b", "metrics": {"PCK@0.2": 0.9, score: 0.3}}
    table = per_sequence({"ours": {"task": task, "metrics": {}, "sequences": [record]}})
    assert table.to_dict("records") == [{"variant": "ours", "sequence": "a/b", score: 0.3}]


def test_over_time_starts_at_frame_one():
    objects = [{"J": [1.0, 0.5, 0.0], "F": [1.0, 0.7, 0.2]}, {"J": [0.0, 0.5, 1.0], "F": [0.0, 0.7, 1.0]}]
    table = over_time({"ours": {"task": "davis", "sequences": [{"name": "s", "objects": objects}]}})
    assert list(table.columns) == ["variant", "sequence", "frame", "J&F"]
    assert table.frame.tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["J&F"], [0.5, 0.6, 0.55])


def test_paired_difference_by_hand():
    """Differences of +10, +20, 0 and +30 points. The sequences' own level is of no matter."""
    first = davis([(0.6, 0.6)], [(0.9, 0.9)], [(0.1, 0.1)], [(0.5, 0.5)])
    second = davis([(0.5, 0.5)], [(0.7, 0.7)], [(0.1, 0.1)], [(0.2, 0.2)])
    result = paired_difference({"b": first, "a": second, "unused": vip(0.3)}, "b", "a")
    assert result["difference"] == pytest.approx(15)
    assert result["sequences"] == 4
    half = 3.182446 * 12.909944 / 2  # t of 3 degrees of freedom, by table; standard deviation; root of 4
    assert result["low"] == pytest.approx(15 - half, abs=1e-4)
    assert result["high"] == pytest.approx(15 + half, abs=1e-4)
    turned = paired_difference({"a": second, "b": first}, "a", "b")
    assert turned["difference"] == pytest.approx(-15)
    assert turned["low"] == pytest.approx(-result["high"])


def test_paired_difference_pairs_by_name():
    first, second = vip(0.9, 0.2, 0.5), vip(0.8, 0.1, 0.4)
    second["sequences"].reverse()
    result = paired_difference({"a": first, "b": second}, "a", "b")
    assert result["difference"] == pytest.approx(10)


def test_paired_difference_is_the_same_every_time():
    results = {"a": vip(0.9, 0.2, 0.5, 0.6), "b": vip(0.8, 0.3, 0.1, 0.2)}
    assert paired_difference(results, "a", "b") == paired_difference(results, "a", "b")


@pytest.mark.parametrize("scores", [[0.9], [0.9, 0.8]])
def test_two_sequences_decide_nothing(scores):
    result = paired_difference({"a": vip(*scores), "b": vip(*[0.1] * len(scores))}, "a", "b")
    assert (result["low"], result["high"]) == (-np.inf, np.inf)
    assert result["sequences"] == len(scores)
    assert verdict(result) == "undecided"


def test_equal_results_are_undecided():
    result = paired_difference({"a": vip(0.5, 0.6, 0.7), "b": vip(0.5, 0.6, 0.7)}, "a", "b")
    assert result["difference"] == 0
    assert verdict(result) == "undecided"


def test_different_sequences_are_refused():
    first, second = vip(0.5, 0.6, 0.7), vip(0.5, 0.6, 0.7)
    second["sequences"][1]["name"] = "another"
    with pytest.raises(ValueError, match="another"):
        paired_difference({"a": first, "b": second}, "a", "b")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 2.0, "supported"),
        (-2.0, -0.1, "contradicted"),
        (-1.0, 1.0, "undecided"),
        (0.0, 1.0, "undecided"),
        (-1.0, 0.0, "undecided"),
        (-np.inf, np.inf, "undecided"),
    ],
)
def test_verdict(low, high, expected):
    assert verdict({"low": low, "high": high}) == expected


def test_a_clear_difference_is_supported():
    better, worse = vip(0.52, 0.63, 0.74, 0.65), vip(0.5, 0.6, 0.7, 0.6)
    assert verdict(paired_difference({"a": better, "b": worse}, "a", "b")) == "supported"
    assert verdict(paired_difference({"a": better, "b": worse}, "b", "a")) == "contradicted"
