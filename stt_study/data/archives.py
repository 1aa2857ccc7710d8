"""Archives unpacked safely: looked through before anything is written, bounded in size, whole or not at all."""

import errno
import gzip
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from stt_core.errors import InputError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
CHUNK = 1 << 20  # bytes
SPARE = 64 << 20  # bytes of the disk that are left alone
BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, NotImplementedError, ValueError)


@dataclass(frozen=True)
class Member:
    """A file or a folder in an archive; `open` reads a file's bytes while the archive is at this member."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]] | None


def extract(archive: str | Path, folder: str | Path, *, most_bytes: int, nested: bool = False) -> None:
    """Unpack a zip, tar or tar.gz as `folder`, which appears whole or not at all.

    All is looked at before anything is written. Links of any kind are refused: none of the data sets needs one, and one
    that leads out of the folder would let a later member be written anywhere. What macOS leaves behind (`__MACOSX`,
    `.AppleDouble`, `._*`, `.DS_Store`) is left out: `._00001.png` is no frame. Owners, rights and times aren't kept.

    Args:
        folder: must not exist. Its parts are gathered in `.<name>.partial` beside it; that of a killed run is deleted.
        most_bytes: the largest sum of the files' sizes, as declared and as written.
        nested: a `<name>.tar` inside a tar becomes a folder `<name>`; it is read where it lies, so no copy is made.

    Raises:
        InputError: a broken, encrypted or hostile archive, one larger than `most_bytes`, or too little disk.
        FileExistsError: `folder` is there.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; delete it to unpack {archive.name} anew.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        total = _look_through(archive, nested, most_bytes)
        free = shutil.disk_usage(folder.parent).free
        if total + SPARE > free:
            raise InputError(
                f"{archive} unpacks to {_size(total)}, but {folder.parent} has {_size(free)} left; make room there."
            )
        partial.mkdir()
        with tqdm(total=total, desc=f"unpack {archive.name}", unit="B", unit_scale=True, disable=None) as bar:
            left = total  # no more may be written than was looked at: sizes can lie, and a file can change
            for member in _members(archive, nested):
                left -= _write(member, partial, left, bar.update, archive)
        partial.replace(folder)
    except OSError as error:
        if error.filename == str(archive) and isinstance(error, FileNotFoundError):
            raise InputError(f"{archive} is missing.") from None
        # What the archive holds may make its reader look before its beginning, which has no file's name.
        if error.filename is not None or error.errno not in (None, errno.EINVAL):
            raise
        raise InputError(f"{archive} is broken or cut off ({error}); delete it and get it anew.") from None
    except BROKEN as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{archive} is broken or cut off ({error}); delete it and get it anew.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _look_through(archive: Path, nested: bool, most_bytes: int) -> int:
    """The sum of the files' declared sizes, after a look at every member."""
    total = 0
    for member in _members(archive, nested):
        total += member.size
        if total > most_bytes:
            raise InputError(f"{archive} unpacks to more than {_size(most_bytes)}, so it is not what it should be.")
    return total


def _write(member: Member, folder: Path, left: int, update: Callable[[int], object], archive: Path) -> int:
    """Write one member, at most `left` bytes and no more than it says; return how many."""
    path = folder / member.path
    if member.open is None:
        path.mkdir(parents=True, exist_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with member.open() as source, path.open("wb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > min(member.size, left):
                raise InputError(
                    f"{archive}: {member.path} is larger than it says; delete the archive, do not trust it."
                )
            file.write(chunk)
            update(len(chunk))
    if written != member.size:
        raise InputError(f"{archive} is cut off in {member.path}; delete it and get it anew.")
    return written


def _members(archive: Path, nested: bool) -> Iterator[Member]:
    """The files and folders of an archive, in its order, without macOS's own.

    Raises:
        InputError: a path that leaves the folder, a link or a device, an encrypted file, an unknown kind of archive.
    """
    if not archive.name.lower().endswith(ENDINGS):
        raise InputError(f"{archive} is none of {', '.join(ENDINGS)}; give one of these.")
    zipped = archive.suffix.lower() == ".zip"
    for member in _zipped(archive) if zipped else _tarred(archive, nested):
        own = any(part in ("__MACOSX", ".AppleDouble", ".DS_Store") or part[:2] == "._" for part in member.path.parts)
        if not own:
            yield member


def _zipped(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            path = _inside(info.orig_filename, archive)  # as stored; `filename` ends at a NUL
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"{archive}: {path} is a link or a device, which no data set needs; do not trust it.")
            if info.flag_bits & 1:
                raise InputError(f"{archive}: {path} is encrypted; get an archive without a password.")
            if info.is_dir():
                yield Member(path, 0, None)
            else:
                yield Member(path, info.file_size, lambda info=info: file.open(info))


def _tarred(archive: Path, nested: bool) -> Iterator[Member]:
    with tarfile.open(archive, "r:" if archive.suffix.lower() == ".tar" else "r:gz") as file:
        for info, member in _tar_members(file, archive):
            if not (nested and info.isreg() and info.name.endswith(".tar")):
                yield member
                continue
            # An inner tar is read inside of the outer one.
            with ExitStack() as stack:
                inner = stack.enter_context(tarfile.open(fileobj=stack.enter_context(member.open()), mode="r:"))
                for _, part in _tar_members(inner, archive):
                    yield Member(member.path.with_suffix("") / part.path, part.size, part.open)
        # A tar that was cut off between two files, or a gzip's checksum, would go unnoticed.
        stream = file.fileobj
        stream.seek(file.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0") or stream.tell() < file.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        for _ in range(CHUNK):
            if not stream.read(CHUNK):
                return


def _tar_members(file: tarfile.TarFile, archive: Path) -> Iterator[tuple[tarfile.TarInfo, Member]]:
    for info in file:
        if info.isdir() and PurePosixPath(info.name) == PurePosixPath("."):
            continue  # "tar c ." has it
        path = _inside(info.name, archive)
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise InputError(f"{archive}: {path} is a link or a device, which no data set needs; do not trust it.")
        yield (
            info,
            Member(path, 0, None) if info.isdir() else Member(path, info.size, lambda i=info: file.extractfile(i)),
        )


def _inside(name: str, archive: Path) -> PurePosixPath:
    """The path of a member, which stays in the folder on any system."""
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or re.match("[A-Za-z]:", name)
    if outside or not path.parts or "\0" in name:
        raise InputError(f"{archive}: {name!r} would be written outside of its folder; do not trust this archive.")
    return path


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
