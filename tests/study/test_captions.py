"""A captioned figure or table, not shown twice; and what a page says of results and of data that are missing."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from stt_study.figures import captions
from stt_study.figures.page import Page


def test_show(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(captions, "display", lambda figure, metadata: shown.append((figure, metadata)))
    study = SimpleNamespace(relative=lambda path: path.removeprefix("/home/"))
    figure = plt.figure()
    captions.show(
        study, figure, "Look.", alt="a line", files=["/home/a.json", "/home/b.json", "/home/a.json"], name="fig-a"
    )
    captions.show(study, plt.figure(), "Look.", alt="a line")
    assert shown[0] == (
        figure,
        {"stt": {"caption": "Look. From `a.json` and 1 more.", "alt": "a line", "name": "fig-a"}},
    )
    assert shown[1][1] == {"stt": {"caption": "Look.", "alt": "a line", "name": ""}}
    table = pd.DataFrame({"count": [7]})
    captions.show(study, table, "All of them.", name="tab-a")
    assert shown[2] == (table, {"stt": {"caption": "All of them.", "alt": "", "name": "tab-a"}})
    assert plt.get_fignums() == []


def test_page(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    monkeypatch.setattr(captions, "display", lambda _, metadata: shown.append(metadata["stt"]["caption"]))
    page = Page("tiny", {"real": []}, 0, str(data_folder), str(tmp_path))
    assert page.at_hand("davis")
    assert not page.at_hand("vip")
    assert capsys.readouterr().out == f"no part data in {data_folder.name}\n"
    scores = {"a/1": 0.4, "b/2": 0.2, "c/3": 0.9}
    records = [{"name": name, "metrics": {"mIoU": score}} for name, score in scores.items()]
    found = {"task": "vip", "metrics": {"mIoU": 0.5}, "sequences": records, "path": str(tmp_path / "results.json")}
    assert page.worst({"copy": found, "full method": found}) == "b/2"
    page.totals({"full method": found}, "All.")
    assert shown == ["All. From `results.json`."]
