"""Comparisons of results made by hand: pairing, occlusions, this run or the reference; claims; verifying."""

from types import SimpleNamespace

import numpy as np
import pytest

from stt_core import claims, comparison, reference
from stt_core.comparison import AFTER, BEFORE, Measured, condensed, differences, together
from stt_core.files import InputError, write_json

TASK = "davis"


def run(name, seed=0, origin=comparison.OWN, scores=(0.5, 0.6, 0.7), occlusion=None):
    sequences = {f"s{i}": score for i, score in enumerate(scores)}
    return Measured(name, seed, origin, {"J&F-Mean": float(np.mean(scores))}, sequences, occlusion or {})


def davis(**objects):
    """Results of DAVIS: sequence -> list of objects, each a list of (J, F), one a frame from frame 1 on."""
    records = [
        {"name": name, "objects": [{"J": [j for j, _ in o], "F": [f for _, f in o], "J-Mean": np.mean([j for j, _ in o]), "F-Mean": np.mean([f for _, f in o])} for o in many]}
        for name, many in objects.items()
    ]  # fmt: skip
    return {"task": "davis", "metrics": {"J&F-Mean": 0.5}, "sequences": records}


def test_condensed_splits_frames_at_the_first_occlusion():
    results = davis(
        a=[
            [(0.9, 0.7), (0.5, 0.3), (0.2, 0.2)],
            [(1.0, 1.0), (1.0, 1.0), (0.4, 0.4)],
        ],  # the first is hidden in frame 2
        b=[[(0.1, 0.1), (0.1, 0.1), (0.1, 0.1)]],  # never
    )
    found = condensed(results, {"a": {"occlusions": {"1": ["00003", "00002"]}}, "b": {"occlusions": {}}})
    assert found["occlusion"].keys() == {"a"}  # b has nothing to compare
    assert found["occlusion"]["a"][AFTER] == pytest.approx((0.4 + 0.2) / 2)
    assert found["occlusion"]["a"][BEFORE] == pytest.approx((0.8 + 1 + 1 + 0.4) / 4)
    assert found["sequences"]["b"] == pytest.approx(0.1)
    assert condensed(results)["occlusion"] == {}


def test_differences_pair_by_name_and_seed():
    first = [run("a", 0, scores=(0.5, 0.6, 0.7)), run("a", 1, scores=(0.4, 0.4, 0.4)), run("a", 7)]
    second = [run("b", 1, scores=(0.3, 0.1, 0.4)), run("b", 0, scores=(0.5, 0.5, 0.8))]
    turned = dict(reversed(second[0].sequences.items()))
    second[0] = Measured("b", 1, comparison.OWN, second[0].metrics, turned, {})
    np.testing.assert_allclose(differences(first, second), [[0, 10, -10], [10, 30, 0]], atol=1e-9)


def test_different_sequences_are_refused():
    with pytest.raises(ValueError, match="s2"):
        differences([run("a")], [run("b", scores=(0.1, 0.2))])


def test_this_run_or_the_reference_never_mixed(monkeypatch):
    kept = {("own", "full"), ("own", "no_local"), ("stored", "full"), ("stored", "share_1")}
    for source in ("own", "stored"):
        monkeypatch.setattr(
            comparison,
            source,
            lambda study, task, name, source=source: [run(name, origin=source)] * ((source, name) in kept),
        )
    assert {r.origin for rs in together(None, TASK, ("full", "no_local")).values() for r in rs} == {"own"}
    assert {r.origin for rs in together(None, TASK, ("full", "share_1")).values() for r in rs} == {"stored"}
    assert together(None, TASK, ("no_local", "share_1")) == {}


def test_a_claim_about_where():
    better = [run("full", occlusion={f"s{i}": {AFTER: 0.6, BEFORE: 0.9} for i in range(3)})]
    worse = [run("no_local", occlusion={f"s{i}": {AFTER: 0.5 - 0.1 * i, BEFORE: 0.85} for i in range(3)})]
    np.testing.assert_allclose(claims._around_occlusions(better, worse), [[5, 15, 25]], atol=1e-9)


def test_claims_of_this_run_beside_the_references(monkeypatch):
    """Every way scores `scores`; the reference has three seeds, and ways that this run doesn't train."""
    scores = {"full": 0.7, "no_global": 0.8, "share_1": 0.1}
    near = {"full": 0.9, "no_global": 0.5}

    def results(name, seeds, origin):
        runs = []
        for seed in range(seeds):
            some = [scores[name] + 0.01 * i + 0.001 * seed * i for i in range(4)]
            found = run(name, seed, origin, some)
            occlusion = {s: {AFTER: 0.3, BEFORE: 0.4 + 0.1 * i} for i, s in enumerate(found.sequences)}
            nearness = {
                s: {"overlap res5": near.get(name, 0) + 0.01 * i * (name == "full")}
                for i, s in enumerate(found.sequences)
            }
            runs.append(Measured(name, seed, origin, found.metrics, found.sequences, occlusion, nearness))
        return runs

    def own(study, task, name):
        return results(name, 1, comparison.OWN) if task == TASK and name in near else []

    def stored(study, task, name):
        return results(name, 3, comparison.STORED) if task == TASK and name in scores else []

    monkeypatch.setattr(comparison, "own", own)
    monkeypatch.setattr(comparison, "stored", stored)
    monkeypatch.setattr(claims.learned, "nearer", lambda *_: {"overlap res5": np.array([[0.1, 0.2, 0.2, 0.3]])})
    study = SimpleNamespace(has=lambda task: False)
    table = claims.claims(study)
    assert set(zip(table.claim, table.origin, strict=True)) == {
        ("global distillation helps", "this run"),
        ("global distillation helps", "reference"),
        ("it retains spatial features (neighbour overlap)", "this run"),
        ("it retains spatial features (neighbour overlap)", "reference"),
    }
    wide = claims.beside(table)
    helps = wide.loc[("global distillation helps", TASK)]
    assert helps["this run", "difference"] == pytest.approx(-10)
    assert (helps["this run", "seeds"], helps["reference", "seeds"]) == (1, 3)
    assert helps["", "paper"] == pytest.approx(70.5 - 69.3)  # published.csv, ResNet-18
    keeps = wide.loc[("it retains spatial features (neighbour overlap)", TASK)]
    assert keeps["this run", "difference"] == pytest.approx(20)
    assert keeps["reference", "difference"] == pytest.approx(41.5)
    assert (keeps["this run", "verdict"], keeps["reference", "verdict"]) == ("supported", "supported")


@pytest.fixture
def study(monkeypatch, tmp_path):
    """A study of a profile that has reference results of three seeds, and whose own are `found`."""
    fake = SimpleNamespace(profile=SimpleNamespace(profile="tiny"), found={})
    monkeypatch.setattr(comparison, "REFERENCE", tmp_path)
    monkeypatch.setattr(reference, "REFERENCE", tmp_path)
    monkeypatch.setattr(reference, "settings_hash", lambda study, name: "hash")
    monkeypatch.setattr(reference, "own", lambda study, task, name: study.found.get(name, []) if task == TASK else [])
    for name, scores in {"full": (0.60, 0.62, 0.64), "step_one": (0.40, 0.40, 0.46)}.items():
        seeds = {
            str(seed): {"tasks": {TASK: {"metrics": {"J&F-Mean": s}, "sequences": {"s0": s}, "occlusion": {}}}}
            for seed, s in enumerate(scores)
        }
        write_json(tmp_path / "tiny" / f"{name}.json", {"settings": "hash", "seeds": seeds})
    return fake


def test_verify_by_hand(study):
    study.found = {"full": [run("full", 1, scores=(0.62,))], "step_one": [run("step_one", 5, scores=(0.30,))]}
    table = reference.verify(study).set_index("way")
    sd = np.sqrt((2**2 + 0 + 2**2 + 2**2 + 2**2 + 4**2) / 4)  # points: around 62 and 42, four degrees of freedom
    expected = 4.604095 * sd * np.sqrt(4 / 3)  # Student's t of four at 99.5 %, by table
    np.testing.assert_allclose(table.tolerance, expected, rtol=1e-5)
    assert table.loc["full method", "same seed"] == "identical"
    assert table.loc["full method", "within"]
    assert table.loc["step one only", "same seed"] == ""
    assert table.loc["step one only", "reference"] == pytest.approx(42)
    assert table.loc["step one only", "within"] == (expected >= 12)
    study.found["step_one"] = [run("step_one", 0, scores=(0.20,))]
    assert reference.verify(study).set_index("way").loc["step one only", ["same seed", "within"]].tolist() == [
        "differs",
        False,
    ]


def test_verify_refuses_other_settings_and_profiles(study, monkeypatch):
    study.found = {"full": [run("full")]}
    monkeypatch.setattr(reference, "settings_hash", lambda study, name: "another")
    with pytest.raises(InputError, match=r"full\.json.*other settings"):
        reference.verify(study)
    study.profile.profile = "mine"
    with pytest.raises(InputError, match="no reference results for profile mine; there are: tiny"):
        reference.verify(study)
