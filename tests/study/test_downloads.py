"""Data sets fetched from a server on the loopback, through cuts and lies, unpacked, and opened with our own readers."""

import errno
import hashlib
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answers import Shell, assert_refused
from data_server import Server, davis_files, imagenette_files, jhmdb_archives, jpeg, tarred, youtube_files, zipped
from torchvision.datasets import Imagenette
from torchvision.datasets.imagenet import ARCHIVE_META

from stt_core.errors import InputError
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_study.benchmarks.davis import davis_sequences
from stt_study.benchmarks.jhmdb import jhmdb_clips
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.data import download
from stt_study.data.download import PIECE, SETS, extract, fetch, get

NOISE = np.random.default_rng(0).integers(0, 256, 500_000, dtype=np.uint8).tobytes()
DAVIS = "DAVIS-2017-trainval-480p.zip"


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; none takes time."""
    pauses: list[float] = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    monkeypatch.setattr(download, "PAUSES", (1, 2, 4))
    return pauses


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


def test_goes_on_after_cuts(server: Server, tmp_path: Path, slept: list[float]) -> None:
    """In one call as long as there are tries left, and in the next one."""
    server.files["x.bin"], server.cuts = NOISE, [3 * PIECE + 9, PIECE + 1]
    fetch(server.url + "x.bin", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == NOISE
    assert server.asked == [("x.bin", None), ("x.bin", f"bytes={3 * PIECE}-"), ("x.bin", f"bytes={4 * PIECE}-")]
    assert slept == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]
    server.files["y.bin"], server.cuts = NOISE, [PIECE] * 4
    with pytest.raises(InputError, match=r"y\.bin could not be fetched .* same command again, which goes on"):
        fetch(server.url + "y.bin", tmp_path / "y.bin")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.bin", "y.bin.part"]
    fetch(server.url + "y.bin", tmp_path / "y.bin")
    assert (tmp_path / "y.bin").read_bytes() == NOISE
    assert server.asked[-1] == ("y.bin", f"bytes={4 * PIECE}-")


def test_starts_anew_where_it_must(server: Server, tmp_path: Path) -> None:
    """A server without ranges; a file that has become shorter than what is here."""
    server.files["x.bin"], server.cuts, server.ranges = NOISE, [200_000], False
    fetch(server.url + "x.bin", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == NOISE
    server.files["y.bin"], server.ranges = NOISE[:90_000], True
    (tmp_path / "y.bin.part").write_bytes(NOISE[::-1])
    fetch(server.url + "y.bin", tmp_path / "y.bin")
    assert (tmp_path / "y.bin").read_bytes() == NOISE[:90_000]


def test_statuses_and_addresses(server: Server, tmp_path: Path, slept: list[float]) -> None:
    with pytest.raises(InputError, match=r"x\.bin could not be fetched \(the server says 404\)"):
        fetch(server.url + "x.bin", tmp_path / "x.bin")
    assert (len(server.asked), slept) == (1, [])
    server.files["x.bin"], server.statuses = NOISE, [503, 429]
    fetch(server.url + "x.bin", tmp_path / "x.bin")
    assert slept == [1, 2]
    server.close()
    for url in (server.url, "no-scheme/"):
        with pytest.raises(InputError, match=r"could not be fetched .* another --mirror"):
            fetch(url + "y.bin", tmp_path / "y.bin")
    assert slept == [1, 2, 1, 2, 4]  # nobody answers, which may pass; the other is no address


def test_wrong_hash(server: Server, tmp_path: Path) -> None:
    server.files |= {"x.bin": NOISE, "y.bin": NOISE[:-1] + b"!"}
    known = hashlib.md5(NOISE).hexdigest()
    fetch(server.url + "x.bin", tmp_path / "x.bin", known)
    (tmp_path / "x.bin").unlink()
    with pytest.raises(InputError, match=rf"y\.bin has another hash than {known}, so it was deleted"):
        fetch(server.url + "y.bin", tmp_path / "y.bin", known)
    assert not any(tmp_path.iterdir())


def test_davis(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    server.files[DAVIS] = zipped(davis_files() | {"__MACOSX/DAVIS/JPEGImages/480p/._bear": b"of macOS"})
    (tmp_path / ".DAVIS.unpacked" / "part").mkdir(parents=True)  # of a killed run
    (tmp_path / ".DAVIS.unpacked" / "part" / "half.jpg").write_bytes(b"half")
    checked = get("davis", tmp_path, mirror=server.url)
    assert checked.counts == {"frames": 9, "annotations": 9, "sequences": 3, "decoded": 18}
    assert checked.problems == []
    assert checked.notes == ["1 of the official 30 sequences of val.", "2 of the official 60 sequences of train."]
    (sequence,) = davis_sequences(tmp_path / "DAVIS")
    assert sequence.name == "cows"
    assert read_sequence_mask(sequence, 2).sum() == 8 * 14
    assert len(FramePairs(tmp_path / "DAVIS", size=16)) == 2 * 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["DAVIS", "archives"]
    assert "terms: CC BY-NC" in capsys.readouterr().out

    (tmp_path / "DAVIS" / "Annotations" / "480p" / "cows" / "00001.png").unlink()
    (problem,) = get("davis", tmp_path, mirror=server.url).problems  # what is there is kept, and checked
    assert "00001.png is missing" in problem
    assert "is there; delete it" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_page_in_place_of_an_archive(server: Server, tmp_path: Path) -> None:
    for content, says in (
        (b"<html>We are sorry</html>", "can't be unpacked"),
        (zipped({"else/a.txt": b"x"}), "no folder JPEGImages/480p"),
    ):
        server.files[DAVIS] = content
        with pytest.raises(InputError, match=says):
            get("davis", tmp_path, mirror=server.url)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["archives"]
        (tmp_path / "archives" / DAVIS).unlink()


def published(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    monkeypatch.setitem(SETS, name, replace(SETS[name], md5=hashlib.md5(content).hexdigest()))


def test_imagenette_has_a_published_hash(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SETS["imagenette"].md5 == Imagenette._ARCHIVES["160px"][1]
    assert SETS["imagenet"].md5 == ARCHIVE_META["train"][1]
    content = tarred(imagenette_files(), gz=True)
    server.files["imagenette2-160.tgz"] = content
    with pytest.raises(InputError, match="another hash than e793b78cc4c9"):
        get("imagenette", tmp_path, mirror=server.url)
    published(monkeypatch, "imagenette", content)
    checked = get("imagenette", tmp_path, mirror=server.url)
    assert checked.counts == {"images": 4, "classes": 2, "decoded": 4}
    assert "4 of the official 9,469 images." in checked.notes
    assert len(Images(tmp_path / "imagenette2-160", load_size=24)) == 4


def test_jhmdb_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.files |= jhmdb_archives()
    splits = server.files.pop("splits.zip")
    with pytest.raises(InputError, match=r"splits\.zip could not be fetched"):
        get("jhmdb", tmp_path, mirror=server.url)
    server.files["splits.zip"] = zipped({"splits/catch_test_split1.txt": b"clip.avi 1\n"})
    with pytest.raises(InputError, match="no test clips"):
        get("jhmdb", tmp_path, mirror=server.url)
    assert not (tmp_path / "JHMDB").exists()
    (tmp_path / "archives" / "splits.zip").unlink()
    server.files["splits.zip"] = splits
    checked = get("jhmdb", tmp_path, mirror=server.url)
    assert [name for name, _ in server.asked].count("Rename_Images.tar.gz") == 1
    assert checked.problems == []
    assert checked.counts == {"frames": 12, "clips": 4, "decoded": 12}
    assert "2 of the official 268 clips of val." in checked.notes
    clips = jhmdb_clips(tmp_path / "JHMDB")
    assert [clip.name for clip in clips] == ["catch/one_#1", "pour/one_#1"]
    assert [clip.joints.shape for clip in clips] == [(3, 15, 2)] * 2
    assert np.all(clips[0].joints == 4)  # the file counts from 1
    assert [clip.name for clip in jhmdb_clips(tmp_path / "JHMDB", "train")] == ["catch/two", "pour/two"]


def test_sets_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(InputError, match=r"archives.train\.zip is not there yet"):
        get("youtube-vos", tmp_path)
    assert "train.zip, every fifth frame" in capsys.readouterr().out
    (tmp_path / "archives").mkdir(exist_ok=True)
    (tmp_path / "archives" / "train.zip").write_bytes(zipped(youtube_files()))
    assert get("youtube-vos", tmp_path).counts == {"frames": 6, "videos": 2, "decoded": 6}
    assert len(FramePairs(tmp_path / "youtube-vos", size=16)) == 4

    content = tarred({f"{w}.tar": tarred({f"{w}_{i}.JPEG": jpeg() for i in range(3)}) for w in ("n01", "n02")})
    (tmp_path / "archives" / "ILSVRC2012_img_train.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"another hash than 1d675b47d978.*; delete it"):
        get("imagenet", tmp_path)
    published(monkeypatch, "imagenet", content)
    assert get("imagenet", tmp_path).counts == {"images": 6, "classes": 2, "decoded": 6}
    assert (tmp_path / "imagenet" / "train" / "n02" / "n02_2.JPEG").read_bytes() == jpeg()
    assert not list((tmp_path / "imagenet").rglob("*.tar"))


def test_command(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.chdir(tmp_path)
    server.files[DAVIS] = zipped(davis_files())
    code, output, error, _ = shell("data", "get", "davis", "--mirror", server.url)
    assert (code, error) == (0, "")
    assert "data/DAVIS: frames 9, annotations 9, sequences 3, decoded 18" in output
    assert output.endswith("no problems\n")
    code, output, error, _ = shell("data", "get", "vip", "--root", "other")
    assert (code, "http://sysu-hcp.net/lip/" in output) == (2, True)
    assert error.startswith(f"stt: {Path('other/archives/VIP_Fine.zip')} is not there yet; get it from the page above")
    names = [f"gone{i}" for i in range(60)]
    Path("data/DAVIS/ImageSets/2017/val.txt").write_text("\n".join(names))
    code, output, error, _ = shell("data", "check", "davis", "data/DAVIS")
    assert (code, "no problems" in output, len(error.splitlines())) == (2, False, 51)
    assert error.splitlines()[50].startswith("stt: data/DAVIS has problems (60; 10 more are not shown)")
    assert all(name in line for name, line in zip(names, error.splitlines()[:50], strict=False))
    for arguments, word in (
        (("get",), "davis, imagenette, jhmdb"),
        (("get", "davsi"), "davsi"),
        (("get", "davis", "data/DAVIS"), "a folder"),
        (("check", "davis"), "its folder"),
        (("check", "kitti", "data"), "kitti"),
        (("check", "davis", "none"), "none"),
        (("check", "davis", "data/DAVIS", "--mirror", "http://x"), "--mirror"),
        (("synthetic", "davis"), "a set"),
    ):
        assert_refused(shell("data", *arguments), word)


FILES = {"set/a.txt": b"alpha", "set/deep/b.bin": bytes(range(256)) * 40, "set/empty": b""}
NOISES = {f"{i}.bin": bytes((j * j * (i + 7)) % 251 for j in range(4000)) for i in range(4)}


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


def test_bombs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GB at least may be in it; more must not be more than 20 times the archive's size."""
    for name in ("x.zip", "x.tgz"):
        (place / name).write_bytes(packed(name, {"big": bytes(10**6)}))
        extract(place / name, place / name[2:])
        monkeypatch.setattr(download, "GB", 10**6 - 1)
        refused(place / name, "larger")
        monkeypatch.undo()


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_cut_off(place: Path, name: str, share: float) -> None:
    content = packed(name, NOISES)
    whole = 4 * (512 + 4096) if name == "x.tar" else len(content)  # without what fills a tar up
    (place / name).write_bytes(content[: int(share * whole)])
    refused(place / name, "anew")


@pytest.mark.parametrize(("name", "at"), [("x.zip", 0.5), ("x.tgz", 0.5), ("x.tgz", 1)])
def test_damaged(place: Path, name: str, at: float) -> None:
    """In the middle, or in the gzip's checksum: there, every file would come out whole."""
    content = bytearray(packed(name, NOISES))
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
