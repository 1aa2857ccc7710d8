"""What a page shows: captions, figures only once, and what it says of results and of data that are missing."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from stt_study.figures import page as page_module
from stt_study.figures.page import Page
from stt_study.results import report

ROWS = pd.DataFrame(
    {
        "comparison": "full method minus first label copied",
        "first": "full method",
        "second": "first label copied",
        "task": ["davis", "vip"],
        "figure": ["J&F-Mean", "mIoU"],
        "difference": [1.0, -0.5],
        "low": [0.2, -math.inf],
        "high": [1.8, math.inf],
        "seeds": [3, 1],
        "sequences": [5, 2],
        "lowest seed": [0.5, -0.5],
        "highest seed": [1.2, -0.5],
        "p": [0.01, 1.0],
        "smallest effect": [1.2, math.inf],
        "origin": ["this run", "reference"],
        "files": [["/home/a.json"], ["/home/b.json"]],
    }
)


def test_page(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(
        page_module, "display", lambda shows, metadata=None: shown.append((shows, metadata and metadata["stt"]))
    )
    page = Page("tiny", {"real": []}, 0, str(data_folder), str(tmp_path))
    assert page.at_hand("davis")
    assert not page.at_hand("vip")
    assert shown.pop()[0].data == "The data of VIP (vip) are not at hand; `data/README.md` says how to get them."
    assert not page.at_hand("real")
    assert shown.pop()[0].data == "Videos of task davis are real here."  # of a profile with data of its own
    page.data()
    assert list(shown.pop()[0].index) == ["davis"]  # nothing is measured at stride 4
    page.answer("", "It falls.", "The second beats the first by 1.0 [0.2, 1.8].")
    said = shown.pop()[0].data.replace("\N{NO-BREAK SPACE}", " ")
    verdicts = "*Which claims are reproduced* has the verdicts."
    assert (
        said == f"> **It falls. The second beats the first by 1.0 [0.2, 1.8].** (Brackets: 95 % intervals; {verdicts})"
    )
    page.answer("")
    assert shown.pop()[0].data.startswith("> **This run did not measure it")
    scores = {"a/1": 0.4, "b/2": 0.2, "c/3": 0.9}
    records = [{"name": name, "metrics": {"mIoU": score}} for name, score in scores.items()]
    found = {"task": "vip", "metrics": {"mIoU": 0.5}, "sequences": records, "path": str(tmp_path / "results.json")}
    assert page.worst({"copy": found, "full method": found}) == "b/2"
    page.totals({"full method": found}, "All.")
    assert shown.pop()[1]["caption"] == "All. From `results.json`."

    records = [{"name": name, "offset": {"x": x, "y": 2.0, "of": 1}} for name, x in (("a", -3.0), ("b", 5.0))]
    found = {"offset": {"x": 1.0, "y": 2.0, "of": 2}, "sequences": records, "path": str(tmp_path / "results.json")}
    page.offsets("davis", {"full method": found})
    drawn, _ = shown[-1]
    right, below = (axis.collections[0].get_offsets()[:, 0].tolist() for axis in drawn.axes)
    assert (sorted(right), below) == ([-3, 5], [2, 2])

    shown.clear()
    figure, table = plt.figure(), pd.DataFrame({"count": [7]})
    page.show(figure, "Look.", "a line", ["/home/a.json", "/home/b.json", "/home/a.json"], "fig-a")
    page.show(table, "All of them.", name="tab-a")
    words = {"caption": "Look. From `a.json` and 1 more.", "alt": "a line", "name": "fig-a"}
    assert shown == [(figure, words), (table, {"caption": "All of them.", "alt": "", "name": "tab-a"})]
    assert not plt.fignum_exists(figure.number)  # or the notebook would show it a second time

    shown.clear()
    monkeypatch.setattr(page_module.report, "differences", lambda *_: ROWS)
    monkeypatch.setattr(page_module.report, "grid_table", lambda *_: ROWS)
    page.compared("full", ["copy"], "of both", "tab-b", figure=True)
    _, (drawn, words), (table, told) = shown
    dots = [list(line.get_xdata()) for line in drawn.axes[0].lines]
    assert dots[:2] == [[1.0], [-0.5]]
    (bar,) = drawn.axes[0].collections  # the second has no interval
    assert bar.get_segments()[0][:, 0] == pytest.approx([0.2, 1.8])
    assert words["caption"].endswith(" From `a.json` and 1 more.")
    assert table.difference.str.replace("\N{NO-BREAK SPACE}", " ").tolist() == ["+1.0 [0.2, 1.8]", "-0.5 no interval"]
    assert table.better.tolist() == ["full method", "undecided"]
    assert table["smallest effect"].tolist() == ["1.2", ""]
    assert told["name"] == "tab-b"


SAME = "does not differ measurably from it"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((3.14, 1.0, 5.0, 0.01), "is ahead of it by 3.1 points of J [1.0, 5.0]"),
        ((-3.14, -5.0, -1.0, 0.01), "is behind it by 3.1 points of J [1.0, 5.0]"),
        ((0.4, 0.1, 0.9, 0.07), f"{SAME} (+0.4 points of J [0.1, 0.9], p = 0.07)"),
        ((-0.4, -1.0, 0.2, 0.3), f"{SAME} (-0.4 points of J [-1.0, 0.2], which contains zero)"),
        ((0.4, -math.inf, math.inf, 1.0), f"{SAME} (+0.4 points of J, too few sequences for an interval)"),
    ],
)
def test_a_difference_in_words(row: tuple[float, ...], words: str) -> None:
    assert report.worded(dict(zip(("difference", "low", "high", "p"), row, strict=True)), "it", "J") == words


def test_an_answer_says_whose_results(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One comparison is this run's, of one seed, the other the reference's of five: two sentences."""
    study = Page("tiny", {"real": []}, 0, str(data_folder), str(tmp_path)).study
    found = {"lab": (1, "this run"), "copy": (5, "reference")}
    row = {"difference": 3.0, "low": 1.0, "high": 5.0, "p": 0.01}
    how = lambda s, t, a, b: row | dict(zip(("seeds", "origin"), found[b], strict=True))  # noqa: E731
    monkeypatch.setattr(report.comparison, "compared", how)
    said = report.beside(study, {"full": "it", "lab": "Lab", "copy": "a copy"}, "davis").split(". ")
    assert [text.split(" (")[1] for text in said] == [
        "1 seed), it is ahead of Lab by 3.0 points of J&F-Mean [1.0, 5.0]",
        "5 seeds, reference), it is ahead of a copy by 3.0 points of J&F-Mean [1.0, 5.0].",
    ]
