"""Profile `paper` on miniatures of its data sets in their official layouts: found, checked, trained on, measured."""

from pathlib import Path

import pytest
from miniature import TINY, write_miniature

from stt_core.files import read_json
from stt_study.data.check import check
from stt_study.study import Study

SMALL = {
    "rows": "headline",
    "scale": {"processes": 1, "workers": 1},
    "spatial": {"width": 0.125, "size": 32, "load_size": 48, "batch": 16, "shards": 8, "steps": 1, "queue": 32},
    "temporal": {"width": 0.125, "size": 64, "batch": 2, "steps": 1, "radius_fine": 3, "radius_coarse": 2},
    "evaluation": {task: {"resize": 64, "radius": 3} for task in ("davis", "vip", "jhmdb", "badja")},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature(tmp_path_factory.mktemp("miniature") / "data")


@pytest.mark.parametrize(
    ("name", "folder", "counts"),
    [
        ("imagenet", "imagenet", {"images": TINY.images, "classes": TINY.classes}),
        ("imagenette", "imagenette2-160", {"images": TINY.images}),
        ("youtube-vos", "youtube-vos", {"videos": TINY.train_videos, "frames": TINY.train_videos * TINY.train_frames}),
        ("davis", "DAVIS", {"sequences": 3, "frames": 12, "annotations": 12}),
        ("vip", "VIP_Fine", {}),
        ("jhmdb", "JHMDB", {}),
        ("badja", "BADJA", {}),
    ],
)
def test_every_layout_is_whole(data: Path, name: str, folder: str, counts: dict[str, int]) -> None:
    found = check(name, data / folder, every=True)
    assert found.problems == []
    assert counts.items() <= found.counts.items()
    assert found.counts["decoded"] > 0


def test_the_paper_s_profile_trains_and_measures(data: Path, tmp_path: Path) -> None:
    study = Study("paper", data=str(data), runs=str(tmp_path), settings=SMALL)
    weights = study.weights("full")
    names = {path.parent.name.rsplit("-seed", 1)[0] for path in (tmp_path / "paper/weights").glob("*/weights.pth")}
    assert names == {"step-one-lab", "step-one-rgb", "full"}
    record = read_json(weights.with_name("run.json"))
    assert record["sessions"][0]["data"] == {"videos": study.fingerprint("videos")}
    for task, measure in (("davis", "J&F-Mean"), ("vip", "mIoU"), ("jhmdb", "PCK@0.1"), ("badja", "PCK@0.1")):
        assert 0 <= study.measure(task, str(weights))["metrics"][measure] <= 1
