"""Many settings at once against each of them alone, and the table against the ordinary measurement."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from stt_core.affinity import affinity
from stt_core.files import read_json
from stt_core.propagation import Inference, propagate
from stt_study.analysis import sensitivity as sensitivity_module
from stt_study.analysis.sensitivity import (
    SEARCHLESS,
    Setting,
    largest_changes,
    means,
    propagate_many,
    sensitivity,
    settings_around,
)
from stt_study.study import Study

BASE = Inference(num_preceding=3, radius=2, topk=6, temperature=0.07)
SEARCHES = [
    {},
    {"first_twice": False},
    {"window": "circle"},
    {"first_windowed": False},
    {"first_windowed": False, "first_twice": False},
    {"radius": 0},
    {"radius": 50},
    {"num_preceding": 0},
    {"num_preceding": 0, "first_windowed": False},
    {"num_preceding": 40},  # longer than the clip
    {"num_preceding": 2, "with_first": False},
]
VOTES = [
    (6, 0.07),
    (1, 0.07),
    (40, 0.01),
    (40, 1.0),
    (1000, 0.2),
]  # top-k, also more than the windows hold; temperature


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_each_setting_is_what_it_is_alone(search: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    # Frames that resemble each other, so that all of them compete and frame 0's entries are among the kept.
    same, own = (torch.randn(n, 12, 9, 18, generator=generator) for n in (1, 7))
    features, first = same + 0.7 * own, torch.rand(3, 9, 18, generator=generator)
    settings = [replace(BASE, topk=topk, temperature=temperature, **search) for topk, temperature in VOTES]
    alone = [propagate(features, first, **setting.propagation()) for setting in settings]
    searches = []
    monkeypatch.setattr(
        sensitivity_module, "affinity", lambda *a, **k: (searches.append(k["topk"]), affinity(*a, **k))[1]
    )
    cells = [torch.nn.functional.normalize(maps, dim=0).permute(1, 2, 0) for maps in features]
    found = list(propagate_many(cells, first, settings))
    assert searches == [1000] * 6  # one a frame, for all
    for i, expected in enumerate(alone):
        torch.testing.assert_close(torch.stack([frame[i] for frame in found]), expected[1:], rtol=0, atol=1e-5)
    # The settings differ in what they give, or the comparison above would say little.
    assert len({maps.numpy().tobytes() for maps in alone}) > len(VOTES) - 2


def test_around() -> None:
    own = Setting(Inference(num_preceding=7, radius=3, topk=10))
    axes = settings_around(own)
    assert {"preceding frames", "radius", *SEARCHLESS} < set(axes)
    assert list(axes["preceding frames"]) == [0, 1, 5, 7, 10, 20, 40]
    assert list(axes["radius"]) == [1, 2, 3, 6]
    for values in axes.values():
        assert own in values.values()
        for setting in values.values():  # nothing else moves
            flat, mine = ({**vars(s.inference), **vars(s), "inference": 0} for s in (setting, own))
            assert sum(flat[name] != mine[name] for name in flat) == (setting != own)
    without = settings_around(Setting(replace(own.inference, with_first=False)))
    assert not {"frame 0 counts", "frame 0 is seen"} & set(without)
    assert 0 not in without["preceding frames"]


@pytest.fixture
def study(data_folder: Path, tmp_path: Path) -> Study:
    davis = {"resize": 48, "radius": 2, "num_preceding": 2}
    settings = {"spatial": {"width": 0.125}, "evaluation": {"davis": davis}, "real": [], "supervised": []}
    return Study("sens", data=str(data_folder), runs=str(tmp_path), settings=settings)


def test_the_table_agrees_with_the_ordinary_measurement(study: Study) -> None:
    table = sensitivity(study, "random")
    assert sensitivity_module.clips(study)[0] == "val"  # its training videos are on the other list, or it has none
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
    found = means(table).set_index(["axis", "value"])["J&F-Mean"]
    for axis, value, inference in cases:
        expected = study.measure("davis", "random", inference=inference)["metrics"]["J&F-Mean"]
        assert found[axis, value] == pytest.approx(expected, abs=1e-6), axis


def test_stored_once_and_made_anew_when_settings_change(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sensitivity(study, "lab", SEARCHLESS)
    assert set(first.axis) == set(SEARCHLESS)
    (path,) = (study.out / "sensitivity").glob("lab-*.json")
    assert list(read_json(path)) == ["square"]
    monkeypatch.setattr(sensitivity_module, "scores", lambda *_: pytest.fail("measured again"))
    assert sensitivity(study, "lab", SEARCHLESS).equals(first)
    with pytest.raises(pytest.fail.Exception):
        sensitivity(study, "lab", ["radius"])


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
    table = largest_changes(pd.DataFrame(rows))
    assert list(table.index) == ["y", "x"]
    assert table.loc["x", "J&F-Mean"] == pytest.approx(70)
    assert table.loc["x", ["own", "best of", "best", "gain", "worst", "loss"]].tolist() == [2, 2, 1, "+5.0", 2, ""]
    assert table.loc["y", ["gain", "worst", "loss"]].tolist() == ["", "b", "-30.0"]
