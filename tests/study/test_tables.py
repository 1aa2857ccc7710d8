"""Tables of results files made by hand, and README's of the reference results."""

from pathlib import Path

import numpy as np
import pytest

from stt_core.files import read_json, write_json
from stt_study.benchmarks.registry import BENCHMARKS
from stt_study.figures import glance
from stt_study.figures.charts import paired_differences, score_bars
from stt_study.results import comparison
from stt_study.results.comparison import REFERENCE, settings_hash
from stt_study.results.tables import offsets, over_time, pck_curves, per_sequence
from stt_study.study import Study


def davis(*sequences):
    """Every sequence a list of objects, every object (J-Mean, F-Mean)."""
    records = [
        {"name": f"s{i}", "objects": [{"J-Mean": j, "F-Mean": f} for j, f in objects]}
        for i, objects in enumerate(sequences)
    ]
    objects = [o for record in records for o in record["objects"]]
    mean = np.mean([(o["J-Mean"] + o["F-Mean"]) / 2 for o in objects])
    return {"task": "davis", "metrics": {"J&F-Mean": mean, "J-Mean": 0.25}, "sequences": records}


def test_per_sequence_averages_objects():
    table = per_sequence({"ours": davis([(0.5, 0.7), (0.1, 0.3)], [(1.0, 0.8)]), "other": davis([(0.2, 0.4)])})
    assert list(table.columns) == ["variant", "sequence", BENCHMARKS["davis"].headline]
    rows = [(variant, sequence, round(value, 9)) for variant, sequence, value in table.itertuples(index=False)]
    assert rows == [("ours", "s0", 0.4), ("ours", "s1", 0.9), ("other", "s0", 0.3)]


def test_bars_are_the_tables_figures():
    """Means over objects, in percent; dots are means of a sequence, and their differences are in points."""
    found = {"full method": davis([(0.5, 0.7), (0.1, 0.3)], [(1, 0.8)]), "Lab image": davis([(0.2, 0.4)], [(1, 1)])}
    (axis,) = score_bars(found, "sequence").axes
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([100 * (0.6 + 0.2 + 0.9) / 3, 65])
    assert axis.collections[0].get_offsets()[:, 0].tolist() == pytest.approx([40, 90])
    (axis,) = paired_differences(per_sequence(found), "J&F-Mean", "full method", ["Lab image"]).axes
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([-10, 10])


@pytest.mark.parametrize(
    ("task", "score"), [("vip", "mIoU"), ("jhmdb", "PCK@0.1"), ("badja", BENCHMARKS["badja"].headline)]
)
def test_per_sequence_of_the_other_tasks(task, score):
    record = {"name": "a/b", "metrics": {"PCK@0.2": 0.9, score: 0.3}}
    table = per_sequence({"ours": {"task": task, "metrics": {}, "sequences": [record]}})
    assert table.to_dict("records") == [{"variant": "ours", "sequence": "a/b", score: 0.3}]


def test_offsets():
    records = [{"name": name, "offset": {"x": x, "y": -x, "of": 3}} for name, x in (("a", 1.5), ("b", np.nan))]
    table = offsets({"ours": {"sequences": records}})
    np.testing.assert_array_equal(table[["right, px", "below, px"]], [[1.5, -1.5], [np.nan, np.nan]])


def test_pck_over_the_tolerance_by_hand(tmp_path: Path) -> None:
    """Frame 0 doesn't count, nor does what is missing; shares of a joint first, then the mean over joints."""
    first = [[0.0, 0.0, 0.0], [0.1, 0.3, np.nan], [0.2, np.nan, np.nan]]
    second = [[0.0, 0.0, 0.0], [0.4, 0.6, np.nan]]
    for name, distances in (("a--b", first), ("c", second)):
        write_json(tmp_path / "sequences" / f"{name}.json", {"distances": distances})
    records = [{"name": "a/b"}, {"name": "c"}]
    table = pck_curves({"ours": {"sequences": records, "path": str(tmp_path / "results.json")}})
    curve = table.set_index("tolerance").PCK
    assert (curve.index[0], curve.index[-1]) == (0, 0.5)
    assert curve.is_monotonic_increasing
    found = [np.interp(at, curve.index, curve) for at in (0.05, 0.15, 0.25, 0.35, 0.5)]
    np.testing.assert_allclose(found, [0, 1 / 6, 2 / 6, (2 / 3 + 1 / 2) / 2, (1 + 1 / 2) / 2])


def test_over_time_starts_at_frame_one():
    objects = [{"J": [1.0, 0.5, 0.0], "F": [1.0, 0.7, 0.2]}, {"J": [0.0, 0.5, 1.0], "F": [0.0, 0.7, 1.0]}]
    table = over_time({"ours": {"task": "davis", "sequences": [{"name": "s", "objects": objects}]}})
    assert list(table.columns) == ["variant", "sequence", "frame", "J&F"]
    assert table.frame.tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["J&F"], [0.5, 0.6, 0.55])


def test_glance_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (glance, comparison):
        monkeypatch.setattr(module, "REFERENCE", tmp_path)
    study = Study("smoke")
    for name, scores in (("full", (0.5, 0.54)), ("lab", (0.3, 0.3))):
        outcome = {"sequences": {}, "weights": {}, "occlusion": {}}
        tasks = ["davis", "fine"] if name == "full" else ["davis"]  # few are measured at stride 4
        seeds = {
            str(i): {"tasks": {task: outcome | {"metrics": {"J&F-Mean": score}} for task in tasks}}
            for i, score in enumerate(scores)
        }
        content = {"settings": settings_hash(study, name), "data": dict.fromkeys(tasks, "three clips"), "seeds": seeds}
        write_json(tmp_path / "smoke" / f"{name}.json", content)
    text = f"before\n{glance.BEGIN}\nold\n{glance.END}\nafter\n"
    new = glance.written(text)
    assert "| full method | 52.0 ± 2.8 | 52.0 ± 2.8 | 2 |" in new  # 4 / sqrt(2)
    assert "| Lab image | 30.0 |  | 2 |" in new
    assert "|  | davis, J&F-Mean | fine, J&F-Mean | seeds |" in new
    assert "Profile `smoke`. Davis: three clips; fine: three clips." in new
    assert new.startswith("before\n")
    assert new.endswith("\nafter\n")
    assert "old" not in new
    assert glance.written(new) == new


def test_readme_shows_the_reference() -> None:
    """If not: python -m stt_study.figures.glance"""
    text = glance.README.read_text(encoding="utf-8")
    assert glance.BEGIN in text
    assert glance.written(text) == text


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_reference_results_are_of_todays_settings(path: Path) -> None:
    """A field that is renamed would empty the reference columns of every page."""
    assert read_json(path)["settings"] == settings_hash(Study(path.parent.name), path.stem)
