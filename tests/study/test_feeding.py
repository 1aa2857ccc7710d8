"""Feeding: items are those of the data sets, rates are consistent with each other; nothing is asserted about speed."""

from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_study.speed import feeding
from stt_study.speed.budget import Job
from stt_study.speed.costs import Cost
from stt_study.speed.feeding import Rate
from stt_study.speed.gpus import GPUS, REACHED, seconds
from stt_study.speed.meter import Op


def test_written_pictures_have_the_sizes_that_are_asked_for(tmp_path: Path) -> None:
    images = feeding.write_images(tmp_path / "images", 6, (60, 80))
    paths = sorted(images.glob("*/*.jpg"))
    assert len(paths) == 6
    assert {cv2.imread(str(path)).shape for path in paths} == {(60, 80, 3)}
    videos = feeding.write_videos(tmp_path / "videos", 2, 3, (72, 128))
    frames = [cv2.imread(str(videos / "0" / f"{t:05d}.jpg")) for t in range(3)]
    assert frames[0].shape == (72, 128, 3)
    # A pan: what was 2 px further right is seen in the next frame.
    still, moved = (
        abs(frames[0][:, s:-4].astype(int) - frames[1][:, : -4 - s or None][:, : 124 - s]).mean() for s in (0, 2)
    )
    assert moved < still


def test_rates_are_of_the_data_sets_items(tmp_path: Path) -> None:
    images = feeding.write_images(tmp_path / "images", 6, (60, 80))
    videos = feeding.write_videos(tmp_path / "videos", 2, 3, (72, 128))
    threads = cv2.getNumThreads(), torch.get_num_threads()
    for rate in (
        feeding.image_rate(images, SpatialSettings(load_size=48), most=4),
        feeding.pair_rate(videos, TemporalSettings(size=64), most=3),
    ):
        assert rate.seconds > 0
        assert rate.per_core == pytest.approx(1 / rate.seconds)
        assert 0 < rate.decoding < 1
        assert rate.kilobytes > 0
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads


def test_need_and_workers_by_hand() -> None:
    cost = Cost(10, (Op("add", 0.0, 0.335e12, False),), 0, 0, 0, 0, 0)  # 0.1 s on an H100 at least
    job, on = Job("a", cost, steps=3600), GPUS["h100"]
    table = feeding.feeding_table([(Rate("images", 1.0, 0.1, 0.5), job)], on, workers=4)
    row = table.loc["images"]
    for end, reached in zip(("from", "to"), sorted(REACHED, reverse=True), strict=True):
        need = 10 / seconds(cost.ops, on, reached)
        assert row[f"a GPU takes, items/s {end}"] == pytest.approx(100 * reached) == need
        assert row[f"cores a GPU {end}"] == pytest.approx(need / 10)
        assert row[f"share of its need that 4 give {end}"] == pytest.approx(40 / need)
        assert row[f"hours with 4 {end}"] == pytest.approx(10 / min(need, 40))
    faster = feeding.feeding_table([(replace(Rate("images", 1.0, 0.1, 0.5), seconds=0.01), job)], on, workers=4)
    assert faster.loc["images", "hours with 4 to"] == pytest.approx(10 / (100 * min(REACHED)))
