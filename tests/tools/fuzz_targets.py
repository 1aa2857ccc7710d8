"""What `fuzz_readers.py` feeds: every reader of annotations, lists, tables, weights and videos, with valid files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import torch
from PIL import Image
from writers import write_badja, write_davis, write_jhmdb, write_videos

from stt_core import files, labels
from stt_core.checkpoints import open_weights, save_weights
from stt_core.encoder import random_encoder
from stt_core.pictures import frame_size, read_frame, read_image, video_frames
from stt_core.training.pairs import training_videos
from stt_study import profile
from stt_study.benchmarks import badja, davis, jhmdb
from stt_study.video import frames as video
from stt_study.video import given

SIZE = (48, 64)  # height, width of pictures
PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), SIZE[::-1])
IDS = np.zeros(SIZE, np.uint8)
IDS[4:20, 8:30], IDS[25:44, 30:60] = 1, 2


class Reader(NamedTuple):
    """A reader of files.

    Attributes:
        write: writes valid files into an empty folder, and returns those to be spoiled.
        read: reads them: the folder, and the file that was spoiled.
    """

    name: str
    write: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], Any]


def _masks(folder: Path) -> list[Path]:
    labels.write_mask(folder / "palette.png", IDS)
    cv2.imwrite(str(folder / "grey.png"), IDS)
    cv2.imwrite(str(folder / "colour.png"), PICTURE)
    Image.fromarray(IDS > 0).save(folder / "bits.png")
    return sorted(folder.iterdir())


def _read_mask(root: Path, path: Path) -> None:
    ids = labels.read_mask(path)
    assert (ids.dtype, ids.ndim) == (np.uint8, 2)


def _pictures(folder: Path) -> list[Path]:
    # OpenCV and Pillow go by what is in a file, not by its name: all of their decoders can be reached.
    for kind in ("jpg", "png", "bmp", "tiff", "webp"):
        (folder / f"{kind}.{'png' if kind == 'png' else 'jpg'}").write_bytes(cv2.imencode(f".{kind}", PICTURE)[1])
    cv2.imwrite(str(folder / "progressive.jpg"), PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    Image.fromarray(PICTURE).save(folder / "gif.jpg", "GIF")
    return sorted(folder.iterdir())


def _read_picture(root: Path, path: Path) -> None:
    image = read_image(path)
    assert (image.dtype, image.ndim) == (np.uint8, 3)


def _davis(folder: Path) -> list[Path]:
    return [write_davis(folder, names=("square", "other")) / "ImageSets/2017/val.txt"]


def _jhmdb(folder: Path) -> list[Path]:
    write_jhmdb(folder)
    return [folder / "val_list.txt"]  # not the joints: SciPy's reader ends the process on some spoiled ones


def _badja(folder: Path) -> list[Path]:
    return sorted((write_badja(folder) / "joint_annotations").iterdir())


def _finite(clips: tuple) -> None:
    assert all(np.isfinite(clip.joints).all() for clip in clips)


def _youtube_vos(folder: Path) -> list[Path]:
    names = [path.name for path in write_videos(folder / "train/JPEGImages").iterdir()]
    things = {"1": {"category": "dog", "frames": ["00000", "00001"]}, "2": {"category": "cat", "frames": ["00003"]}}
    files.write_json(folder / "train/meta.json", {"videos": {name: {"objects": things} for name in names}})
    return [folder / "train/meta.json"]


def _points(folder: Path) -> list[Path]:
    (folder / "points.csv").write_text('name,x,y\nnose,3.5,4\n"left, ear",10,20\nüber,63,47\n', encoding="utf-8")
    (folder / "excel.csv").write_text("\ufeffx, y, name\r\n3, 4, a\r\n", encoding="utf-8", newline="")
    return sorted(folder.iterdir())


def _read_points(root: Path, path: Path) -> None:
    names, places = given.read_points(path, SIZE)
    assert len(set(names)) == len(names) == len(places)
    assert ((places >= 0) & (places <= np.subtract(SIZE[::-1], 1))).all()


def _weights(folder: Path) -> list[Path]:
    encoder = random_encoder(18, 1 / 64)
    save_weights(folder / "ours.pth", encoder, input="lab")
    save_weights(folder / "ours.safetensors", encoder, input="rgb")
    state = {f"module.backbone.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "lr": np.float64(0.1), "meta": {"a": [1, "x"]}}, folder / "theirs.pth")
    return sorted(folder.iterdir())


def _read_weights(root: Path, path: Path) -> None:
    encoder = open_weights(path).encoder((1, 2, 2, 1), "max")
    assert all(torch.isfinite(value).all() for value in encoder.state_dict().values())


def _videos(folder: Path) -> list[Path]:
    images = [np.roll(PICTURE, 2 * t, axis=1) for t in range(8)]
    video.write_video(folder / "a.mp4", ((t / 25, image) for t, image in enumerate(images)), 25)
    with av.open(str(folder / "b.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return sorted(folder.iterdir())


def _read_training_video(root: Path, path: Path) -> None:
    for frame in video_frames(path, 3)[-2:]:
        read_frame(frame, 2)


def _profiles(folder: Path) -> list[Path]:
    return [Path(shutil.copy(path, folder)) for path in sorted(profile.PROFILES.glob("*.yaml"))]


READERS = (
    Reader("read_mask", _masks, _read_mask),
    Reader("read_objects", _masks, lambda root, path: given.read_objects(path, SIZE)),
    Reader("read_image", _pictures, _read_picture),
    Reader("frame_size", _pictures, lambda root, path: frame_size(path)),
    Reader("training-images", _pictures, lambda root, path: read_frame(path, 2)),
    Reader("davis_sequences", _davis, lambda root, path: davis.davis_sequences(root)),
    Reader("jhmdb_clips", _jhmdb, lambda root, path: _finite(jhmdb.jhmdb_clips(root))),
    Reader("badja_clips", _badja, lambda root, path: _finite(badja.badja_clips(root))),
    Reader("training_videos", _youtube_vos, lambda root, path: training_videos(root)),
    Reader("training-frames", _videos, _read_training_video),
    Reader("open_video", _videos, lambda root, path: list(video.open_video(path).frames())),
    Reader("read_points", _points, _read_points),
    Reader("open_weights", _weights, _read_weights),
    Reader("load_profile", _profiles, lambda root, path: profile.load_profile(str(path))),
)
