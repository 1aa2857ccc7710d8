"""What `fuzz_readers.py` feeds: every reader of annotations, lists, tables, weights, videos and archives, with valid files."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import torch
from data_server import tarred
from lightning_fabric import Fabric
from PIL import Image
from scipy.io import savemat
from writers import write_davis

from stt_core import files, labels
from stt_core.checkpoints import open_weights, save_weights
from stt_core.encoder import random_encoder
from stt_core.errors import InputError
from stt_core.files import listed
from stt_core.pictures import image_size, read_image
from stt_core.training import decoding
from stt_core.training import pairs as unlabelled
from stt_core.training.run import Run
from stt_study import profile
from stt_study.benchmarks import badja, davis, jhmdb, vip
from stt_study.data.download import extract
from stt_study.video import files as own_files
from stt_study.video import frames as video
from stt_study.video import given

SIZE = (48, 64)  # height, width of pictures
RNG = np.random.default_rng(0)
PICTURE = cv2.resize(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8), SIZE[::-1])
IDS = np.zeros(SIZE, np.uint8)
IDS[4:20, 8:30], IDS[25:44, 30:60] = 1, 2


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        write: writes valid files into an empty folder, whatever there may be besides, and returns those to be spoiled.
        read: reads them: the folder, and the file that was spoiled -> a value.
    """

    name: str
    write: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], Any]


def _masks(folder: Path) -> list[Path]:
    labels.write_mask(folder / "palette.png", IDS)
    cv2.imwrite(str(folder / "grey.png"), IDS)
    cv2.imwrite(str(folder / "deep.png"), IDS.astype(np.uint16))
    cv2.imwrite(str(folder / "colour.png"), PICTURE)
    Image.fromarray(IDS > 0).save(folder / "bits.png")
    Image.fromarray(IDS, mode="P").save(folder / "adam7.png", interlace=1, transparency=0)
    return sorted(folder.iterdir())


def _read_mask(root: Path, path: Path) -> np.ndarray:
    found = [_refusal(lambda white=white: labels.read_mask(path, not_black=white)) for white in (True, False)]
    for ids in found:
        assert isinstance(ids, InputError) or (ids.dtype == np.uint8 and ids.ndim == 2)
    return _raised(found)


def _pictures(folder: Path) -> list[Path]:
    # OpenCV and Pillow go by what is in a file, not by its name: all of their decoders can be reached.
    for kind in ("jpg", "png", "bmp", "tiff", "webp", "ppm", "hdr"):
        (folder / f"{kind}.{'png' if kind == 'png' else 'jpg'}").write_bytes(cv2.imencode(f".{kind}", PICTURE)[1])
    cv2.imwrite(str(folder / "progressive.jpg"), PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    image, exif = Image.fromarray(PICTURE), Image.Exif()
    exif[0x0112] = 6  # as a phone turns it
    image.save(folder / "turned.jpg", exif=exif)
    image.save(folder / "gif.jpg", "GIF", save_all=True, append_images=[image.rotate(180)])
    return sorted(folder.iterdir())


def _read_picture(root: Path, path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    return image


def _read_size(root: Path, path: Path) -> tuple[int, int]:
    size = image_size(path)
    assert min(size) > 0
    return size


def _davis(folder: Path) -> list[Path]:
    write_davis(folder, names=("square", "other"))
    original = folder / "ImageSets" / "480p" / "trainval.txt"
    original.parent.mkdir()
    lines = [f"/JPEGImages/480p/square/{t:05d}.jpg /Annotations/480p/square/{t:05d}.png" for t in range(5)]
    original.write_text("\n".join(lines) + "\n")
    return [folder / "ImageSets" / "2017" / "val.txt", original]


def _read_davis(root: Path, path: Path) -> Any:
    return davis.davis_sequences(root, path.stem, "2017" if path.stem == "val" else "2016")


def _vip(folder: Path) -> list[Path]:
    davis = folder / "davis"
    write_davis(davis, names=("a", "b"))
    (davis / "JPEGImages" / "480p").rename(folder / "Images")
    (davis / "Annotations" / "480p").rename(folder / "Annotations")
    (folder / "lists").mkdir()
    (folder / "lists" / "val_videos.txt").write_text("a\nb\n")
    return [folder / "lists" / "val_videos.txt"]


def _jhmdb(folder: Path) -> list[Path]:
    for name in ("catch", "wave"):
        frames = folder / "Rename_Images" / name
        frames.mkdir(parents=True)
        for t in range(3):
            cv2.imwrite(str(frames / f"{t + 1:05d}.png"), PICTURE)
        positions = folder / "joint_positions" / name / "joint_positions.mat"
        positions.parent.mkdir(parents=True)
        content = io.BytesIO()
        savemat(content, {"pos_img": RNG.uniform(1, 40, (2, 15, 3)), "scale": 1.0})
        positions.write_bytes(b"MATLAB".ljust(116) + content.getvalue()[116:])  # else with the time of day
    lines = [f"joint_positions/{name}/joint_positions.mat Rename_Images/{name}\n" for name in ("catch", "wave")]
    (folder / "val_list.txt").write_text("".join(lines))
    return [folder / "val_list.txt"]  # not the joints: SciPy's reader ends the process on some spoiled ones


def _read_jhmdb(root: Path, path: Path) -> Any:
    clips = jhmdb.jhmdb_clips(root)
    assert all(np.isfinite(clip.joints).all() for clip in clips)
    return clips


def _badja(folder: Path) -> list[Path]:
    write_davis(folder / "DAVIS", names=("bear",))
    entries = [
        {
            "image_path": f"DAVIS/JPEGImages/Full-Resolution/bear/{t:05d}.jpg",
            "segmentation_path": f"DAVIS/Annotations/Full-Resolution/bear/{t:05d}.png",
            "joints": RNG.integers(1, 900, (4, 2)).tolist(),
            "visibility": [True, True, False, True],
        }
        for t in (0, 2, 4)
    ]
    (folder / "joint_annotations").mkdir()
    (folder / "joint_annotations" / "bear.json").write_text(json.dumps(entries))
    return [folder / "joint_annotations" / "bear.json"]


def _read_badja(root: Path, path: Path) -> Any:
    clips = badja.badja_clips(root)
    assert all(np.isfinite(clip.joints).all() for clip in clips)
    return clips, [badja.areas(clip) for clip in clips]


def _youtube_vos(folder: Path) -> list[Path]:
    videos = {}
    for name in ("003234408d", "0043f083b5"):
        frames = folder / "train" / "JPEGImages" / name
        frames.mkdir(parents=True)
        for t in (0, 5, 10):
            cv2.imwrite(str(frames / f"{t:05d}.jpg"), PICTURE)
        things = {"1": {"category": "dog", "frames": ["00000", "00005"]}, "2": {"category": "cat", "frames": ["00010"]}}
        videos[name] = {"objects": things}
    (folder / "train" / "meta.json").write_text(json.dumps({"videos": videos}))
    return [folder / "train" / "meta.json"]


def _objects(folder: Path) -> list[Path]:
    return _masks(folder)


def _points(folder: Path) -> list[Path]:
    (folder / "points.csv").write_text('name,x,y\nnose,3.5,4\n"left, ear",10,20\nüber,63,47\n', encoding="utf-8")
    (folder / "excel.csv").write_text("\ufeffx, y, name\r\n3, 4, a\r\n", encoding="utf-8", newline="")
    return sorted(folder.iterdir())


def _read_points(root: Path, path: Path) -> Any:
    names, places = given.read_points(path, SIZE)
    assert len(set(names)) == len(names) == len(places)
    assert (places >= 0).all()
    assert (places <= np.subtract(SIZE[::-1], 1)).all()
    return places


def _weights(folder: Path) -> list[Path]:
    encoder = random_encoder(18, 1 / 64)
    save_weights(folder / "ours.pth", encoder, input="lab")
    save_weights(folder / "ours.safetensors", encoder, input="rgb")
    state = {f"module.backbone.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "lr": np.float64(0.1), "meta": {"a": [1, "x"]}}, folder / "theirs.pth")
    return sorted(folder.iterdir())


def _read_weights(root: Path, path: Path) -> Any:
    found = open_weights(path)
    assert len(found.note.splitlines()) == 1
    encoder = found.encoder((1, 2, 2, 1), "max")
    assert all(torch.isfinite(value).all() for value in encoder.state_dict().values())
    return found


def _videos(folder: Path) -> list[Path]:
    film = ((t / 25, np.roll(PICTURE, 2 * t, axis=1)) for t in range(8))
    video.write_video(folder / "a.mp4", film, 25)
    for name, codec in (("b.avi", "mpeg4"), ("c.mkv", "mpeg4"), ("d.mov", "mjpeg")):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for t in range(8):
                image = np.roll(PICTURE, 2 * t, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    return sorted(folder.iterdir())


def _read_video(root: Path, path: Path) -> int:
    opened = video.open_video(path)
    seen = [frame.time for frame in opened.frames(skip=(1, 2))]
    assert all(np.isfinite(seen))
    return len(seen)


def _read_training_video(root: Path, path: Path) -> Any:
    frames, decoder = decoding.frame_times(path, 3), decoding.Decoder(cache=True)
    return [decoder(frame, 2) for frame in frames[-2:]], [decoder.size(frame) for frame in frames[:1]]


def _read_training_picture(root: Path, path: Path) -> Any:
    decoder = decoding.Decoder()
    found = [_refusal(lambda: decoder.size(path)), *(_refusal(lambda f=f: decoder(path, f)) for f in decoding.REDUCED)]
    return _raised(found)


def _profiles(folder: Path) -> list[Path]:
    for path in profile.PROFILES.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    return sorted(folder.iterdir())


def _json(folder: Path) -> list[Path]:
    record = {"results": [1, 2.5, None, {"a": "ü"}], "code": "0123abcd", "frames": 3}
    files.write_json(folder / "record.json", record)
    return [folder / "record.json"]


@dataclass(frozen=True)
class Settings:
    steps: int = 3
    lr: float = 0.1
    name: str = "x"


def _run(path: Path) -> tuple[SimpleNamespace, torch.nn.Module]:
    """As much of a `Run` as restoring takes, on a model of a few numbers."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    run = SimpleNamespace(checkpoint=path, settings=Settings(), model=model, optimizer=optimizer, fabric=fabric)
    return run, model


def _checkpoint(folder: Path) -> list[Path]:
    run, model = _run(folder / "checkpoint.pt")
    model(torch.rand(4, 3)).sum().backward()
    run.optimizer.step()
    state = {"step": 1, "settings": asdict(run.settings), "model": model.state_dict()}
    state |= {"optimizer": run.optimizer.state_dict(), "precision": {}, "rows": [{"step": 0, "loss": 1.5, "lr": 0.1}]}
    files.write_tensors(run.checkpoint, state | {"seconds": 1.5, "sessions": [{"from step": 0, "data": {}}]})
    return [run.checkpoint]


def _read_checkpoint(root: Path, path: Path) -> Any:
    run, _ = _run(path)
    Run._restore(run)
    assert 0 <= run.start <= Settings.steps
    # The next save must work, too. The next step may not: an optimizer's state isn't looked through, which would take a
    # checkpoint made by hand to notice.
    csv.DictWriter(io.StringIO(), fieldnames=list(run.rows[0])).writerows(run.rows)
    json.dumps(run.sessions)
    return run.start


def _state(folder: Path) -> list[Path]:
    files.write_tensors(folder / "state.pt", {"frames": 3, "maps": [torch.rand(3, 6, 8)] * 2, "files": "0123"})
    return [folder / "state.pt"]


def _read_state(root: Path, path: Path) -> Any:
    done, known, _ = own_files.read_state(path, 20)
    assert all(torch.isfinite(maps).all() for maps in known)
    return done


def _archives(folder: Path) -> list[Path]:
    content = {"set/a.txt": b"alpha", "set/deep/b.bin": bytes(range(256)) * 40, "set/empty": b""}
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for name, each in content.items():
            archive.writestr(zipfile.ZipInfo(name), each, zipfile.ZIP_DEFLATED)
    (folder / "b.tar").write_bytes(tarred(content | {"inner.tar": tarred(content)}))
    (folder / "c.tar.gz").write_bytes(gzip.compress(tarred(content), mtime=0))
    return sorted(folder.iterdir())


def _unpack(root: Path, path: Path) -> Any:
    try:
        extract(path, root / "place" / "out")
        return sorted((root / "place").rglob("*"))
    finally:
        outside = {entry.name for entry in root.iterdir()} - {"a.zip", "b.tar", "c.tar.gz", "place"}
        assert not outside
        assert not (root / "place").exists() or [entry.name for entry in (root / "place").iterdir()] == ["out"]


def _refusal(read: Callable[[], Any]) -> Any:
    """What is read, or the sentence against it: a file is read in several ways, each in its own turn."""
    try:
        return read()
    except InputError as error:
        return error


def _raised(found: list) -> Any:
    for value in found:
        if isinstance(value, InputError):
            raise value
    return found


READERS = (
    Reader("read_mask", _masks, _read_mask),
    Reader("read_image", _pictures, _read_picture),
    Reader("image_size", _pictures, _read_size),
    Reader("listed", _davis, lambda root, path: listed(path)),
    Reader("davis_sequences", _davis, _read_davis),
    Reader("vip_sequences", _vip, lambda root, path: vip.vip_sequences(root)),
    Reader("jhmdb_clips", _jhmdb, _read_jhmdb),
    Reader("badja_clips", _badja, _read_badja),
    Reader("training_videos", _youtube_vos, lambda root, path: unlabelled.training_videos(root)),
    Reader("read_objects", _objects, lambda root, path: given.read_objects(path, SIZE)),
    Reader("read_points", _points, _read_points),
    Reader("open_weights", _weights, _read_weights),
    Reader("decoder: images", _pictures, _read_training_picture),
    Reader("decoder: videos", _videos, _read_training_video),
    Reader("open_video", _videos, _read_video),
    Reader("load_profile", _profiles, lambda root, path: profile.load_profile(str(path))),
    Reader("read_json", _json, lambda root, path: files.read_json(path)),
    Reader("checkpoint.pt", _checkpoint, _read_checkpoint),
    Reader("state.pt", _state, _read_state),
    Reader("archives", _archives, _unpack),
)
