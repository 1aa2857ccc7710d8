"""Many settings at once against each of them alone, and the table against the ordinary measurement."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stt_core.affinity import affinity
from stt_core.checkpoints import save_weights
from stt_core.color import rgb_to_lab
from stt_core.encoder import INFERENCE, random_encoder
from stt_core.errors import InputError
from stt_core.features import feature_source
from stt_core.files import read_json
from stt_core.pictures import read_image
from stt_core.propagation import Inference, propagate
from stt_study.analysis import sensitivity as sensitivity_module
from stt_study.analysis import shared_search
from stt_study.analysis.sensitivity import (
    SEARCHLESS,
    Setting,
    encoder_of,
    largest_changes,
    means,
    sensitivity,
    settings_around,
)
from stt_study.benchmarks import labelled_videos
from stt_study.study import Study

BASE = Inference(num_preceding=3, radius=2, topk=6, temperature=0.07)
SETTINGS = [
    BASE,
    replace(BASE, first_twice=False),
    replace(BASE, topk=1),
    replace(BASE, topk=40, temperature=0.01),
    replace(BASE, topk=40, temperature=1.0, first_twice=False),
    replace(BASE, topk=1000),  # more than the windows hold
    replace(BASE, window="circle"),
    replace(BASE, window="circle", first_windowed=False),
    replace(BASE, first_windowed=False),
    replace(BASE, first_windowed=False, first_twice=False, topk=40),
    replace(BASE, first_windowed=False, topk=1000, temperature=0.2),
    replace(BASE, radius=0, topk=3),
    replace(BASE, radius=1, topk=12),  # more than the windows of the first frames' corners hold
    replace(BASE, radius=50),
    replace(BASE, num_preceding=0),
    replace(BASE, num_preceding=0, first_windowed=False),
    replace(BASE, num_preceding=1),
    replace(BASE, num_preceding=40),  # longer than the clip
    replace(BASE, num_preceding=20),
    replace(BASE, num_preceding=2, with_first=False),
    replace(BASE, num_preceding=5, with_first=False, first_twice=False),
    BASE,  # once more
]


def clip(frames: int = 7, height: int = 9, width: int = 18) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    # Frames that resemble each other, so that all of them compete and frame 0's entries are among the kept.
    same, own = (torch.randn(n, 12, height, width, generator=generator) for n in (1, frames))
    return same + 0.7 * own, torch.rand(3, height, width, generator=generator)


def propagate_many(features: torch.Tensor, first: torch.Tensor, settings: list[Inference], length: int | None = None):
    search = shared_search.SharedSearch(settings, length)
    search.put(0, features[0], first)
    return [[first] * len(settings), *(search.propagate(t, features[t]) for t in range(1, len(features)))]


@pytest.mark.parametrize("length", [None, 7])
def test_each_setting_is_what_it_is_alone(length: int | None) -> None:
    features, first = clip()
    frames = list(propagate_many(features, first, SETTINGS, length))
    assert len(frames) == 7
    alone = [propagate(features, first, **setting.propagation()) for setting in SETTINGS]
    for i, expected in enumerate(alone):
        result = torch.stack([frame[i] for frame in frames])
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-5, msg=lambda m, i=i: f"{SETTINGS[i]}: {m}")
    # The settings differ in what they give, or the comparison above would say little.
    distinct = {maps.numpy().tobytes() for maps in alone}
    assert len(distinct) == len(set(SETTINGS)) - 1  # 20 and 40 frames are both longer than the clip


def test_one_search_serves_those_that_see_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = []
    real = affinity
    monkeypatch.setattr(shared_search, "affinity", lambda *a, **k: (searches.append(k["topk"]), real(*a, **k))[1])
    settings = [replace(BASE, topk=k, temperature=t, first_twice=b) for k in (1, 9) for t in (0.1, 1) for b in (0, 1)]
    features, first = clip(frames=3)
    list(propagate_many(features, first, [*settings, replace(BASE, radius=1)], 3))
    assert searches == [9, 6, 9, 6]  # of two frames, for the eight and for the one


def test_bad_settings_are_refused() -> None:
    features, first = clip(frames=2)
    for change in ({"topk": 0}, {"temperature": 0.0}, {"num_preceding": 0, "with_first": False}, {"window": "round"}):
        with pytest.raises(ValueError, match=r"give|choose"):
            list(propagate_many(features, first, [BASE, replace(BASE, **change)]))


def test_around() -> None:
    own = Setting(Inference(num_preceding=7, radius=3, topk=10))
    axes = settings_around(own)
    assert {"preceding frames", "layer", "radius", *SEARCHLESS} < set(axes)
    assert list(axes["preceding frames"]) == [0, 1, 5, 7, 10, 20, 40]
    assert list(axes["radius"]) == [1, 2, 3, 6]
    for axis, values in axes.items():
        if axis.startswith("stride"):
            found = [(s.stride, s.inference.radius, s.inference.num_preceding) for s in values.values()]
            assert found == [(8, 3, 5), (4, 6, 5)]
            continue
        assert own in values.values()
        for setting in values.values():  # nothing else moves
            flat, mine = ({**vars(s.inference), **vars(s), "inference": 0} for s in (setting, own))
            assert sum(flat[name] != mine[name] for name in flat) == (setting != own)
    assert "layer" not in settings_around(own, ("res4",))
    without = settings_around(Setting(replace(own.inference, with_first=False)))
    assert not {"frame 0 counts", "frame 0 is seen"} & set(without)
    assert 0 not in without["preceding frames"]


def test_layers(tmp_path: Path) -> None:
    """res4 is what is propagated; the others are the encoder's own maps, on its grid."""
    image = np.random.default_rng(0).integers(0, 256, (41, 66, 3), dtype=np.uint8)
    save_weights(tmp_path / "weights.pth", random_encoder(18, 0.125, 5), input="lab")
    for weights in ("random", str(tmp_path / "weights.pth")):
        for stride in (8, 4):
            how = {"depth": 18, "width": 0.125, "seed": 3}
            maps = encoder_of(weights, ("res3", "res4", "res5"), stride=stride, **how)(image)
            source = feature_source(weights, stride=stride, **how)
            torch.testing.assert_close(maps["res4"], source(image), rtol=0, atol=1e-5)
            assert {tuple(m.shape[1:]) for m in maps.values()} == {(-(-41 // stride), -(-66 // stride))}
    # By hand: res3 of the unfolded encoder, every second cell.
    strides, pool = INFERENCE[8]
    encoder = random_encoder(18, 0.125, 3, strides=strides, pool=pool).eval()
    with torch.no_grad():
        rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        res3 = encoder(rgb_to_lab(rgb), ("res3",))["res3"][0]
    assert res3.shape[1:] == (11, 17)
    maps = encoder_of("random", ("res3",), stride=8, width=0.125, seed=3)(image)
    torch.testing.assert_close(maps["res3"], res3[:, ::2, ::2], rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="no layers"):
        encoder_of("lab", ("res3",), stride=8)


@pytest.fixture
def study(data_folder: Path, tmp_path: Path) -> Study:
    settings = {
        "spatial": {"width": 0.125},
        "evaluation": {"davis": {"resize": 48, "radius": 2, "num_preceding": 2}},
        "real": [],
        "supervised": [],
    }
    return Study("sens", data=str(data_folder), runs=str(tmp_path), settings=settings)


def test_the_table_agrees_with_the_ordinary_measurement(study: Study) -> None:
    table = sensitivity(study, "random")
    assert sensitivity_module.clips(study)[0] == "val"  # its training videos are on the other list, or it has none
    assert set(table.sequence) == {"square"}
    assert table["J&F"].between(0, 1).all()
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
    for axis, value, inference in cases:
        expected = study.measure("davis", "random", inference=inference)["metrics"]["J&F-Mean"]
        rows = means(table)
        found = rows[(rows.axis == axis) & (rows.value == value)]["J&F-Mean"]
        assert found.item() == pytest.approx(expected, abs=1e-6), axis
    fewer = replace(own, radius=4)  # at stride 4, in cells
    at_4 = Study("sens", data=str(study.profile.data), runs=str(study.out.parent), settings={
        "spatial": {"width": 0.125}, "evaluation": {"stride": 4}, "real": [], "supervised": []
    }).measure("davis", "random", inference=fewer)  # fmt: skip
    found = means(table).query("axis.str.startswith('stride') and value == 4")["J&F-Mean"]
    assert found.item() == pytest.approx(at_4["metrics"]["J&F-Mean"], abs=1e-6)


def test_stored_once_and_made_anew_when_settings_change(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sensitivity(study, "lab", SEARCHLESS)
    assert set(first.axis) == set(SEARCHLESS)
    (path,) = (study.out / "sensitivity").glob("lab-*.json")
    assert list(read_json(path)) == ["square"]
    monkeypatch.setattr(sensitivity_module, "scores", lambda *_: pytest.fail("measured again"))
    assert sensitivity(study, "lab", SEARCHLESS).equals(first)
    with pytest.raises(pytest.fail.Exception):
        sensitivity(study, "lab", ["radius"])
    assert "layer" not in set(first.axis)
    with pytest.raises(ValueError, match="copy"):
        sensitivity(study, "copy")


def test_a_clip_without_an_object_is_refused(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_videos, "read_sequence_mask", lambda sequence, t: np.full((48, 64), 255, np.uint8))
    _, (sequence,) = sensitivity_module.clips(study)
    assert read_image(sequence.frames[0]).shape == (48, 64, 3)
    with pytest.raises(InputError, match="object"):
        sensitivity_module.scores(sequence, {}, [])


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
    table = largest_changes(pd.DataFrame(rows)).set_index("axis")
    assert list(table.index) == ["y", "x"]
    assert table.loc["x", "J&F-Mean"] == pytest.approx(70)
    assert table.loc["x", ["own", "best of", "best", "gain", "worst", "loss"]].tolist() == [2, 2, 1, "+5.0", 2, ""]
    assert table.loc["y", ["gain", "worst", "loss"]].tolist() == ["", "b", "-30.0"]
