"""Measures against loops and textbook formulas; the tables on tiny data."""

import math
import re
from dataclasses import replace
from pathlib import Path

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
from stt_study.analysis import retention
from stt_study.analysis.held_out_pairs import HeldOut
from stt_study.analysis.retention import (
    cell_of,
    central_pixel,
    coverage,
    linear_cka,
    nearest,
    neighbour_overlap,
    pair_times,
    point_map,
)
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
    found = neighbour_overlap(*(nearest(*pair, k) for pair in maps))
    assert found == pytest.approx(shared / (12 * k))
    assert 0 < found < 1


def gram_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """By explicit Gram matrices: Kornblith et al. 2019 with HSIC_1 of Song et al. 2012."""
    n, ones = len(x), torch.ones(len(x), dtype=torch.float64)

    def hsic(a: torch.Tensor, b: torch.Tensor) -> float:
        k, l = ((f @ f.T).fill_diagonal_(0) for f in (a, b))  # noqa: E741
        mean = (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
        return ((torch.trace(k @ l) + mean - 2 / (n - 2) * (ones @ k @ l @ ones)) / (n * (n - 3))).item()

    return hsic(x, y) / math.sqrt(hsic(x, x) * hsic(y, y))


def test_cka_against_gram_matrices() -> None:
    x = noise(30, 7).double() + 3  # far from the origin: it must be centred
    y = x @ noise(7, 4, seed=1).double() + 2 * noise(30, 4, seed=2).double() - 1
    found = linear_cka(x, y)
    assert found == pytest.approx(gram_cka(x, y), rel=1e-9)
    assert 0.1 < found < 0.95
    assert found == pytest.approx(linear_cka(y, x))
    rotation = torch.linalg.qr(noise(7, 7, seed=3).double()).Q
    assert linear_cka(5 * x @ rotation + 2, y) == pytest.approx(found, rel=1e-9)
    assert linear_cka(x * torch.arange(1, 8), y) != pytest.approx(found, rel=1e-3)
    assert linear_cka(x, 0.3 * x @ rotation) == pytest.approx(1)
    assert math.isnan(linear_cka(torch.ones(30, 2), y))
    pairs = [(noise(24, 200, seed=s), noise(24, 200, seed=s + 100)) for s in range(20)]
    assert abs(np.mean([linear_cka(*pair) for pair in pairs])) < 0.03  # by chance


def test_point_map() -> None:
    here, later = noise(5, 4, 6), noise(5, 3, 7, seed=1)
    query = here[:, 2, 4]
    cosine = torch.tensor([[float(query @ later[:, y, x] / query.norm() / later[:, y, x].norm()) for x in range(7)]
                           for y in range(3)])  # fmt: skip
    weights = (cosine / 0.2).exp()
    torch.testing.assert_close(point_map(here, (2, 4), later, 0.2), weights / weights.sum())
    best = weights.flatten().sort(descending=True).values[:4]
    kept = point_map(here, (2, 4), later, 0.2, 4)
    assert (kept > 0).sum() == 4
    torch.testing.assert_close(kept.flatten().sort(descending=True).values[:4], best / best.sum())
    assert point_map(here, (2, 4), here, 0.01).argmax() == 2 * 6 + 4


def test_places() -> None:
    bent = np.zeros((9, 9), bool)
    bent[1:8, 1] = bent[7, 1:8] = True  # its centre of mass, (2.6, 5.5), is outside
    x, y = central_pixel(bent)
    assert bent[y, x]
    y_mean, x_mean = np.argwhere(bent).mean(axis=0)
    distances = [np.hypot(row - y_mean, column - x_mean) for row, column in np.argwhere(bent)]
    assert np.hypot(y - y_mean, x - x_mean) == pytest.approx(min(distances))
    assert cell_of((63, 47), (48, 64), (6, 8)) == (5, 7)
    assert cell_of((8, 7), (48, 64), (6, 8)) == (0, 1)
    ids = np.zeros((8, 8), np.uint8)
    ids[:4, :2], ids[4:, 4:] = 2, 255
    assert coverage(ids, (2, 2)).tolist() == [[[0.5, 1], [1, 1]], [[0, 0], [0, 0]], [[0.5, 0], [0, 0]]]
    assert pair_times(24) == [8, 16]
    assert pair_times(2) == [1]
    assert pair_times(1) == []


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
    assert itself["CKA res4"] == pytest.approx(1)
    assert full["overlap res4"] < 1
    assert full["CKA res4"] < 0.99
    assert itself["CKA res5"] != pytest.approx(1)  # other strides than the teacher's
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
    pairs = [HeldOut(clip, t) for t in pair_times(len(clip.frames))]
    good = retention.clip_record(pairs, colours, colours, *settings)
    flat = retention.clip_record(pairs, colours, constant, *settings)
    assert good["mass"] > 0.9
    assert good["top-k mass"] == pytest.approx(1)
    assert flat["mass"] == pytest.approx(flat["area"], abs=0.01)
    assert flat["loss"] == pytest.approx(flat["flat loss"])
    assert good["overlap res5"] == 1
    assert math.isnan(flat["CKA res4"])


def test_tables() -> None:
    rows = [
        {"variant": v, "sequence": s, "loss": base + i / 10, "flat loss": 0.5, "CKA res4": 1.0, "other": math.nan}
        for v, base in (("b", 0.2), ("a", 0.4))
        for i, s in enumerate("pqrs")
    ]
    text = retention.summary_table(pd.DataFrame(rows), ["loss", "CKA res4", "other"])
    assert list(text.index) == ["b", "a", "by chance"]
    mean, low, high = map(
        float, re.fullmatch(r"(\d\.\d{4}) \[(\d\.\d{4}), (\d\.\d{4})\]", text.loc["b", "loss"]).groups()
    )
    assert low < mean == 0.35 < high
    assert text.loc["b"].tolist()[1:] == ["1.00", ""]
    assert text.loc["by chance"].tolist() == ["0.5000", "0.00", "0.00"]


def test_figures(study: Study, tmp_path: Path) -> None:
    sources = {"full": str(tmp_path / "student.pth"), "random": "random"}
    students = {title(name): retention.looks(study, weights, "davis") for name, weights in sources.items()}
    ((clip, later, masks),) = viz_maps.examples(study)
    assert (clip.name, later, [int(mask.sum()) for mask in masks]) == ("square", 3, [256, 256])
    figure = viz_maps.point_figure(study, students)
    shares = [axis.get_xlabel() for axis in figure.axes[2:]]
    assert len(shares) == 2
    assert all(re.fullmatch(r"\d+% inside", share) for share in shares)
