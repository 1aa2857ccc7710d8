"""Archives: what comes out is what went in, and what is hostile or broken leaves nothing behind."""

import io
import shutil
import stat
import struct
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from data_server import tarred, zipped

from stt_core.errors import InputError
from stt_study.data import archives
from stt_study.data.archives import extract

FILES = {"set/a.txt": b"alpha", "set/deep/b.bin": bytes(range(256)) * 40, "set/empty": b""}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, *words: str, **options: object) -> str:
    """Unpacking ends with one sentence that names the archive, and writes nothing at all."""
    before = sorted(archive.parent.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        extract(archive, archive.parent / "out", **({"most_bytes": 10**6} | options))
    message = str(caught.value)
    for word in (str(archive), *words):
        assert word in message
    assert "\n" not in message
    assert sorted(archive.parent.parent.rglob("*")) == before
    return message


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_contents(place: Path, name: str) -> None:
    (place / name).write_bytes(zipped(FILES) if name == "x.zip" else tarred(FILES, gz=name != "x.tar"))
    extract(place / name, place / "out", most_bytes=20_000)
    assert tree(place / "out") == FILES
    assert sorted(path.name for path in place.iterdir()) == ["out", name]
    with pytest.raises(FileExistsError, match="out is there already"):
        extract(place / name, place / "out", most_bytes=20_000)


def test_what_macos_adds_is_left_out(place: Path) -> None:
    own = {"__MACOSX/set/a.txt": b"x", "set/._a.txt": b"x", "set/.AppleDouble/a": b"x", "set/.DS_Store": b"x"}
    for name, content in (("x.zip", zipped(FILES | own)), ("x.tar", tarred(FILES | own))):
        (place / name).write_bytes(content)
        extract(place / name, place / name[2:], most_bytes=20_000)
        assert tree(place / name[2:]) == FILES


def test_tars_in_a_tar(place: Path) -> None:
    inner = {"n01.tar": tarred({"n01_1.JPEG": b"one", "n01_2.JPEG": b"two"}), "n02.tar": tarred({"n02_1.JPEG": b"3"})}
    (place / "x.tar").write_bytes(tarred(inner))
    extract(place / "x.tar", place / "nested", most_bytes=7, nested=True)
    assert tree(place / "nested") == {"n01/n01_1.JPEG": b"one", "n01/n01_2.JPEG": b"two", "n02/n02_1.JPEG": b"3"}
    extract(place / "x.tar", place / "flat", most_bytes=10**6)
    assert tree(place / "flat") == inner
    refused(place / "x.tar", "more than", most_bytes=6, nested=True)
    bad = {"n01.tar": inner["n01.tar"], "n02.tar": tarred({"../n01/evil": b"x"})}
    (place / "bad.tar").write_bytes(tarred(bad))
    refused(place / "bad.tar", "../n01/evil", nested=True)
    (place / "cut.tar").write_bytes(tarred({"n01.tar": inner["n01.tar"][:700]}))
    refused(place / "cut.tar", "cut off", nested=True)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "C:evil", "C:/evil", "..\\evil", "a\\b"])
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_paths_that_leave_the_folder(place: Path, name: str, kind: str) -> None:
    files = {"good": b"x", name: b"evil"}
    (place / kind).write_bytes(zipped(files) if kind == "x.zip" else tarred(files))
    refused(place / kind, repr(name), "outside")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(place: Path, kind: bytes) -> None:
    with tarfile.open(place / "x.tar", "w") as archive:
        info = tarfile.TarInfo("way")
        info.type, info.linkname = kind, str(place.parent)
        archive.addfile(info)
        inside = tarfile.TarInfo("way/evil")
        inside.size = 4
        archive.addfile(inside, io.BytesIO(b"evil"))
    refused(place / "x.tar", "way", "link")
    assert not (place.parent / "evil").exists()


def test_symlink_in_a_zip(place: Path) -> None:
    with zipfile.ZipFile(place / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("way")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(place.parent))
        archive.writestr("way/evil", "evil")
    refused(place / "x.zip", "way", "link")


def test_bomb_that_says_so(place: Path) -> None:
    for name, content in (
        ("x.zip", zipped({"big": bytes(10**6 + 1)})),
        ("x.tgz", tarred({"big": bytes(10**6 + 1)}, gz=True)),
    ):
        (place / name).write_bytes(content)
        assert len(content) < 10_000
        refused(place / name, "more than 1.0 MB")


def test_bomb_that_lies(place: Path) -> None:
    content = bytearray(zipped({"big": bytes(10**5)}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the size, unpacked, in both headers
        where = content.index(mark) + offset
        assert struct.unpack_from("<I", content, where) == (10**5,)
        struct.pack_into("<I", content, where, 10)
    (place / "x.zip").write_bytes(content)
    refused(place / "x.zip")


def test_file_that_changes_after_the_look(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "x.tar").write_bytes(tarred({"a": b"x"}))
    look = archives._look_through

    def then_change(*arguments: object) -> int:
        total = look(*arguments)
        (place / "x.tar").write_bytes(tarred({"a": b"x" * 5000}))
        return total

    monkeypatch.setattr(archives, "_look_through", then_change)
    refused(place / "x.tar", "larger than it says")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_cut_off(place: Path, name: str, share: float) -> None:
    noise = {f"{i}.bin": bytes((j * j * (i + 7)) % 251 for j in range(4000)) for i in range(4)}
    content = zipped(noise) if name == "x.zip" else tarred(noise, gz=name == "x.tgz")
    content = (
        content[: len(content) - 10240] if share == 0.97 and name == "x.tar" else content[: int(share * len(content))]
    )
    (place / name).write_bytes(content)
    refused(place / name, "anew")


def test_tar_cut_off_between_two_files(place: Path) -> None:
    (place / "x.tar").write_bytes(tarred({"a": b"x" * 512, "b": b"y" * 512})[:2048])  # both files, but no end
    refused(place / "x.tar", "end is missing")


def test_flipped_bit(place: Path) -> None:
    files = {"a.bin": bytes((j * j) % 251 for j in range(20_000))}
    for name, content in (("x.zip", zipped(files)), ("x.tgz", tarred(files, gz=True))):
        content = bytearray(content)
        content[len(content) // 2] ^= 16
        (place / name).write_bytes(content)
        refused(place / name, "broken")


def test_wrong_checksum_at_the_end_of_a_gzip(place: Path) -> None:
    content = bytearray(tarred(FILES, gz=True))
    content[-8] ^= 1  # of the CRC; every file would come out whole
    (place / "x.tgz").write_bytes(content)
    refused(place / "x.tgz", "broken")


def test_encrypted_and_unknown(place: Path) -> None:
    content = bytearray(zipped({"a": b"secret"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    (place / "x.zip").write_bytes(content)
    refused(place / "x.zip", "encrypted")
    (place / "page.zip").write_bytes(b"<html>Please log in</html>")
    refused(place / "page.zip", "broken")
    (place / "x.rar").write_bytes(b"Rar!")
    refused(place / "x.rar", ".zip, .tar, .tar.gz, .tgz")
    refused(place / "none.zip", "missing")


def test_too_little_disk(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "x.tar").write_bytes(tarred(FILES))
    usage = namedtuple("usage", "total used free")(10**9, 10**9, archives.SPARE + 10_244)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(place / "x.tar", "left; make room")  # the files have 10,245 bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=archives.SPARE + 10_245))
    extract(place / "x.tar", place / "out", most_bytes=10**6)


def test_leftovers_of_a_killed_run(place: Path) -> None:
    (place / ".out.partial").mkdir()
    (place / ".out.partial" / "half").write_bytes(b"x")
    (place / "x.tar").write_bytes(tarred(FILES))
    extract(place / "x.tar", place / "out", most_bytes=10**6)
    assert tree(place / "out") == FILES
    assert not (place / ".out.partial").exists()
