"""A miniature of every data set that profile `paper` names, in its official layout, of the world that ships as code.

python tests/tools/miniature.py DIR     # 5 MB, seconds; then: make reproduce PROFILE=paper DATA=DIR ARGS="…"
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stt_study.benchmarks.badja import SIZE
from stt_study.benchmarks.davis import davis_sequences
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.world.synthetic import World, write_world

TINY = World(
    seed=7, size=96, labelled_size=96, images=64, classes=4, train_videos=4, train_frames=4, val_videos=1,
    test_videos=2, frames=4,
)  # fmt: skip


def write_miniature(root: Path) -> Path:
    """Folders `imagenet`, `imagenette2-160`, `youtube-vos`, `DAVIS`, `VIP_Fine`, `JHMDB` and `BADJA` below `root`."""
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root) as made:
        world = write_world(Path(made) / "world", TINY)
        names = {
            "imagenet": "imagenet",
            "youtube-vos": "youtube-vos",
            "davis": "DAVIS",
            "vip": "VIP_Fine",
            "jhmdb": "JHMDB",
        }
        for ours, official in names.items():
            shutil.move(world / ours, root / official)
    for folder in root.rglob("events.json"):  # ours, not a part of any data set
        folder.unlink()
    masks = root / "VIP_Fine/Annotations"  # where the official archive has them
    masks.rename(root / "masks")
    masks.mkdir()
    (root / "masks").rename(masks / "Category_ids")
    for split in ("train", "val"):
        shutil.copytree(root / "imagenet/train", root / "imagenette2-160" / split)
    _write_badja(root / "BADJA", root / "DAVIS")
    return root


def _write_badja(root: Path, davis: Path) -> None:
    """Joints on a DAVIS video: the ends of its first object in every other frame, in pixels of 1920x1080."""
    sequence = davis_sequences(davis)[0]
    entries = []
    for t in range(0, len(sequence.frames), 2):
        mask = read_sequence_mask(sequence, t) == 1
        points = np.argwhere(mask)  # (y, x)
        ends = [points[order] for order in (points[:, 0].argmin(), points[:, 0].argmax(), points[:, 1].argmin())]
        ends += [points[points[:, 1].argmax()], points.mean(axis=0)]
        joints = (np.array(ends) + 1) * (np.array(SIZE[::-1]) / mask.shape)
        kinds = {"image_path": ("JPEGImages", "jpg"), "segmentation_path": ("Annotations", "png")}
        paths = {
            key: f"DAVIS/{kind}/Full-Resolution/{sequence.name}/{t:05d}.{ending}"
            for key, (kind, ending) in kinds.items()
        }
        entries.append({**paths, "joints": joints.tolist(), "visibility": [True] * len(joints)})
    path = root / "joint_annotations" / f"{sequence.name}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(entries))


if __name__ == "__main__":
    print(write_miniature(Path(sys.argv[1])))
