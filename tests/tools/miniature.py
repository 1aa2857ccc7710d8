"""A miniature of every data set that profile `paper` names, in its official layout, of the world that ships as code.

python tests/tools/miniature.py DIR     # 5 MB, seconds; then: make reproduce PROFILE=paper DATA=DIR ARGS="…"
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from writers import write_badja

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
    write_badja(root / "BADJA")
    return root


if __name__ == "__main__":
    print(write_miniature(Path(sys.argv[1])))
