"""`stt data`: make the world that ships as code, get a real data set, or check one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from stt_core.errors import InputError

if TYPE_CHECKING:  # it takes seconds to import, and stt --help has no use for it
    from stt_study.data.check import Checked

SHOWN = 50  # problems that are printed


def data(
    action: Annotated[Literal["synthetic", "get", "check"], tyro.conf.Positional],
    name: Annotated[str, tyro.conf.Positional] = "",
    folder: Annotated[Path | None, tyro.conf.Positional] = None,
    *,
    root: Path | None = None,
    mirror: str = "",
    every: bool = False,
) -> None:
    """Make, get or check data: stt data synthetic; stt data get SET; stt data check SET FOLDER.

    Args:
        action: make the world that ships as code, get a real data set, or check one that is there.
        name: get: davis, imagenette, jhmdb (downloaded), vip, youtube-vos, imagenet (steps to take by hand, then
            unpacked). check: these, badja, or videos (any folder of frame folders and video files).
        folder: check: the data set's folder.
        root: the folder to write, data/synthetic or data if not given; what is complete there is kept.
        mirror: get: address of a folder that has the archives, in place of their official one.
        every: check: decode every picture, not a sample of 200.
    """
    given = {"a set": name, "a folder": folder, "--root": root, "--mirror": mirror, "--every": every}
    belongs = {
        "synthetic": ("--root",),
        "get": ("a set", "--root", "--mirror"),
        "check": ("a set", "a folder", "--every"),
    }
    for what, value in given.items():
        if value and what not in belongs[action]:
            raise InputError(f"stt data {action} takes {', '.join(belongs[action])}, but not {what} ({value}).")
    if action == "synthetic":
        _synthetic(root or Path("data/synthetic"))
    elif action == "get":
        from stt_study.data.download import get

        _say(get(name, root or Path("data"), mirror=mirror))
    else:
        from stt_study.data.check import check

        if folder is None:
            raise InputError("stt data check takes a set and its folder, as in: stt data check davis data/DAVIS")
        _say(check(name, folder, every=every))


def _synthetic(root: Path) -> None:
    from tqdm import tqdm

    from stt_study.world.synthetic import write_world

    with tqdm(desc="videos and classes of images", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update()

        write_world(root, progress=progress)
    print(root)


def _say(checked: "Checked") -> None:
    """Print what was found; exit with 2 if anything is wrong."""
    print(f"{checked.folder}: " + ", ".join(f"{what} {number:,}" for what, number in checked.counts.items()))
    for note in checked.notes:
        print(note)
    for problem in checked.problems[:SHOWN]:
        print(problem, file=sys.stderr)
    if len(checked.problems) > SHOWN:
        print(f"and {len(checked.problems) - SHOWN:,} more", file=sys.stderr)
    if checked.problems:
        raise InputError(f"{checked.folder} has problems ({len(checked.problems):,}); mend them, or get it anew.")
    print("no problems")
