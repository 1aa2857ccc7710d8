"""What the released selection does: weights and losses against loops and hand-computed maps."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from loops import random
from PIL import Image
from scipy.stats import rankdata
from writers import write_jhmdb

from stt_core.checkpoints import save_weights
from stt_core.color import drop_channel, rgb_to_lab
from stt_core.correlation import correlation, pool_correlation, window_mask
from stt_core.encoder import STUDENT, random_encoder
from stt_core.errors import InputError
from stt_core.features import feature_source
from stt_core.losses import LocalDistillation, entropy_map, local_distillation_loss, reconstruction_loss
from stt_core.pictures import VideoFrame
from stt_core.propagation import Inference
from stt_core.temporal import TemporalSettings
from stt_study.analysis import deviations, held_out_pairs
from stt_study.analysis import query_selection as selection
from stt_study.analysis.held_out_pairs import BATCH, label_error, levels
from stt_study.benchmarks.label_sources import label_source
from stt_study.figures import selection as viz_selection
from stt_study.study import Study

SETTINGS = {
    "temporal": {"size": 64, "batch": 2, "width": 0.125, "radius_fine": 4, "radius_coarse": 2},
    "spatial": {"width": 0.125},
}
ALL = selection.variants(TemporalSettings())


def made_level(size=8, radius=2):
    fine = correlation(random(1, 3, 2 * size, 2 * size, seed=1), random(1, 3, 2 * size, 2 * size, seed=2), radius=4)
    query, reference = random(1, 5, size, size, seed=3), random(1, 5, size, size, seed=4)
    level = {"fine": fine, "coarse": correlation(query, reference, radius=radius), "query": query}
    scores = {score: entropy_map(query, reference, radius, score) for score in held_out_pairs.SCORES}
    return level | {"reference": reference} | scores


@pytest.fixture
def study(data_folder: Path, tmp_path: Path) -> Study:
    return Study("tiny", data=str(data_folder), runs=str(tmp_path / "runs"), settings=SETTINGS)


def test_effective_share_by_hand():
    assert selection.effective_share(torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0]])) == pytest.approx(3 / 8)
    assert selection.effective_share(torch.full((4, 4), 0.3)) == pytest.approx(1)
    assert selection.effective_share(torch.tensor([[1.0, 0.5]])) == pytest.approx(1.5**2 / (2 * 1.25))
    assert selection.effective_share(torch.zeros(2, 2)) == 0


@pytest.mark.parametrize("name", selection.NAMES)
def test_weights_are_those_of_the_loss(name: str):
    """The loss is the mean of the queries' errors under these weights."""
    level, local = made_level(), ALL[name]
    w = selection.selection_weights(level, local).flatten()
    target = pool_correlation(level["fine"], 16, 16, rows=local.target_rows)
    errors = torch.stack([((level["coarse"][0, i] - target[0, i]) ** 2).mean() for i in range(64)])
    arguments = level["fine"], level["coarse"], level["query"], level["reference"], local
    assert float(local_distillation_loss(*arguments, radius=2)) == pytest.approx(float((w * errors).sum() / w.sum()))


def test_variants_follow_the_profile_and_leave_soft_out_of_small_maps():
    local = LocalDistillation(share=0.5)
    found = selection.variants(TemporalSettings(size=64, local=local))
    assert tuple(found) == selection.NAMES
    assert found["full"] == local
    assert found["released"] == LocalDistillation.released(share=0.5)
    small = selection.variants(TemporalSettings(size=48))
    assert set(selection.NAMES) - set(small) == {"soft", "released_soft"}


def test_no_softmax_row_comes_nearer_to_a_quarter_target():
    """Descent over logits ends at the floor, not below."""
    level, local = made_level(size=4, radius=1), ALL["quarter"]
    window = window_mask(4, 4, 1)
    level["fine"] = correlation(random(1, 3, 8, 8, seed=1), random(1, 3, 8, 8, seed=2), radius=1)
    w = selection.selection_weights(level, local)[0]
    floor = selection.loss_figures(level, local, w, 1)["floor"]
    target = pool_correlation(level["fine"], 8, 8, rows="quarter")
    logits = torch.zeros(1, 16, 16, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(600):
        row = logits.masked_fill(~window, -torch.inf).softmax(dim=2)
        loss = (w.flatten() * (row - target).square().mean(dim=2)).sum() / w.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert floor > 0
    assert loss.item() >= floor * (1 - 1e-9)
    assert loss.item() == pytest.approx(floor, rel=1e-3)


def test_loss_figures_agree_with_autograd_through_the_softmax():
    level, local = made_level(), ALL["released"]
    w = selection.selection_weights(level, local)[0]
    figures = selection.loss_figures(level, local, w, 2)
    logits = level["coarse"].log().requires_grad_()
    coarse = logits.softmax(dim=2)
    coarse.retain_grad()
    loss = local_distillation_loss(level["fine"], coarse, level["query"], level["reference"], local, radius=2)
    loss.backward()
    assert figures["loss"] == pytest.approx(loss.item())
    assert figures["gradient"] == pytest.approx(float(coarse.grad.norm()))
    assert figures["softmax"] == pytest.approx(float(logits.grad.norm()))
    torch.testing.assert_close(figures["logits"], logits.grad[0])


def test_only_quarter_rows_leave_a_floor_and_punish_the_right_answer():
    level = made_level()
    weights = {name: selection.selection_weights(level, local)[0] for name, local in ALL.items()}
    figures = {name: selection.loss_figures(level, local, weights[name], 2) for name, local in ALL.items()}
    for name, local in ALL.items():
        quarter = local.target_rows == "quarter"
        assert (figures[name]["floor"] > 1e-6) == quarter
        assert (figures[name]["matched"] > figures[name]["floor"]) == quarter
        assert figures[name]["loss"] > figures[name]["floor"]
    # t against t / 4: 9/16 of the mean square of t
    pooled = pool_correlation(level["fine"], 16, 16)[0].square().mean(dim=1)
    kept = selection.selection_weights(level, ALL["quarter"]).flatten()
    assert figures["quarter"]["matched"] == pytest.approx(9 / 16 * float((kept * pooled).sum() / kept.sum()))


def test_label_error_agrees_with_loops():
    coarse = random(1, 6, 6, seed=1).softmax(dim=2)
    earlier, later = (random(3, 2, 3, seed=s).softmax(dim=0) for s in (2, 3))
    error = label_error(coarse, earlier, later)
    for i in range(6):
        copied = sum(float(coarse[0, i, j]) * earlier[:, j // 3, j % 3] for j in range(6))
        wrong = 0.5 * float((copied - later[:, i // 3, i % 3]).abs().sum())
        assert float(error[i // 3, i % 3]) == pytest.approx(wrong)
    assert float(label_error(torch.eye(6)[None], later.float(), later.float()).max()) == pytest.approx(0, abs=1e-7)


def test_a_level_is_what_training_sees():
    settings = TemporalSettings(size=64, width=0.125, radius_fine=4, radius_coarse=2)
    encoder = random_encoder(18, 0.125, 0, strides=STUDENT[0], pool=STUDENT[1]).train()
    views = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 2, 3, 64, 64), dtype=np.uint8))
    found = list(levels(encoder, views, 2, settings))
    assert [tuple(level["fine"].shape) for level in found] == [(1, 256, 256)] * 2
    lab = rgb_to_lab(views.float() / 255)
    with torch.no_grad():
        features = encoder(drop_channel(lab.transpose(0, 1).flatten(0, 1), 2), ("res4",))["res4"]
    for b, level in enumerate(found):
        torch.testing.assert_close(level["reference"][0], features[b])  # of batch statistics: both pairs together
        torch.testing.assert_close(level["query"][0], features[2 + b])
        # Large errors only, so that smooth-L1 of 20 x is |20 x| - 0.5 nearly everywhere.
        loss = float(reconstruction_loss(level["coarse"], lab[b : b + 1, 0], lab[b : b + 1, 1], 2, 8))
        assert float(level["colour"].mean()) == pytest.approx(127 / 20 * (loss + 0.5), rel=0.05)


def test_pairs_come_from_train_unless_it_is_missing_or_trained_on(study: Study, data_folder: Path, tmp_path: Path):
    assert held_out_pairs.split_of(study) == "val"  # there is no train.txt
    data = tmp_path / "data"
    shutil.copytree(data_folder, data)
    lists = data / "davis" / "ImageSets" / "2017"
    shutil.copy(lists / "val.txt", lists / "train.txt")
    other = Study("tiny", data=str(data), runs=str(tmp_path), settings=SETTINGS)
    assert held_out_pairs.split_of(other) == "train"
    (data / "youtube-vos" / "video0").rename(data / "youtube-vos" / "square")
    other = Study("tiny", data=str(data), runs=str(tmp_path), settings=SETTINGS)  # a study lists its data once
    assert held_out_pairs.split_of(other) == "val"


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ([Path(f"v/{t:05d}.jpg") for t in (0, 5, 10)], 5),  # YouTube-VOS
        ([Path(f"v/frame1_{t}.jpg") for t in (9, 10, 11, 13)], 1),  # one is missing
        ([Path("v/a.jpg"), Path("v/b.jpg")], 1),
        ([VideoFrame(Path("v.mp4"), t) for t in (0, 2560)], 5),
    ],
)
def test_the_distance_of_training_pairs_in_frames_of_a_labelled_video(video, expected, tmp_path: Path):
    profile = SimpleNamespace(data="real", min_gap=1, max_gap=1)
    study = SimpleNamespace(profile=profile, data=tmp_path, learned_from=lambda kind: [video[:1], video])
    assert held_out_pairs.distance(study) == expected


def test_pairs_are_as_far_apart_as_in_training(data_folder: Path, tmp_path: Path):
    study = Study("tiny", data=str(data_folder), runs=str(tmp_path), settings=SETTINGS | {"max_gap": 3})
    assert {pair.gap for pair in held_out_pairs.held_out(study, 100)} == {2}
    study = Study("tiny", data=str(data_folder), runs=str(tmp_path), settings=SETTINGS | {"max_gap": 10})
    with pytest.raises(InputError, match="no two frames of a video are 6 apart"):
        held_out_pairs.held_out(study, 100)


def test_labels_of_a_pair(study: Study):
    pair = next(pair for pair in held_out_pairs.held_out(study, 100) if pair.t == 2)
    assert pair.views(64).shape == (2, 3, 64, 64)
    earlier, later = pair.labels(8)  # cells of 6 x 8 px; the square is at 16:32, 16:32 px in the later frame
    ids = np.array(Image.open(pair.sequence.masks[2]))
    expected = ids.reshape(8, 6, 8, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(later[1].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(later.sum(dim=0).numpy(), 1, atol=1e-6)
    assert (earlier[1] - later[1]).abs().max() == pytest.approx(0.5)


def test_measured_once_and_true_to_the_maps(study: Study, initial: Path, monkeypatch: pytest.MonkeyPatch):
    tables = selection.measure(study, initial)
    rows, pairs = tables["variants"], tables["pairs"]
    assert len(pairs) == 4
    ((pair, level), *_) = held_out_pairs.batches(study, initial, selection.PAIRS)
    ranks = [rankdata(maps.numpy().ravel()) for maps in (level["entropy"], level["colour"])]
    assert pairs.set_index("pair").loc[pair.name, "entropy with colour"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert list(dict.fromkeys(rows.variant)) == [*selection.NAMES, "inner"]
    of = dict(list(rows.groupby("variant")))
    assert of["inner"].kept.tolist() == pytest.approx([(2 / 8) ** 2] * 4)  # all but 3 cells at each side of 8
    assert of["inner"].loss.isna().all()
    assert of["full"].kept.tolist() == pytest.approx([round(0.7 * 64) / 64] * 4)
    assert of["full"].cosine.tolist() == pytest.approx([1] * 4)
    assert of["quarter"]["label kept"].tolist() == of["full"]["label kept"].tolist()
    by_row, by_column = (np.mean(rows[along].tolist(), axis=1) for along in ("row", "column"))
    np.testing.assert_allclose(by_row, by_column, rtol=1e-5)
    assert by_row[rows.variant == "full"] == pytest.approx(of["full"].kept)
    # What is selected and what is left out make up the map.
    for kind in ("colour", "label"):
        both = rows.assign(whole=0.7 * rows[f"{kind} kept"] + 0.3 * rows[f"{kind} left"])
        both = both[both.variant.isin(("full", "neg_log"))].groupby("pair").whole
        assert ((both.max() - both.min()) < 0.02 * both.max()).all()
    monkeypatch.setattr(selection, "_measured", None)
    again = selection.measure(study, initial)
    assert again["variants"].equals(rows)


def test_what_is_measured_anew(study: Study, initial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(selection, "_measured", lambda *_: calls.append(1) or {"pairs": [], "variants": []})
    save_weights(tmp_path / "other.pth", random_encoder(18, 0.125, 1), input="lab")
    for path in (initial, initial, tmp_path / "other.pth"):
        selection.measure(study, path)
    study.profile = replace(study.profile, temporal=replace(study.profile.temporal, radius_coarse=1))
    selection.measure(study, initial)
    assert len(calls) == 3


def test_what_figures_show(study: Study, initial: Path):
    ((_, chosen),) = viz_selection.examples(study, initial)  # one clip
    assert set(chosen) == set(selection.NAMES) - {"quarter"}


def test_what_is_left_out_goes_dark():
    image = np.full((4, 4, 3), 200, np.uint8)
    covered = viz_selection.veiled(image, torch.tensor([[1.0, 0], [0.5, 1]]))
    assert (covered[:2, :2] == 200).all()
    assert (covered[:2, 2:] < 90).all()
    assert (covered[2:, :2] < covered[2:, 2:]).all()


def test_batches_are_whole(study: Study, initial: Path):
    assert study.profile.temporal.batch < BATCH
    assert len(list(held_out_pairs.batches(study, initial, 3))) == 2
    assert len(list(held_out_pairs.batches(study, initial, 1))) == 1


def test_frames_shrunk_as_released_are_opencv_s() -> None:
    image = np.random.default_rng(0).integers(0, 256, (97, 150, 3), np.uint8)
    source = feature_source("lab")
    there = deviations.bilinear(source, (48, 74))(image)
    bilinear, area = (cv2.resize(image, (74, 48), interpolation=how) for how in (cv2.INTER_LINEAR, cv2.INTER_AREA))
    np.testing.assert_allclose(there, source(bilinear), atol=0.02)  # its pixels are rounded
    assert not np.allclose(there, source(area), atol=0.1)


def test_colours_as_released_are_opencv_s() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    source = feature_source("lab")
    lab = (cv2.cvtColor(np.float32(image) / 255, cv2.COLOR_RGB2Lab) - (50, 0, 0)) / (50, 127, 127)
    expected = torch.nn.functional.pixel_unshuffle(torch.from_numpy(lab).permute(2, 0, 1)[None], 8)[0]
    there = deviations.opencv_lab(source)(image)
    np.testing.assert_allclose(there, expected, atol=1e-5)
    assert not np.allclose(source(image), expected, atol=1e-4)


def test_joints_are_cut_as_released() -> None:
    """To the pixel before, within 12 px of the picture's upper and left edge to the one after."""
    np.testing.assert_array_equal(deviations.cut(np.array([[20.7, 3.4], [11.2, 12.0]])), [[20, 4], [12, 12]])


def test_joints_are_scored_uncut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joints that stand still, copied: the given frame is as far from the truth as all others, by what was cut."""
    task = replace(deviations.TASKS["jhmdb"], totals=list)
    monkeypatch.setitem(deviations.TASKS, "jhmdb", task)
    clips = task.read(write_jhmdb(tmp_path / "JHMDB"))
    study = SimpleNamespace(sequences=lambda task: clips, inference=lambda task: Inference())
    for record in deviations._scored(study, "jhmdb", label_source("copy"), deviations._whole):
        distances = np.array(record["distances"])
        np.testing.assert_array_equal(distances, np.repeat(distances[:1], len(distances), axis=0))
        assert distances.min() > 1e-3
