"""README's results are those of the reference files; the table by hand."""

from pathlib import Path

from stt_core.files import write_json
from stt_study.figures import glance


def test_by_hand(tmp_path: Path) -> None:
    for name, title, scores in (("full", "full method", (0.5, 0.54)), ("copy", "first label copied", (0.3, 0.3))):
        seeds = {str(i): {"tasks": {"davis": {"metrics": {"J&F-Mean": s}}}} for i, s in enumerate(scores)}
        write_json(tmp_path / f"{name}.json", {"title": title, "data": {"davis": "three clips"}, "seeds": seeds})
    table = glance.glance(tmp_path)
    assert "| full method | 52.0 ± 2.8 |" in table  # 4 / sqrt(2)
    assert "| first label copied | 30.0 |" in table
    assert table.endswith("davis: J&F-Mean, three clips.")
    text = f"before\n{glance.BEGIN}\nold\n{glance.END}\nafter\n"
    new = glance.written(text, [tmp_path])
    assert new.startswith("before\n")
    assert new.endswith("\nafter\n")
    assert "old" not in new
    assert glance.written(new, [tmp_path]) == new


def test_readme_shows_the_reference() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert glance.BEGIN in text
    assert glance.written(text, glance.profiles()) == text
