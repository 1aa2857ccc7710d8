"""A captioned figure or table: what it hands to the notebook, and that the notebook doesn't show it twice."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from stt_study.figures import captions


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
