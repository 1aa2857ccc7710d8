"""Published figures and where they are from."""

import re
from pathlib import Path

from stt_study.results import report

REPOSITORY = Path(__file__).parents[2]


def test_sources_of_published_figures_are_in_the_bibliography_and_on_their_page():
    entries = re.findall(
        r"^@\w+{(\w+),", (REPOSITORY / "book" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE
    )
    page = (REPOSITORY / "notebooks" / "11_benchmark_tables.py").read_text(encoding="utf-8")
    cited = {key.strip() for keys in re.findall(r"{cite(?::[a-z]+)?}`([^`]+)`", page) for key in keys.split(",")}
    keys = set(report.published().key.dropna())
    assert keys
    assert sorted(keys - set(entries)) == []
    assert sorted(keys - cited) == []


def test_a_source_has_one_key():
    assert report.published().groupby("source").key.nunique(dropna=False).eq(1).all()
