"""How wrong teachers are on held-out pairs, and what is said of their gains, on results made by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_oracle import world  # noqa: F401

from stt_study.analysis.held_out_pairs import distance
from stt_study.analysis.label_errors import STAY, TEACHER, strength
from stt_study.figures import charts
from stt_study.results import comparison, teacher_curve
from stt_study.results.comparison import Outcome
from stt_study.study import Study
from stt_study.variants import TEACHERS
from stt_study.world.layouts import Truth
from stt_study.world.oracle import true_correlation


def test_label_errors_by_loops(world: Path, initial: Path, tmp_path: Path) -> None:  # noqa: F811
    settings = {
        "rows": "teacher",
        "spatial": {"width": 0.125},
        "temporal": {"width": 0.125, "size": 64, "batch": 2},
        "published": {"student": str(initial), "teacher": str(initial)},
    }
    study = Study("tiny", data=str(world), runs=str(tmp_path / "runs"), settings=settings)
    assert distance(study) == 2  # 5 raw frames, where two frames of a labelled video are 2 apart
    assert distance(Study("teacher")) == 9
    found = {name: strength(study, f"teacher_{name}") for name in ("oracle", "untrained", "none")}
    assert found["none"] == {}
    assert found["oracle"][STAY] == found["untrained"][STAY]
    assert found["oracle"][TEACHER] != found["untrained"][TEACHER]

    frames = [world / f"davis/JPEGImages/480p/val-00/0000{t}.jpg" for t in (0, 2)]  # the one pair of validation
    known = true_correlation(*(Truth.read(frame) for frame in reversed(frames)), 2)
    masks = [np.array(Image.open(str(f).replace("JPEGImages", "Annotations").replace("jpg", "png"))) for f in frames]

    def shares(mask: np.ndarray, i: int) -> np.ndarray:
        part = mask[48 * (i // 2) :, 48 * (i % 2) :][:48, :48]
        return np.array([(part == number).mean() for number in range(4)])

    for name, rows in (("oracle", known), ("stay", torch.eye(4))):
        wrong = []
        for i in range(4):
            if known[i].any():
                copied = sum(float(rows[i, j]) * shares(masks[0], j) for j in range(4))
                wrong.append(0.5 * np.abs(copied - shares(masks[1], i)).sum())
        assert found["oracle"][TEACHER if name == "oracle" else STAY] == pytest.approx(np.mean(wrong), abs=1e-6)


def outcomes(gains: dict[str, float], errors: dict[str, float]) -> dict[str, list[Outcome]]:
    """Two seeds a variant on six clips, which differ a little from each other."""
    found = {}
    for name in TEACHERS:
        key, runs = name.removeprefix("teacher_").removesuffix("_quarter"), []
        for seed in (0, 1):
            some = {f"s{i}": 0.5 + gains.get(key, 0) + 0.001 * (i * (len(key) + seed) % 5) for i in range(6)}
            strength = {TEACHER: errors[key] + 0.02 * seed, STAY: 0.2} if key in errors else {}
            weights = dict.fromkeys(some, 1)
            runs.append(Outcome(name, seed, comparison.STORED, {}, some, {}, weights, {}, strength, f"{name}.json"))
        found[name] = runs
    return found


ERRORS = {"untrained": 0.4, "step_one": 0.3, "step_one_cosine": 0.2, "longer": 0.25, "oracle": 0.1}


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        (
            {"oracle": 0.05, "step_one_cosine": 0.02},
            [
                "(2 seeds, these weights), the oracle is ahead of no teacher by 5.1",
                "step one's teacher does not",
                "the cause.",
            ],
        ),
        (
            {"oracle": 0.05, "step_one": 0.03},
            ["oracle is ahead", "teacher is ahead", "more than step one's teacher. The gain"],
        ),
        ({"oracle": 0.05, "step_one": -0.03}, ["oracle is ahead", "step one's teacher is behind no teacher by 2.9"]),
        (
            {"untrained": 0.01},
            ["the oracle does not differ measurably from no teacher", "the untrained teacher does not differ"],
        ),
        ({"oracle": -0.05}, ["the oracle is behind no teacher by 4.9", "gains less than step one's teacher. The"]),
        ({name: 0.1 - 0.2 * error for name, error in ERRORS.items()}, ["The gain rises", "+1.00 over 5 teachers"]),
        ({name: 0.2 * error for name, error in ERRORS.items()}, ["The gain falls", "-1.00 over 5 teachers"]),
    ],
)
def test_what_is_concluded(gains: dict[str, float], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = outcomes(gains, ERRORS)
    found = {comparison.STORED: lambda names: {name: runs[name] for name in names}}
    monkeypatch.setattr(
        teacher_curve, "by_origin", lambda study, task, names: {origin: get(names) for origin, get in found.items()}
    )
    table = teacher_curve.curve(None, "davis")
    assert len(table) == 10
    oracle = table[table.name == "teacher_oracle"].iloc[0]
    assert (oracle["label error"], oracle[STAY]) == pytest.approx((0.11, 0.2))
    assert oracle.difference == pytest.approx(100 * gains.get("oracle", 0), abs=0.5)
    assert teacher_curve.able(table) == "Better than *all stay where they are*, of 5 teachers: oracle as teacher."
    for sentence in teacher_curve.conclusion(table):
        assert all(word in sentence for word in words), sentence
    shown = teacher_curve.shown(table)
    assert shown["label error, %"].tolist() == [f"{100 * error + 1:.1f}" for error in ERRORS.values()] * 2
    figure = charts.strength_figure(table, STAY)
    assert [axis.get_title() for axis in figure.axes] == list(teacher_curve.WEIGHTS)
    fewer = charts.strength_figure(table.drop(index=7), STAY)  # one of the second panel's is missing
    whole, quarter = ([bar.get_color() for bar in axis.lines if bar.get_marker() == "o"] for axis in fewer.axes)
    assert quarter == [colour for i, colour in enumerate(whole) if i != 2]
    left, right = figure.axes[0].get_xlim()
    assert left > right  # stronger to the right


def test_another_profile_shows_the_teachers_reference_and_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "weights", None)
    study = teacher_curve.study_of(Study("laptop"))
    assert study.profile.profile == "teacher"
    assert comparison.own(study, "davis", "teacher_none") == []
    assert set(comparison.by_origin(study, "davis", ["teacher_none"])) <= {comparison.STORED}
