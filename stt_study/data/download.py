"""Data sets fetched over HTTP, or taken out of archives that were fetched by hand, and put where the readers look."""

import errno
import hashlib
import shutil
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from stt_core.errors import InputError
from stt_core.files import write_text
from stt_study.data.check import Checked, check
from stt_study.store import only_writer

GB = 10**9  # bytes
PAUSES = (1, 3, 10, 30, 60)  # seconds before the second, third … try
PIECE = 1 << 16  # bytes read at once, and lost at most where a connection is cut
TIMEOUT = (20, 60)  # seconds: to connect, to wait for bytes


@dataclass(frozen=True)
class DataSet:
    """A data set that can be had: downloaded from `url`, or unpacked once its archive was fetched by hand."""

    page: str  # what it is, its official page, what to fetch there, its terms
    folder: str  # below the root
    archives: dict[str, str]  # file name -> what is in it, by which the set's own folder is told from those around it
    url: str = ""  # address of the folder that has the archives; none where one has to register
    md5: str | None = None  # published (torchvision has them)
    into: str = ""  # folder of the set that the archives' content goes to


SETS = {
    "davis": DataSet(
        "DAVIS-2017 TrainVal, 480p: https://davischallenge.org/davis2017/code.html (terms: CC BY-NC 4.0)",
        "DAVIS",
        {"DAVIS-2017-trainval-480p.zip": "JPEGImages/480p"},
        "https://data.vision.ee.ethz.ch/csergi/share/davis/",
    ),
    "imagenette": DataSet(
        "Imagenette, 160 px: https://github.com/fastai/imagenette (terms: Apache-2.0; the images are ImageNet's)",
        "imagenette2-160",
        {"imagenette2-160.tgz": "train"},
        "https://s3.amazonaws.com/fast-ai-imageclas/",
        "e793b78cc4c9e9a4ccc0c1155377a412",
    ),
    "jhmdb": DataSet(
        "JHMDB, split 1: http://jhmdb.is.tue.mpg.de (terms: research)",
        "JHMDB",
        {n: n.split(".")[0] for n in ("Rename_Images.tar.gz", "joint_positions.zip", "splits.zip")},
        "http://files.is.tue.mpg.de/jhmdb/",
    ),
    "vip": DataSet(
        "VIP, its folder VIP_Fine with Images, Annotations and lists: http://sysu-hcp.net/lip/ (on request; research)",
        "VIP_Fine",
        {"VIP_Fine.zip": "lists"},
    ),
    "youtube-vos": DataSet(
        "YouTube-VOS 2018 or 2019, train.zip, every fifth frame, not train_all_frames.zip: "
        "https://youtube-vos.org/dataset/vos/ (registration; terms: CC BY 4.0 for the annotations; research)",
        "youtube-vos",
        {"train.zip": "train/JPEGImages"},
    ),
    "imagenet": DataSet(
        "ImageNet 2012, training images (Task 1 & 2), 138 GB, and as much again to unpack them: "
        "https://image-net.org/download-images.php (registration; terms: research, not commercial)",
        "imagenet",
        {"ILSVRC2012_img_train.tar": "n*"},
        md5="1d675b47d978889d74fa0da5fadfb00e",
        into="train",
    ),
}


def get(name: str, root: str | Path = "data", *, mirror: str = "") -> Checked:
    """Fetch a set below `root`, or out of the archive in `root/archives`, and check it; `mirror`: another address.

    What is there already is kept. A stopped call goes on where it was; the set appears whole or not at all.
    """
    if name not in SETS:
        raise InputError(f"'{name}' can't be had with stt data get; choose from {', '.join(SETS)}.")
    wanted, root = SETS[name], Path(root)
    folder, archives, staging = root / wanted.folder, root / "archives", root / f".{wanted.folder}.unpacked"
    if folder.exists():
        print(f"{folder} is there; delete it to get it anew.")
        return check(name, folder)
    print(wanted.page)
    with only_writer(archives / f".{name}", patience=0):
        shutil.rmtree(staging, ignore_errors=True)  # of a killed run
        try:
            for file in wanted.archives:
                _at_hand(archives / file, wanted, mirror or wanted.url)
            for file, holds in wanted.archives.items():
                print(f"unpacking {archives / file}")
                _gather(archives / file, holds, staging / "part", staging / "whole" / wanted.into)
            if name == "jhmdb":
                _write_jhmdb_lists(staging / "whole")
            (staging / "whole").replace(folder)
        except OSError as error:
            error.filename = error.filename or str(root)  # a full disk names nothing
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return check(name, folder)


def _at_hand(path: Path, wanted: DataSet, place: str) -> None:
    """See to it that an archive is there, and of the right hash if one is known."""
    if path.is_file():
        if wanted.md5 and wanted.md5 != _md5(path):
            raise InputError(f"{path} has another hash than {wanted.md5}; delete it to get it anew.")
    elif place:
        fetch(f"{place.rstrip('/')}/{path.name}", path, wanted.md5)
    else:
        raise InputError(f"{path} is not there yet; get it from the page above, and give the same command again.")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def fetch(url: str, path: Path, md5: str | None = None) -> None:
    """Fetch `url` to `path`; of another hash than `md5` it never gets there. A new call goes on with `<file>.part`."""
    part = path.with_name(f"{path.name}.part")
    for pause in (*PAUSES, None):
        try:
            _attempt(url, part)
            break
        except requests.RequestException as error:
            status = 0 if error.response is None else error.response.status_code
            if pause is None or isinstance(error, ValueError) or status in range(400, 408):
                reason = f"the server says {status}" if status else error
                fix = "give the same command again, which goes on from there, or another --mirror"
                raise InputError(f"{url} could not be fetched ({reason}); {fix}.") from None
            print(f"{url} was not fetched; again in {pause} s", flush=True)
            time.sleep(pause)
    if md5 and md5 != _md5(part):
        part.unlink()
        raise InputError(f"{url} has another hash than {md5}, so it was deleted; try another --mirror.")
    part.replace(path)


def _attempt(url: str, part: Path) -> None:
    """Bring `part` to its end in one request; RequestException where another may go on."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        partial = answer.status_code == 206
        if answer.status_code == 416:  # the file there is no longer than what is here, and may be another
            part.unlink()
        answer.raise_for_status()
        have *= partial
        total = have + int(answer.headers.get("Content-Length", 0))
        how = {"desc": part.stem, "unit": "B", "unit_scale": True, "disable": None}
        with part.open("ab" if partial else "wb") as file, tqdm(total=total, initial=have, **how) as bar:
            for chunk in answer.iter_content(PIECE):
                file.write(chunk)
                bar.update(len(chunk))


def _gather(path: Path, holds: str, part: Path, place: Path) -> None:
    """Unpack an archive as `part`, and move what lies beside `holds` in it to `place`."""
    extract(path, part)
    for inner in tqdm(sorted(part.glob("*.tar")), desc="unpack classes", disable=None):  # of ImageNet
        extract(inner, inner.with_suffix(""))
        inner.unlink()
    found = (found for found in part.rglob(holds) if found.is_dir() and "__MACOSX" not in found.parts)
    inside = next(found, None)  # archives differ in how many folders are around it
    if inside is None:
        raise InputError(f"{path} has no folder {holds} in it, so it is not the one that is meant; get it anew.")
    place.mkdir(parents=True, exist_ok=True)
    for child in inside.parents[holds.count("/")].iterdir():
        child.replace(place / child.name)
    shutil.rmtree(part)


def extract(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar as `folder`; InputError if it is broken, leads out of it or grows over 20-fold (and 1 GB)."""
    zipped = archive.suffix == ".zip"
    try:
        with zipfile.ZipFile(archive) if zipped else tarfile.open(archive) as file:
            sizes = [member.file_size for member in file.infolist()] if zipped else [member.size for member in file]
            if sum(sizes) > max(GB, 20 * archive.stat().st_size):
                raise ValueError("its files are larger than they can be")
            if zipped:
                file.extractall(folder)  # which drops the parts of a path that lead out, and makes no links
            else:
                while file.fileobj.read(PIECE):
                    pass  # to a gzip's checksum
                file.extractall(folder, filter="data")
    except Exception as error:  # broken bytes raise nearly every kind: IndexError, zlib.error, EINVAL, …
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise InputError(f"{archive} can't be unpacked ({error}); delete it and get it anew.") from None


def _write_jhmdb_lists(root: Path) -> None:
    """Write lists of split 1, out of `splits/<action>_test_split1.txt`: lines "<clip>.avi", 1 (train) or 2 (test)."""
    lists = {"1": "", "2": ""}
    for path in sorted((root / "splits").glob("*_test_split1.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            clip, _, label = line.strip().rpartition(".avi ")
            where = f"{path.name.removesuffix('_test_split1.txt')}/{clip}"
            if label in lists:
                lists[label] += f"joint_positions/{where}/joint_positions.mat Rename_Images/{where}\n"
    if not lists["2"]:
        raise InputError("splits.zip has no test clips of split 1 (*_test_split1.txt); get it anew.")
    write_text(root / "train_list.txt", lists["1"])
    write_text(root / "val_list.txt", lists["2"])
