"""The teacher's correlation, cell by cell, on pairs made by hand."""

from types import SimpleNamespace

import pytest
import torch

from stt_study.analysis import against_teacher


class Constant(torch.nn.Module):
    """Answers with given maps, whatever it sees."""

    def __init__(self, maps: torch.Tensor) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: torch.Tensor, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
        assert len(images) == len(self.maps)
        return {"res5": self.maps}


def test_targets_by_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = {name: torch.randn(4, 6, 2, 2, generator=generator) for name in ("teacher", "student")}  # two pairs
    pair = SimpleNamespace(views=lambda size: torch.zeros(2, 3, size, size, dtype=torch.uint8))
    monkeypatch.setattr(against_teacher, "held_out", lambda study, most: [pair, pair])
    monkeypatch.setattr(against_teacher, "load_encoder", lambda path, strides, pool: (Constant(maps[path]), "lab"))
    temporal = SimpleNamespace(teacher_temperature=0.5, teacher_cosine=False, size=64)
    study = SimpleNamespace(profile=SimpleNamespace(temporal=temporal), teacher="teacher")
    table = against_teacher.targets(study, {"one": "student"})

    peaks, same, agree, error = [], [], [], []
    for b in range(2):
        for i in range(4):
            rows = {}
            for name, scale in (("teacher", 0.5), ("student", 6**0.5)):
                reference, query = maps[name][b].flatten(1), maps[name][2 + b].flatten(1)
                products = [sum(float(query[c, i] * reference[c, j]) for c in range(6)) / scale for j in range(4)]
                rows[name] = torch.tensor(products, dtype=torch.float64).softmax(0)
            peaks.append(float(rows["student"].max()))
            same.append(int(rows["student"].argmax()) == i)
            agree.append(int(rows["student"].argmax()) == int(rows["teacher"].argmax()))
            error += ((rows["student"] - rows["teacher"]) ** 2).tolist()
    expected = [sum(values) / len(values) for values in (peaks, same, agree, error)]
    assert table.loc["one"].tolist() == pytest.approx(expected, rel=1e-5)
    assert table.loc["teacher", ["as the teacher", "loss"]].tolist() == [1, 0]
