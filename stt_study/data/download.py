"""The data sets that can be fetched, or unpacked once they were fetched by hand, and put where our loaders look."""

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from filelock import FileLock, Timeout

from stt_study.data.archives import extract
from stt_study.data.check import Checked, check
from stt_study.data.sets import Archive, DataSet, SETS, published
from stt_core.errors import InputError
from stt_study.data.fetching import PAUSES, Resuming, fetch, record, recorded, verify
from stt_core.files import write_text

ARCHIVES = "archives"


def get(
    name: str,
    root: str | Path = "data",
    *,
    mirror: str = "",
    say: Callable[[str], None] = print,
    pauses: tuple[float, ...] = PAUSES,
) -> Checked:
    """Fetch a set below `root`, or take it out of the archive that lies in `root/archives`; then check it.

    What is there already is kept. A stopped call goes on where it was; the set appears whole or not at all. The
    archives stay, so that nothing is fetched twice.

    Args:
        mirror: another place for the archives: the address of the folder that has them.
        pauses: seconds before each further try after a cut connection.

    Raises:
        InputError: an unknown set, an archive that is not there yet, can't be fetched, has another hash or is broken.
    """
    if name not in SETS:
        raise InputError(f"'{name}' can't be had with stt data get; choose from {', '.join(SETS)}.")
    wanted, root = SETS[name], Path(root)
    folder, archives = root / wanted.folder, root / ARCHIVES
    if folder.exists():
        say(f"{folder} is there; delete it to get it anew.")
        return check(name, folder)
    say(f"{wanted.title}: {wanted.page} (terms: {wanted.terms})")
    archives.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(archives / f".{name}.lock", timeout=0):
            paths = [_at_hand(wanted, archive, archives, folder, mirror, say, pauses) for archive in wanted.archives]
            _unpack(wanted, paths, folder, say)
            # Not before all is unpacked: a server's apology, saved as .zip, must not become what is expected.
            for archive, path in zip(wanted.archives, paths, strict=True):
                if not archive.torchvision and path.name not in recorded(archives):
                    record(path)
    except Timeout:
        raise InputError(f"another stt data get {name} works in {root}; wait for its end.") from None
    return check(name, folder)


def _at_hand(
    wanted: DataSet,
    archive: Archive,
    archives: Path,
    folder: Path,
    mirror: str,
    say: Callable[[str], None],
    pauses: tuple[float, ...],
) -> Path:
    """The archive's path: fetched if need be, and of the right hash if one is known."""
    path = archives / archive.name
    sums = recorded(archives)
    known = published(archive) or (f"sha256:{sums[archive.name]}" if archive.name in sums else None)
    url = urljoin(mirror.rstrip("/") + "/", archive.name) if mirror else archive.url
    if path.is_file():
        if known:
            say(f"{path} is there; checking its hash.")
            verify(path, known)
    elif url:
        fetch(url, path, known, Resuming(path, archive.most_bytes, pauses))
    else:
        for i, step in enumerate((*wanted.steps, "Give the same command again."), start=1):
            say(f"{i}. {step.format(archives=archives, folder=folder)}")
        raise InputError(f"{path} is not there yet; follow the steps above.")
    return path


def _unpack(wanted: DataSet, paths: list[Path], folder: Path, say: Callable[[str], None]) -> None:
    """Put what the archives hold in `folder`."""
    staging = folder.parent / f".{folder.name}.unpacked"
    shutil.rmtree(staging, ignore_errors=True)  # of a killed run
    try:
        whole = staging / "whole"
        whole.mkdir(parents=True)
        for archive, path in zip(wanted.archives, paths, strict=True):
            say(f"unpacking {path}")
            extract(path, staging / "part", most_bytes=archive.most_bytes, nested=archive.nested)
            place = whole / archive.into
            place.mkdir(exist_ok=True)
            for child in _holder(staging / "part", archive, path).iterdir():
                child.replace(place / child.name)
            shutil.rmtree(staging / "part")
        if wanted.folder == "JHMDB":
            write_jhmdb_lists(whole)
        whole.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _holder(unpacked: Path, archive: Archive, path: Path) -> Path:
    """The folder that has `archive.holds`; archives differ in how many folders are around it."""
    for pattern in (".", "*", "*/*", "*/*/*"):
        for folder in [unpacked] if pattern == "." else sorted(unpacked.glob(pattern)):
            if (folder / archive.holds).is_dir():
                return folder
    raise InputError(f"{path} has no folder {archive.holds} in it, so it is not the one that is meant; get it anew.")


def write_jhmdb_lists(root: Path) -> None:
    """Write split 1 as lists of ours, out of JHMDB's `splits/<action>_test_split1.txt` (lines "<clip>.avi 1|2").

    `train_list.txt` has the clips labelled 1, `val_list.txt` those labelled 2, which are the test's.

    Raises:
        InputError: there is no such file, or a line is broken.
    """
    lines: dict[str, list[str]] = {"1": [], "2": []}
    for path in sorted((root / "splits").glob("*_test_split1.txt")):
        action = path.name.removesuffix("_test_split1.txt")
        for line in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
            clip, _, label = line.rpartition(" ")
            if label == "0":
                continue  # neither
            if label not in lines or not clip.strip():
                raise InputError(f"{path.name} in splits.zip: '{line}' is not '<clip>.avi 1' or 2; get it anew.")
            where = f"{action}/{clip.strip().removesuffix('.avi')}"
            lines[label].append(f"joint_positions/{where}/joint_positions.mat Rename_Images/{where}\n")
    if not lines["2"]:
        raise InputError("splits.zip has no test clips of split 1 (*_test_split1.txt); get it anew.")
    write_text(root / "train_list.txt", "".join(lines["1"]))
    write_text(root / "val_list.txt", "".join(lines["2"]))
