"""`stt data`: make the world that ships as code, get a real data set, or check one."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from stt_core.errors import InputError

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
    takes = {"synthetic": "--root", "get": "a set, --root, --mirror", "check": "a set, a folder, --every"}[action]
    for what, value in given.items():
        if value and what not in takes.split(", "):
            raise InputError(f"stt data {action} takes {takes}, but not {what} ({value}).")
    # Imported where they are needed: they take seconds, and stt --help has no use for them.
    if action == "synthetic":
        from stt_study.world.synthetic import write_world

        print(write_world(root or Path("data/synthetic")))
        return
    if action == "get":
        from stt_study.data.download import get

        checked = get(name, root or Path("data"), mirror=mirror)
    elif folder is None:
        raise InputError("stt data check takes a set and its folder, as in: stt data check davis data/DAVIS.")
    else:
        from stt_study.data.check import check

        checked = check(name, folder, every=every)
    print(f"{checked.folder}: " + ", ".join(f"{what} {number:,}" for what, number in checked.counts.items()))
    print(*checked.notes, sep="\n", end="\n" if checked.notes else "")
    problems = len(checked.problems)
    if problems:
        print(*checked.problems[:SHOWN], sep="\n", file=sys.stderr)
        more = f"; {problems - SHOWN:,} more are not shown" if problems > SHOWN else ""
        raise InputError(f"{checked.folder} has problems ({problems:,}{more}); fix them, or get it anew.")
    print("no problems")
