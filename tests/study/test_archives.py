"""Archives: what comes out is what went in, and what is hostile or broken is refused with one sentence."""

import errno
import io
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from data_server import tarred, zipped

from stt_core.errors import InputError
from stt_study.data import download
from stt_study.data.download import extract

FILES = {"set/a.txt": b"alpha", "set/deep/b.bin": bytes(range(256)) * 40, "set/empty": b""}


def refused(archive: Path, *words: str) -> None:
    """Unpacking ends with one sentence that names the archive, and writes nothing outside of the folder."""
    shutil.rmtree(archive.parent / "out", ignore_errors=True)
    before = sorted(archive.parent.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        extract(archive, archive.parent / "out")
    for word in (str(archive), "can't be unpacked", *words):
        assert word in str(caught.value)
    assert [path for path in sorted(archive.parent.parent.rglob("*")) if "out" not in path.parts] == before


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_contents(place: Path, name: str) -> None:
    (place / name).write_bytes(zipped(FILES) if name == "x.zip" else tarred(FILES, gz=name != "x.tar"))
    extract(place / name, place / "out")
    found = {path.relative_to(place / "out").as_posix(): path for path in (place / "out").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil"])
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_paths_that_leave_the_folder(place: Path, name: str, kind: str) -> None:
    files = {"good": b"x", name: b"evil"}
    (place / kind).write_bytes(zipped(files) if kind == "x.zip" else tarred(files))
    refused(place / kind, repr(name), "outside")
    assert not (place / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(place: Path, kind: bytes) -> None:
    with tarfile.open(place / "x.tar", "w") as archive:
        info = tarfile.TarInfo("way")
        info.type, info.linkname = kind, str(place.parent)
        archive.addfile(info)
        inside = tarfile.TarInfo("way/evil")
        inside.size = 4
        archive.addfile(inside, io.BytesIO(b"evil"))
    refused(place / "x.tar", "way")


def test_symlink_in_a_zip(place: Path) -> None:
    with zipfile.ZipFile(place / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("way")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(place.parent))
        archive.writestr("way/evil", "evil")
    refused(place / "x.zip", "way", "link")


def test_bombs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GB at least may be in it; more must not be more than 20 times the archive's size."""
    for name, content in (("x.zip", zipped({"big": bytes(10**6)})), ("x.tgz", tarred({"big": bytes(10**6)}, gz=True))):
        (place / name).write_bytes(content)
        assert len(content) < 10_000
        extract(place / name, place / name[2:])
        monkeypatch.setattr(download, "GB", 10**6 - 1)
        refused(place / name, "larger")
        monkeypatch.undo()


def test_bomb_that_lies(place: Path) -> None:
    content = bytearray(zipped({"big": bytes(10**5)}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the size, unpacked, in both headers
        where = content.index(mark) + offset
        assert struct.unpack_from("<I", content, where) == (10**5,)
        struct.pack_into("<I", content, where, 10)
    (place / "x.zip").write_bytes(content)
    refused(place / "x.zip")
    assert (place / "out" / "big").stat().st_size <= 10


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_cut_off(place: Path, name: str, share: float) -> None:
    noise = {f"{i}.bin": bytes((j * j * (i + 7)) % 251 for j in range(4000)) for i in range(4)}
    content = zipped(noise) if name == "x.zip" else tarred(noise, gz=name == "x.tgz")
    whole = 4 * (512 + 4096) if name == "x.tar" else len(content)  # without what fills a tar up
    (place / name).write_bytes(content[: int(share * whole)])
    refused(place / name, "anew")


def test_damaged(place: Path) -> None:
    files = {"a.bin": bytes((j * j) % 251 for j in range(20_000))}
    for name, content, at in (
        ("x.zip", zipped(files), 0.5),
        ("x.tgz", tarred(files, gz=True), 0.5),
        ("y.tgz", tarred(files, gz=True), 1),  # of the checksum; every file would come out whole
    ):
        content = bytearray(content)
        content[int(at * (len(content) - 8))] ^= 16
        (place / name).write_bytes(content)
        refused(place / name)


def test_encrypted_and_unknown(place: Path) -> None:
    content = bytearray(zipped({"a": b"secret"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    (place / "x.zip").write_bytes(content)
    refused(place / "x.zip", "encrypted")
    for name in ("page.zip", "page.tgz"):
        (place / name).write_bytes(b"<html>Please log in</html>")
        refused(place / name)


def test_full_disk_is_no_fault_of_the_archive(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (place / "x.zip").write_bytes(zipped(FILES))
    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(OSError, match="No space left"):
        extract(place / "x.zip", place / "out")
