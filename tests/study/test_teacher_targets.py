"""The teacher's correlation, cell by cell, on pairs made by hand; what the distillations build on."""

from types import SimpleNamespace

import pytest
import torch

from stt_study.analysis import label_errors


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
    first, later = [0, 1, 1, 2], [0, 1, 2, 2]  # ids of the cells, each of one id alone
    labels = [torch.nn.functional.one_hot(torch.tensor(ids), 3).T.view(3, 2, 2).float() for ids in (first, later)]
    views = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    pair = SimpleNamespace(views=lambda size: views, labels=lambda cells: labels if cells == 2 else None)
    monkeypatch.setattr(label_errors, "held_out", lambda study, most: [pair, pair])
    monkeypatch.setattr(label_errors, "load_encoder", lambda path, strides, pool: (Constant(maps[path]), "lab"))
    temporal = SimpleNamespace(teacher_temperature=0.5, teacher_cosine=False, size=64)
    study = SimpleNamespace(profile=SimpleNamespace(temporal=temporal), teacher="teacher")
    table = label_errors.targets(study, {"one": "student"})

    wrong, peaks, same, agree, error = [], [], [], [], []
    for b in range(2):
        for i in range(4):
            rows = {}
            for name, scale in (("teacher", 0.5), ("student", 6**0.5)):
                reference, query = maps[name][b].flatten(1), maps[name][2 + b].flatten(1)
                products = [sum(float(query[c, i] * reference[c, j]) for c in range(6)) / scale for j in range(4)]
                rows[name] = torch.tensor(products, dtype=torch.float64).softmax(0)
            wrong.append(1 - sum(float(rows["student"][j]) for j in range(4) if first[j] == later[i]))
            peaks.append(float(rows["student"].max()))
            same.append(int(rows["student"].argmax()) == i)
            agree.append(int(rows["student"].argmax()) == int(rows["teacher"].argmax()))
            error += ((rows["student"] - rows["teacher"]) ** 2).tolist()
    expected = [sum(values) / len(values) for values in (wrong, peaks, same, agree, error)]
    assert table.loc["one"].tolist() == pytest.approx(expected, rel=1e-5)
    assert table.loc["teacher", ["as the teacher", "loss"]].tolist() == [1, 0]
    assert table.loc[label_errors.STAY, ["label error", "peak", "same place"]].tolist() == [0.25, 1, 1]


def test_premises_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two queries of four are selected; the fine correlation finds both, the coarse one stays at the same cell."""
    later_from = [2, 3, 0, 1]  # the earlier cell of every later one
    earlier = torch.eye(4).view(4, 2, 2)  # each cell an id of its own
    later = earlier.flatten(1)[:, later_from].view(4, 2, 2)
    fine = torch.zeros(1, 16, 16)
    for query in range(16):
        y, x = divmod(query, 4)
        target_y, target_x = divmod(later_from[2 * (y // 2) + x // 2], 2)
        fine[0, query, 4 * (2 * target_y + y % 2) + 2 * target_x + x % 2] = 1
    fine[0, :8] = 1 / 16  # of the upper queries it knows nothing
    level = {"fine": fine, "coarse": torch.eye(4)[None], "query": torch.zeros(1, 5, 2, 2)}
    pair = SimpleNamespace(labels=lambda cells: (earlier, later))
    errors = {"label error": dict(zip(label_errors.GLOBAL, (0.1, 0.2, 0.3), strict=True))}
    monkeypatch.setattr(label_errors, "targets", lambda study, students: errors)
    monkeypatch.setattr(label_errors, "batches", lambda study, weights, most: iter([(pair, level)] * 2))
    study = SimpleNamespace(spatial=str, weights=str, profile=SimpleNamespace(temporal=SimpleNamespace(local=None)))
    for chosen, expected in (([[0, 0], [1, 1]], (0, 1)), ([[1, 1], [0, 0]], (0.75, 1)), ([[1, 1], [1, 1]], (0.375, 1))):
        monkeypatch.setattr(label_errors, "selection_weights", lambda *_, chosen=chosen: torch.tensor([chosen]).float())
        found = label_errors._premises(study)
        assert [found[name] for name in label_errors.LOCAL] == pytest.approx(expected)
        assert [found[name] for name in label_errors.GLOBAL] == [0.1, 0.2, 0.3]
