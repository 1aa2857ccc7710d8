"""Measures against loops and textbook formulas; the tables on tiny data; targets and premises on pairs made by hand."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from stt_core.checkpoints import save_weights
from stt_core.encoder import random_encoder
from stt_core.files import read_json
from stt_core.losses import global_distillation_loss, teacher_correlation
from stt_core.pictures import read_image
from stt_core.propagation import Inference
from stt_core.temporal import TemporalSettings
from stt_study.analysis import label_errors, retention
from stt_study.analysis.held_out_pairs import HeldOut
from stt_study.figures import maps as viz_maps
from stt_study.study import Study
from stt_study.variants import title


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_neighbour_overlap_against_loops() -> None:
    maps = [noise(6, 3, 4, seed=s) for s in range(2)], [noise(5, 3, 4, seed=s) for s in (2, 3)]
    k = 3
    shared = 0
    for row in range(3):
        for column in range(4):
            chosen = []
            for query, reference in maps:
                product = {
                    4 * y + x: sum(float(query[c, row, column] * reference[c, y, x]) for c in range(len(query)))
                    for y in range(3)
                    for x in range(4)
                }
                chosen.append(set(sorted(product, key=product.get)[-k:]))
            shared += len(chosen[0] & chosen[1])
    found = retention.neighbour_overlap(*(retention.nearest(*pair, k) for pair in maps))
    assert found == pytest.approx(shared / (12 * k))
    assert 0 < found < 1


def test_point_map() -> None:
    here, later = noise(5, 4, 6), noise(5, 3, 7, seed=1)
    query = here[:, 2, 4]
    cosine = torch.tensor([[float(query @ later[:, y, x] / query.norm() / later[:, y, x].norm()) for x in range(7)]
                           for y in range(3)])  # fmt: skip
    weights = (cosine / 0.2).exp()
    torch.testing.assert_close(retention.point_map(here, (2, 4), later, 0.2), weights / weights.sum())
    best = weights.flatten().sort(descending=True).values[:4]
    kept = retention.point_map(here, (2, 4), later, 0.2, 4)
    assert (kept > 0).sum() == 4
    torch.testing.assert_close(kept.flatten().sort(descending=True).values[:4], best / best.sum())
    assert retention.point_map(here, (2, 4), here, 0.01).argmax() == 2 * 6 + 4


def test_places() -> None:
    bent = np.zeros((9, 9), bool)
    bent[1:8, 1] = bent[7, 1:8] = True  # its centre of mass, (2.6, 5.5), is outside
    x, y = retention.central_pixel(bent)
    assert bent[y, x]
    y_mean, x_mean = np.argwhere(bent).mean(axis=0)
    distances = [np.hypot(row - y_mean, column - x_mean) for row, column in np.argwhere(bent)]
    assert np.hypot(y - y_mean, x - x_mean) == pytest.approx(min(distances))
    assert retention.cell_of((63, 47), (48, 64), (6, 8)) == (5, 7)
    assert retention.cell_of((8, 7), (48, 64), (6, 8)) == (0, 1)
    ids = np.zeros((8, 8), np.uint8)
    ids[:4, :2], ids[4:, 4:] = 2, 255
    assert retention.coverage(ids, (2, 2)).tolist() == [[[0.5, 1], [1, 1]], [[0, 0], [0, 0]], [[0.5, 0], [0, 0]]]
    assert retention.pair_times(24) == [8, 16]
    assert retention.pair_times(2) == [1]
    assert retention.pair_times(1) == []


@pytest.fixture
def study(data_folder: Path, tmp_path: Path) -> Study:
    temporal = {"width": 0.125, "size": 64, "radius_coarse": 2}
    settings = {"spatial": {"width": 0.125}, "temporal": temporal, "evaluation": {"davis": {"resize": 48}}}
    study = Study("kept", data=str(data_folder), runs=str(tmp_path), settings=settings | {"real": [], "supervised": []})
    save_weights(tmp_path / "teacher.pth", random_encoder(18, 0.125, 5), input="lab")
    save_weights(tmp_path / "student.pth", random_encoder(18, 0.125, 6), input="lab")
    study.spatial = lambda input="lab": tmp_path / "teacher.pth"  # nothing is trained here
    return study


def test_against_the_teacher(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"step_one": str(tmp_path / "teacher.pth"), "full": str(tmp_path / "student.pth"), "random": "random"}
    table = retention.against_teacher(study, sources).set_index("variant")
    itself, full = table.loc[title("step_one")], table.loc[title("full")]
    assert itself["overlap res4"] == 1
    assert full["overlap res4"] < 1
    assert itself["overlap res5"] < 1  # other strides than the teacher's
    assert full["chance res5"] == 1 / 4
    assert full["chance res4"] == pytest.approx(10 / 48)
    # The loss by hand, on both pairs.
    see = retention.looks(study, sources["full"], "davis")
    teach = retention.looks(study, sources["step_one"], "davis", ((1, 2, 2, 2), "max"))
    (clip,) = study.sequences("davis")
    losses = []
    for t in (2, 3):
        own, taught = ([look(clip.frames[i])["res5"][None] for i in (t, t - 1)] for look in (see, teach))
        losses.append(global_distillation_loss(*own, teacher_correlation(*taught)))
    assert full["loss"] == pytest.approx(np.mean([loss.item() for loss in losses]))
    assert full["area"] == pytest.approx(16 * 16 / (48 * 64))
    assert 0 < full["mass"] < 1

    monkeypatch.setattr(retention, "clip_record", lambda *_: pytest.fail("measured again"))
    assert retention.against_teacher(study, sources).set_index("variant").equals(table)
    paths = sorted((study.out / "retention").glob("davis-full-*.json"))
    assert list(read_json(paths[0])) == ["square"]
    study.profile = replace(study.profile, temporal=replace(study.profile.temporal, teacher_temperature=0.1))
    with pytest.raises(pytest.fail.Exception):
        retention.against_teacher(study, sources)


def test_a_better_feature_has_more_mass_in_its_object(study: Study) -> None:
    """The square is orange on blue: colour alone finds it, a constant feature does not."""
    (clip,) = study.sequences("davis")

    def colours(path: Path) -> dict[str, torch.Tensor]:
        lab = torch.from_numpy(read_image(path)[::4, ::4].copy()).permute(2, 0, 1).float() - 128
        return {"res4": lab, "res5": lab[:, ::2, ::2]}

    def constant(path: Path) -> dict[str, torch.Tensor]:
        return {name: torch.ones_like(maps) for name, maps in colours(path).items()}

    settings = TemporalSettings(radius_coarse=2), Inference(temperature=0.05)
    pairs = [HeldOut(clip, t) for t in retention.pair_times(len(clip.frames))]
    good = retention.clip_record(pairs, colours, colours, *settings)
    flat = retention.clip_record(pairs, colours, constant, *settings)
    assert good["mass"] > 0.9
    assert good["top-k mass"] == pytest.approx(1)
    assert flat["mass"] == pytest.approx(flat["area"], abs=0.01)
    assert flat["loss"] == pytest.approx(flat["flat loss"])
    assert good["overlap res5"] == 1


def test_tables() -> None:
    rows = [
        {"variant": v, "sequence": s, "loss": base + i / 10, "flat loss": 0.5, "mass": 1.0, "area": 0.25}
        for v, base in (("b", 0.2), ("a", 0.4))
        for i, s in enumerate("pqrs")
    ]
    rows += [row | {"variant": "c", "mass": math.nan} for row in rows[:4]]
    text = retention.summary_table(pd.DataFrame(rows), ["loss", "mass"])
    assert list(text.index) == ["b", "a", "c", "by chance"]
    mean, low, high = map(
        float, re.fullmatch(r"(\d\.\d{4}) \[(\d\.\d{4}), (\d\.\d{4})\]", text.loc["b", "loss"]).groups()
    )
    assert low < mean == 0.35 < high
    assert text.mass.tolist() == ["1.00", "1.00", "", "0.25"]
    assert text.loss["by chance"] == "0.5000"


def test_points_of_the_figure(study: Study, tmp_path: Path) -> None:
    sources = {"full": str(tmp_path / "student.pth"), "random": "random"}
    students = {title(name): retention.looks(study, weights, "davis") for name, weights in sources.items()}
    ((clip, later, masks),) = viz_maps.examples(study)
    assert (clip.name, later, [int(mask.sum()) for mask in masks]) == ("square", 3, [256, 256])
    figure = viz_maps.point_figure(study, students)
    shares = [axis.get_xlabel() for axis in figure.axes[2:]]
    assert len(shares) == 2
    assert all(re.fullmatch(r"\d+% inside", share) for share in shares)


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
    temporal = TemporalSettings(teacher_temperature=0.5, size=64)
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
    reference, query = torch.nn.functional.normalize(maps["teacher"].flatten(2), dim=1).chunk(2)
    cosines = (query.transpose(1, 2) @ reference / 0.5).softmax(dim=2)
    assert table.loc[label_errors.COSINES, "peak"] == pytest.approx(float(cosines.amax(dim=2).mean()), rel=1e-5)
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
