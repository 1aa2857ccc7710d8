"""The settings around a profile's own, and the table of them against the ordinary measurement."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from stt_core.files import read_json
from stt_core.propagation import Inference
from stt_study.analysis import sensitivity
from stt_study.study import Study


def test_around() -> None:
    own = sensitivity.Setting(Inference(num_preceding=7, radius=3, topk=10))
    axes = sensitivity.settings_around(own)
    assert {"preceding frames", "radius", *sensitivity.VOTES} < set(axes)
    assert list(axes["preceding frames"]) == [0, 1, 5, 7, 10, 20, 40]
    assert list(axes["radius"]) == [1, 2, 3, 6]
    for values in axes.values():
        assert own in values.values()
        for setting in values.values():  # nothing else moves
            flat, mine = ({**vars(s.inference), **vars(s), "inference": 0} for s in (setting, own))
            assert sum(flat[name] != mine[name] for name in flat) == (setting != own)
    without = sensitivity.settings_around(sensitivity.Setting(replace(own.inference, with_first=False)))
    assert not {"frame 0 counts", "frame 0 is seen"} & set(without)
    assert 0 not in without["preceding frames"]


@pytest.fixture
def study(data_folder: Path, tmp_path: Path) -> Study:
    davis = {"resize": 48, "radius": 2, "num_preceding": 2}
    settings = {"spatial": {"width": 0.125}, "evaluation": {"davis": davis}, "real": [], "supervised": []}
    return Study("sens", data=str(data_folder), runs=str(tmp_path), settings=settings)


def test_the_table_agrees_with_the_ordinary_measurement(study: Study) -> None:
    table = sensitivity.sensitivity(study, "random")
    assert sensitivity.clips(study)[0] == "val"  # its training videos are on the other list, or it has none
    assert set(table.sequence) == {"square"}
    assert (table.groupby("axis").own.sum() == 1).all()
    own = study.profile.evaluation.davis
    cases = [
        ("top-k", 10, own),
        ("top-k", 1, replace(own, topk=1)),
        ("preceding frames", 1, replace(own, num_preceding=1)),
        ("frame 0 is seen", "whole", replace(own, first_windowed=False)),
        ("frame 0 counts", "once", replace(own, first_twice=False)),
        ("window", "circle", replace(own, window="circle")),
        ("temperature", 1.0, replace(own, temperature=1.0)),
    ]
    found = sensitivity.means(table).set_index(["axis", "value"])["J&F-Mean"]
    for axis, value, inference in cases:
        expected = study.measure("davis", "random", inference=inference)["metrics"]["J&F-Mean"]
        assert found[axis, value] == pytest.approx(expected, abs=1e-6), axis


def test_stored_once_and_made_anew_when_settings_change(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sensitivity.sensitivity(study, "lab", sensitivity.VOTES)
    assert set(first.axis) == set(sensitivity.VOTES)
    (path,) = (study.out / "sensitivity").glob("lab-*.json")
    assert list(read_json(path)) == ["square"]
    monkeypatch.setattr(sensitivity, "scores", lambda *_: pytest.fail("measured again"))
    assert sensitivity.sensitivity(study, "lab", sensitivity.VOTES).equals(first)
    with pytest.raises(pytest.fail.Exception):
        sensitivity.sensitivity(study, "lab", ["radius"])


def test_largest_changes() -> None:
    rows = [
        # Two sequences, the second with three objects: the mean counts objects.
        {"variant": "v", "axis": a, "value": v, "own": own, "sequence": s, "objects": n, "J&F": score}
        for a, v, own, scores in [
            ("x", 1, False, (0.3, 0.9)),
            ("x", 2, True, (0.4, 0.8)),
            ("y", "a", True, (0.4, 0.8)),
            ("y", "b", False, (0.4, 0.4)),
        ]
        for s, n, score in zip("pq", (1, 3), scores, strict=True)
    ]
    table = sensitivity.largest_changes(pd.DataFrame(rows))
    assert list(table.index) == ["y", "x"]
    assert table.loc["x", "J&F-Mean"] == pytest.approx(70)
    assert table.loc["x", ["own", "best of", "best", "gain", "worst", "loss"]].tolist() == [2, 2, 1, "+5.0", 2, ""]
    assert table.loc["y", ["gain", "worst", "loss"]].tolist() == ["", "b", "-30.0"]
