"""Archives: what comes out is what went in, nothing lands beside it, and what is broken is refused."""

import errno
import shutil
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
NOISE = {f"{i}.bin": bytes((j * j * (i + 7)) % 251 for j in range(4000)) for i in range(4)}


def packed(name: str, files: dict[str, bytes]) -> bytes:
    return zipped(files) if name == "x.zip" else tarred(files, gz=name != "x.tar")


def beside(archive: Path) -> list[Path]:
    return [path for path in sorted(archive.parent.parent.rglob("*")) if "out" not in path.parts]


def refused(archive: Path, *words: str) -> None:
    """Unpacking ends with one sentence that names the archive, and writes nothing outside of the folder."""
    shutil.rmtree(archive.parent / "out", ignore_errors=True)
    before = beside(archive)
    with pytest.raises(InputError) as caught:
        extract(archive, archive.parent / "out")
    for word in (str(archive), "can't be unpacked", *words):
        assert word in str(caught.value)
    assert beside(archive) == before


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_contents(place: Path, name: str) -> None:
    (place / name).write_bytes(packed(name, FILES))
    extract(place / name, place / "out")
    found = {path.relative_to(place / "out").as_posix(): path for path in (place / "out").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil-of-an-archive"])
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_nothing_is_written_beside_the_folder(place: Path, name: str, kind: str) -> None:
    (place / kind).write_bytes(packed(kind, {"good": b"x", name: b"evil"}))
    if kind == "x.tar" and name.startswith(("..", "a/")):
        refused(place / kind, "outside")
        return
    before = beside(place / kind)
    extract(place / kind, place / "out")
    assert beside(place / kind) == before
    assert not Path("/tmp/evil-of-an-archive").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(place: Path, kind: bytes) -> None:
    with tarfile.open(place / "x.tar", "w") as archive:
        info = tarfile.TarInfo("way")
        info.type, info.linkname = kind, str(place.parent)
        archive.addfile(info)
    refused(place / "x.tar", "way")


def test_bombs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GB at least may be in it; more must not be more than 20 times the archive's size."""
    for name in ("x.zip", "x.tgz"):
        (place / name).write_bytes(packed(name, {"big": bytes(10**6)}))
        extract(place / name, place / name[2:])
        monkeypatch.setattr(download, "GB", 10**6 - 1)
        refused(place / name, "larger")
        monkeypatch.undo()
    content = bytearray(zipped({"big": bytes(10**5)}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the size, unpacked, in both headers: a lie
        struct.pack_into("<I", content, content.index(mark) + offset, 10)
    (place / "y.zip").write_bytes(content)
    refused(place / "y.zip")
    assert (place / "out" / "big").stat().st_size <= 10


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_cut_off(place: Path, name: str, share: float) -> None:
    content = packed(name, NOISE)
    whole = 4 * (512 + 4096) if name == "x.tar" else len(content)  # without what fills a tar up
    (place / name).write_bytes(content[: int(share * whole)])
    refused(place / name, "anew")


@pytest.mark.parametrize(("name", "at"), [("x.zip", 0.5), ("x.tgz", 0.5), ("x.tgz", 1)])
def test_damaged(place: Path, name: str, at: float) -> None:
    """In the middle, or in the gzip's checksum: there, every file would come out whole."""
    content = bytearray(packed(name, NOISE))
    content[int(at * (len(content) - 8))] ^= 16
    (place / name).write_bytes(content)
    refused(place / name)


def test_full_disk_is_no_fault_of_the_archive(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (place / "x.zip").write_bytes(zipped(FILES))
    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(OSError, match="No space left"):
        extract(place / "x.zip", place / "out")
