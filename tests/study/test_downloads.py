"""Data sets fetched from a server on the loopback, through cuts, lies and changes, and opened with our own loaders."""

import hashlib
import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from data_server import (
    Server,
    davis_files,
    imagenette_files,
    jhmdb_archives,
    jpeg,
    tarred,
    youtube_meta,
    zipped,
)

from stt_core.errors import InputError
from stt_core.pictures import read_image
from stt_core.training.images import Images
from stt_core.training.pairs import FramePairs
from stt_study.benchmarks.davis import davis_sequences
from stt_study.benchmarks.jhmdb import jhmdb_clips
from stt_study.benchmarks.labelled_videos import read_sequence_mask
from stt_study.benchmarks.vip import vip_sequences
from stt_study.cli import main
from stt_study.data import fetching
from stt_study.data import sets as data_sets
from stt_study.data.download import get
from stt_study.data.fetching import PIECE, Resuming, fetch
from stt_study.data.sets import SETS, published

NOISE = np.random.default_rng(0).integers(0, 256, 500_000, dtype=np.uint8).tobytes()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


def fetched(server: Server, folder: Path, *, pauses: tuple[float, ...] = (1, 2, 4), most: int = 10**6, known=None):
    """Fetch x.bin; (its bytes, the pauses that were made)."""
    slept: list[float] = []
    folder.mkdir(exist_ok=True)
    path = folder / "x.bin"
    fetch(server.url + "x.bin", path, known, Resuming(path, most, pauses, slept.append))
    assert sorted(p.name for p in folder.iterdir()) == ["x.bin"]
    return path.read_bytes(), slept


def test_goes_on_after_cuts(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"], server.cuts = NOISE, [3 * PIECE + 9, PIECE + 1]
    assert fetched(server, tmp_path / "a") == (NOISE, [1, 2])
    assert server.asked == [("x.bin", None), ("x.bin", f"bytes={3 * PIECE}-"), ("x.bin", f"bytes={4 * PIECE}-")]


def test_server_that_gives_small_parts_only(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"], server.cuts, server.most = NOISE, [5 * PIECE], 2 * PIECE
    assert fetched(server, tmp_path / "a") == (NOISE, [1, 2])
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={5 * PIECE}-", f"bytes={7 * PIECE}-"]


def test_ends_with_a_sentence_and_the_next_call_goes_on(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"], server.cuts = NOISE, [PIECE] * 4
    with pytest.raises(InputError, match=r"x\.bin could not be fetched whole .*262,144 bytes .* same command goes on"):
        fetched(server, tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["x.bin.part", "x.bin.part.json"]
    assert fetched(server, tmp_path / "a") == (NOISE, [])
    assert server.asked[-1] == ("x.bin", "bytes=262144-")
    assert len(server.asked) == 5


def test_pauses_start_over_once_much_came(server: Server, tmp_path: Path) -> None:
    large = np.random.default_rng(1).integers(0, 256, 4 << 20, dtype=np.uint8).tobytes()
    server.files["x.bin"], server.cuts = large, [10_000, (1 << 20) + 1, 10_000]
    assert fetched(server, tmp_path / "a", pauses=(1, 2), most=10**7) == (large, [1, 1, 2])


@pytest.mark.parametrize("tag", ['"one"', "", 'W/"weak"'])
def test_server_without_ranges_starts_anew(server: Server, tmp_path: Path, tag: str) -> None:
    server.files["x.bin"], server.cuts, server.ranges, server.tag = NOISE, [200_000], False, tag
    assert fetched(server, tmp_path / "a") == (NOISE, [1])


@pytest.mark.parametrize("tag", ['"one"', ""])
def test_two_halves_of_different_files_are_never_joined(server: Server, tmp_path: Path, tag: str) -> None:
    server.files["x.bin"], server.cuts, server.tag = NOISE, [200_000], tag
    with pytest.raises(InputError):
        fetched(server, tmp_path / "a", pauses=())
    # A server that gives neither a tag nor a date shows a change by the size alone; the rest is up to the hash.
    server.files["x.bin"] = NOISE[::-1] + (b"" if tag else b"more")
    server.tag = tag and '"two"'
    assert fetched(server, tmp_path / "a")[0] == server.files["x.bin"]


def test_file_that_became_shorter(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"], server.cuts, server.tag = NOISE, [200_000], ""
    with pytest.raises(InputError):
        fetched(server, tmp_path / "a", pauses=())
    server.files["x.bin"] = NOISE[:90_000]
    assert fetched(server, tmp_path / "a") == (NOISE[:90_000], [1])


def test_part_of_another_address_or_place_is_not_used(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = NOISE
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin.part").write_bytes(b"other")
    state = {"url": "http://other/x.bin", "validator": "", "total": None}
    (tmp_path / "a" / "x.bin.part.json").write_text(json.dumps(state))
    assert fetched(server, tmp_path / "a")[0] == NOISE
    server.files["x.bin"], server.cuts, server.wrong_range = NOISE, [200_000], True
    server.asked.clear()
    assert fetched(server, tmp_path / "b") == (NOISE, [1, 2])  # the second answer begins a byte too early
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={3 * PIECE}-", None]


def test_killed_before_the_new_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin.part").write_bytes(NOISE)
    state = {"url": server.url + "x.bin", "validator": "", "total": len(NOISE)}
    (tmp_path / "a" / "x.bin.part.json").write_text(json.dumps(state))
    assert fetched(server, tmp_path / "a") == (NOISE, [])
    assert server.asked == []


def test_statuses(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.bin can't be fetched: the server says 404"):
        fetched(server, tmp_path / "a")
    assert len(server.asked) == 1
    server.files["x.bin"], server.statuses = NOISE, [503, 429]
    assert fetched(server, tmp_path / "a") == (NOISE, [1, 2])


def test_nobody_answers(server: Server, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(InputError, match="could not be fetched whole"):
        fetched(server, tmp_path / "a")
    for url in ("no-scheme/x.bin", "ftp+x://host/x.bin", "http://"):
        with pytest.raises(InputError, match="mend --mirror"):
            Resuming(tmp_path / "x.bin", 1, ())(url, str(tmp_path / "y"), None)


def test_too_large(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["x.bin"] = NOISE
    with pytest.raises(InputError, match="larger than 499,999 bytes"):
        fetched(server, tmp_path / "a", most=499_999)
    assert not any((tmp_path / "a").iterdir())
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 499_999)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"needs 500,000 bytes, but .* has 499,999"):
        fetched(server, tmp_path / "b", pauses=())


def test_wrong_hash(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = NOISE
    right = hashlib.sha256(NOISE).hexdigest()
    assert fetched(server, tmp_path / "a", known=f"sha256:{right}")[0] == NOISE
    server.files["x.bin"] = NOISE[:-1] + b"!"
    got = hashlib.sha256(server.files["x.bin"]).hexdigest()
    with pytest.raises(InputError, match=rf"x\.bin has the hash {got[:12]}…, not {right[:12]}….*/SHA256SUMS"):
        fetched(server, tmp_path / "b", known=f"sha256:{right}")
    assert not any((tmp_path / "b").iterdir())


def quiet(name: str, root: Path, server: Server | None = None, **options: object):
    """`get` from the server: (what it found, what it said)."""
    said: list[str] = []
    mirror = server.url if server else ""
    return get(name, root, mirror=mirror, say=said.append, pauses=(), **options), said


def test_davis(server: Server, tmp_path: Path) -> None:
    content = zipped(davis_files())
    server.files["DAVIS-2017-trainval-480p.zip"] = content
    checked, _ = quiet("davis", tmp_path, server)
    assert checked.counts == {"frames": 9, "annotations": 9, "sequences": 3, "decoded": 18}
    assert checked.problems == ()
    assert checked.notes == ("2 of the official 60 sequences of train.", "1 of the official 30 sequences of val.")
    (sequence,) = davis_sequences(tmp_path / "DAVIS")
    assert sequence.name == "cows"
    assert read_sequence_mask(sequence, 2).sum() == 8 * 14
    assert read_image(sequence.frames[0]).shape == (24, 32, 3)
    assert len(FramePairs(tmp_path / "DAVIS", size=16)) == 2 * 2
    digest = hashlib.sha256(content).hexdigest()
    archives = tmp_path / "archives"
    assert (archives / "SHA256SUMS").read_text() == f"{digest}  DAVIS-2017-trainval-480p.zip\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["DAVIS", "archives"]

    asked = len(server.asked)
    (tmp_path / "DAVIS" / "Annotations" / "480p" / "cows" / "00001.png").unlink()
    checked, said = quiet("davis", tmp_path, server)  # what is there is kept, and checked
    assert "is there; delete it" in said[0]
    assert len(checked.problems) == 1
    assert "00001.png is missing" in checked.problems[0]
    assert len(server.asked) == asked


def test_hash_of_the_first_use_holds_ever_after(server: Server, tmp_path: Path) -> None:
    name = "DAVIS-2017-trainval-480p.zip"
    server.files[name] = zipped(davis_files())
    quiet("davis", tmp_path, server)
    old = (tmp_path / "archives" / "SHA256SUMS").read_text()
    for path in ("DAVIS", "archives/" + name):
        (tmp_path / path).rename(tmp_path / f"old-{Path(path).name}")
    server.files[name] = zipped(davis_files(frames=4))  # a good archive, but another
    got = hashlib.sha256(server.files[name]).hexdigest()
    with pytest.raises(InputError, match=rf"{name} has the hash {got[:12]}…, not {old[:12]}…"):
        quiet("davis", tmp_path, server)
    (tmp_path / "archives" / name).write_bytes(server.files[name])  # by hand
    with pytest.raises(InputError, match=rf"{name} has the hash {got[:12]}…, not {old[:12]}…; delete it"):
        quiet("davis", tmp_path, server)
    assert not (tmp_path / "DAVIS").exists()
    assert (tmp_path / "archives" / "SHA256SUMS").read_text() == old
    (tmp_path / f"old-{name}").replace(tmp_path / "archives" / name)
    asked = len(server.asked)
    assert quiet("davis", tmp_path, server)[0].counts["frames"] == 9
    assert len(server.asked) == asked  # the archive was at hand
    (tmp_path / "archives" / "SHA256SUMS").write_text("no sums\n")
    (tmp_path / "DAVIS").rename(tmp_path / "older")
    with pytest.raises(InputError, match="SHA256SUMS: 'no sums'"):
        quiet("davis", tmp_path, server)


def test_page_in_place_of_an_archive(server: Server, tmp_path: Path) -> None:
    server.files["DAVIS-2017-trainval-480p.zip"] = b"<html>We are sorry</html>"
    with pytest.raises(InputError, match="is broken or cut off"):
        quiet("davis", tmp_path, server)
    assert not (tmp_path / "archives" / "SHA256SUMS").exists()  # it must not become what is expected
    (tmp_path / "archives" / "DAVIS-2017-trainval-480p.zip").write_bytes(zipped({"else/a.txt": b"x"}))
    with pytest.raises(InputError, match="no folder JPEGImages/480p"):
        quiet("davis", tmp_path, server)
    assert not (tmp_path / "archives" / "SHA256SUMS").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archives"]


def test_imagenette_has_a_published_hash(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert published(SETS["imagenette"].archives[0]) == "md5:e793b78cc4c9e9a4ccc0c1155377a412"
    assert published(SETS["imagenet"].archives[0]) == "md5:1d675b47d978889d74fa0da5fadfb00e"
    assert published(SETS["davis"].archives[0]) is None
    content = tarred(imagenette_files(), gz=True)
    server.files["imagenette2-160.tgz"] = content
    with pytest.raises(InputError, match=rf"hash {hashlib.md5(content).hexdigest()[:12]}…, not e793b78cc4c9…"):
        quiet("imagenette", tmp_path, server)
    assert not (tmp_path / "imagenette2-160").exists()
    monkeypatch.setattr("stt_study.data.download.published", lambda _: f"md5:{hashlib.md5(content).hexdigest()}")
    checked, _ = quiet("imagenette", tmp_path, server)
    assert checked.counts == {"images": 8, "classes": 4, "decoded": 8}
    assert "4 of the official 9,469 images of train." in checked.notes
    assert len(Images(tmp_path / "imagenette2-160", load_size=24)) == 4


def test_jhmdb(server: Server, tmp_path: Path) -> None:
    server.files |= jhmdb_archives()
    checked, _ = quiet("jhmdb", tmp_path, server)
    assert checked.problems == ()
    assert checked.counts == {"frames": 12, "joint files": 4, "clips": 4, "decoded": 12}
    assert "2 of the official 268 test clips of split 1." in checked.notes
    clips = jhmdb_clips(tmp_path / "JHMDB")
    assert [clip.name for clip in clips] == ["catch/one_#1", "pour/one_#1"]
    assert [clip.joints.shape for clip in clips] == [(3, 15, 2)] * 2
    assert np.all(clips[0].joints == 4)  # the file counts from 1
    assert [clip.name for clip in jhmdb_clips(tmp_path / "JHMDB", "train")] == ["catch/two", "pour/two"]
    names = [line.split()[1] for line in (tmp_path / "archives" / "SHA256SUMS").read_text().splitlines()]
    assert names == ["Rename_Images.tar.gz", "joint_positions.zip", "splits.zip"]


def test_jhmdb_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.files |= jhmdb_archives()
    splits = server.files.pop("splits.zip")
    with pytest.raises(InputError, match=r"splits\.zip can't be fetched"):
        quiet("jhmdb", tmp_path, server)
    for bad, says in ((b"clip.avi x\n", "clip.avi x"), (b"clip.avi 1\n", "no test clips")):
        server.files["splits.zip"] = zipped({"splits/catch_test_split1.txt": bad})
        with pytest.raises(InputError, match=says):
            quiet("jhmdb", tmp_path, server)
        assert not (tmp_path / "JHMDB").exists()
        (tmp_path / "archives" / "splits.zip").unlink()
    server.files["splits.zip"] = splits
    assert quiet("jhmdb", tmp_path, server)[0].problems == ()
    assert [name for name, _ in server.asked].count("Rename_Images.tar.gz") == 1


def test_youtube_vos_by_hand(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=r"archives.train\.zip is not there yet"):
        get("youtube-vos", tmp_path, say=said.append)
    steps = "\n".join(said)
    for part in ("1. Register at https://youtube-vos.org", "2. Fetch train.zip", str(tmp_path / "archives"), "4. Give"):
        assert part in steps
    meta = youtube_meta()
    files = {"train/meta.json": json.dumps(meta).encode()}
    for video, entry in meta["videos"].items():
        for frame in entry["objects"]["1"]["frames"]:
            files[f"train/JPEGImages/{video}/{frame}.jpg"] = jpeg()
    (tmp_path / "archives" / "train.zip").write_bytes(zipped(files))
    checked, _ = quiet("youtube-vos", tmp_path)
    assert checked.counts == {"frames": 6, "videos": 2, "decoded": 6}
    assert len(FramePairs(tmp_path / "youtube-vos", size=16)) == 4
    assert "train.zip" in (tmp_path / "archives" / "SHA256SUMS").read_text()


def test_imagenet_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = tarred({f"{w}.tar": tarred({f"{w}_{i}.JPEG": jpeg() for i in range(3)}) for w in ("n01", "n02")})
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "ILSVRC2012_img_train.tar").write_bytes(content)
    with pytest.raises(InputError, match="not 1d675b47d978…; delete it"):
        quiet("imagenet", tmp_path)
    monkeypatch.setattr("stt_study.data.download.published", lambda _: f"md5:{hashlib.md5(content).hexdigest()}")
    checked, _ = quiet("imagenet", tmp_path)
    assert checked.counts == {"images": 6, "classes": 2, "decoded": 6}
    assert (tmp_path / "imagenet" / "train" / "n02" / "n02_2.JPEG").read_bytes() == jpeg()
    assert len(Images(tmp_path / "imagenet", load_size=24)) == 6


def test_vip_by_hand(tmp_path: Path) -> None:
    files = {"VIP_Fine/lists/val_videos.txt": b"videos1\n"}
    for t in (1, 26):
        files[f"VIP_Fine/Images/videos1/{t:012d}.jpg"] = jpeg()
        files[f"VIP_Fine/Annotations/Category_ids/videos1/{t:012d}.png"] = davis_files()[
            "DAVIS/Annotations/480p/bear/00000.png"
        ]
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "VIP_Fine.zip").write_bytes(zipped(files))
    assert quiet("vip", tmp_path)[0].counts == {"frames": 2, "annotations": 2, "videos": 1, "decoded": 4}
    assert len(vip_sequences(tmp_path / "VIP_Fine")[0].frames) == 2


def test_killed_while_unpacking(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".DAVIS.unpacked" / "part").mkdir(parents=True)
    (tmp_path / ".DAVIS.unpacked" / "part" / "half.jpg").write_bytes(b"half")
    server.files["DAVIS-2017-trainval-480p.zip"] = zipped(davis_files())
    assert quiet("davis", tmp_path, server)[0].problems == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["DAVIS", "archives"]


def test_only_one_at_a_time(server: Server, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    lock = str(tmp_path / "archives" / ".davis.lock")
    with subprocess.Popen([sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another stt data get davis"):
            quiet("davis", tmp_path, server)
        assert server.asked == []
        other.stdin.close()


def test_every_set_says_where_it_comes_from() -> None:
    for wanted in SETS.values():
        assert wanted.terms
        assert wanted.page.startswith("http")
        for archive in wanted.archives:
            assert bool(archive.url) != bool(wanted.steps)
            assert not archive.url or archive.url.endswith("/" + archive.name)
            assert archive.most_bytes <= 200 * data_sets.GB


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["stt", "data", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    return code, *capsys.readouterr()


def test_command(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    server.files["DAVIS-2017-trainval-480p.zip"] = zipped(davis_files())
    code, output, error = run(monkeypatch, capsys, "get", "davis", "--mirror", server.url)
    assert (code, error) == (0, "")
    assert "data/DAVIS: frames 9, annotations 9, sequences 3, decoded 18" in output
    assert output.endswith("no problems\n")
    code, output, error = run(monkeypatch, capsys, "get", "vip", "--root", "other")
    assert code == 2
    assert "1. Ask" in output
    assert error == f"stt: {Path('other/archives/VIP_Fine.zip')} is not there yet; follow the steps above.\n"
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
        code, output, error = run(monkeypatch, capsys, *arguments)
        assert (code, output, error.count("\n")) == (2, "", 1)
        assert word in error


def test_help_needs_no_heavy_modules() -> None:
    code = (
        "import sys; import stt_study.cli; print(*(m for m in ('torch', 'cv2', 'pooch', 'scipy') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == ""
