"""What a page shows: captions, figures only once, and what it says of results and of data that are missing."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from stt_study.figures import page as page_module
from stt_study.figures.page import Page


def test_page(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    monkeypatch.setattr(page_module, "display", lambda shows, metadata: shown.append((shows, metadata["stt"])))
    page = Page("tiny", {"real": []}, 0, str(data_folder), str(tmp_path))
    assert page.at_hand("davis")
    assert not page.at_hand("vip")
    assert capsys.readouterr().out == f"no part data in {data_folder.name}\n"
    scores = {"a/1": 0.4, "b/2": 0.2, "c/3": 0.9}
    records = [{"name": name, "metrics": {"mIoU": score}} for name, score in scores.items()]
    found = {"task": "vip", "metrics": {"mIoU": 0.5}, "sequences": records, "path": str(tmp_path / "results.json")}
    assert page.worst({"copy": found, "full method": found}) == "b/2"
    page.totals({"full method": found}, "All.")
    assert shown.pop()[1]["caption"] == "All. From `results.json`."

    figure, table = plt.figure(), pd.DataFrame({"count": [7]})
    page.show(figure, "Look.", "a line", ["/home/a.json", "/home/b.json", "/home/a.json"], "fig-a")
    page.show(table, "All of them.", name="tab-a")
    words = {"caption": "Look. From `a.json` and 1 more.", "alt": "a line", "name": "fig-a"}
    assert shown == [(figure, words), (table, {"caption": "All of them.", "alt": "", "name": "tab-a"})]
    assert plt.get_fignums() == []
