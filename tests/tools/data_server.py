"""A file server on the loopback for tests: ranges, cut connections, wrong answers; small archives in real layouts."""

import io
import itertools
import json
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat


class Server:
    """Serves `files`; `cuts` are the numbers of bytes after which the next answers break off.

    Attributes:
        ranges: whether it honours Range. statuses: answers to give first, without a file.
        asked: (path, Range or None) of every request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name, wanted = handler.path.removeprefix("/"), handler.headers.get("Range")
        self.asked.append((name, wanted))
        if self.statuses or name not in self.files:
            handler.send_error(self.statuses.pop(0) if self.statuses else 404)
            return
        content, start = self.files[name], 0
        if self.ranges and wanted:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else len(content)
        handler.wfile.write(content[start : start + cut])
        handler.close_connection = True

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def jpeg(size: tuple[int, int] = (24, 32), shade: int = 90) -> bytes:
    """A JPEG of (height, width) px."""
    image = np.full((*size, 3), shade, np.uint8)
    image[4:12, 6:20] = (30, 200, 220)
    return cv2.imencode(".jpg", image)[1].tobytes()


def png(size: tuple[int, int] = (24, 32), *, mode: str = "P") -> bytes:
    """A PNG of (height, width) px: an annotation of one object, or ("RGB") a frame."""
    ids = np.zeros(size, np.uint8)
    ids[4:12, 6:20] = 1
    file = io.BytesIO()
    Image.fromarray(ids).convert(mode).save(file, "PNG")
    return file.getvalue()


def mat(frames: int, joints: int = 15) -> bytes:
    file = io.BytesIO()
    savemat(file, {"pos_img": np.full((2, joints, frames), 5.0)})
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], *, gz: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if gz else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def davis_files(frames: int = 3) -> dict[str, bytes]:
    """DAVIS's archive: two sequences to train, one to validate."""
    files = {"DAVIS/README.md": b"DAVIS"}
    for name in ("bear", "bike", "cows"):
        for t in range(frames):
            files[f"DAVIS/JPEGImages/480p/{name}/{t:05d}.jpg"] = jpeg(shade=60 + t)
            files[f"DAVIS/Annotations/480p/{name}/{t:05d}.png"] = png()
    files["DAVIS/ImageSets/2017/train.txt"] = b"bear\nbike\n"
    files["DAVIS/ImageSets/2017/val.txt"] = b"cows\n"
    return files


def jhmdb_archives(frames: int = 3) -> dict[str, bytes]:
    """JHMDB's three archives: two actions of a test and a training clip each, and a clip of neither."""
    images, joints, splits = {}, {}, {}
    for action in ("catch", "pour"):
        for clip in ("one_#1", "two", "unused"):
            for t in range(1, frames + 1):
                images[f"Rename_Images/{action}/{clip}/{t:05d}.png"] = png(mode="RGB")
                images[f"Rename_Images/{action}/{clip}/._{t:05d}.png"] = b"of macOS"
            images[f"Rename_Images/.AppleDouble/{action}-{clip}"] = b"of macOS"
            joints[f"joint_positions/{action}/{clip}/joint_positions.mat"] = mat(frames)
        lines = "one_#1.avi 2 \ntwo.avi 1\nunused.avi 0\n\n"
        splits[f"splits/{action}_test_split1.txt"] = lines.encode()
        splits[f"splits/{action}_test_split2.txt"] = b"two.avi 2\none_#1.avi 1\n"
    return {
        "Rename_Images.tar.gz": tarred(images, gz=True),
        "joint_positions.zip": zipped(joints),
        "splits.zip": zipped(splits),
    }


def imagenette_files() -> dict[str, bytes]:
    names = itertools.product(("train", "val"), ("n01440764", "n02102040"), range(2))
    return {f"imagenette2-160/{split}/{wnid}/{i}.JPEG": jpeg() for split, wnid, i in names}


def youtube_files() -> dict[str, bytes]:
    videos, frames = ("003234408d", "0043f083b5"), ["00000", "00005", "00010"]
    meta = {"videos": {video: {"objects": {"1": {"frames": frames}}} for video in videos}}
    pictures = {f"train/JPEGImages/{video}/{frame}.jpg": jpeg() for video in videos for frame in frames}
    return {"train/meta.json": json.dumps(meta).encode()} | pictures
