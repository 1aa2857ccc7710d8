"""Objects and points of any video, given in its first frame and followed to its end: masks, tables and a film."""

import csv
import io
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stt_core import labels
from stt_core.checkpoints import file_hash
from stt_core.errors import InputError
from stt_core.features import FeatureSource, features_of, resized_size
from stt_core.files import read_json, write_json, write_tensors, write_text
from stt_core.propagation import Context, Inference
from stt_study.store import code_fingerprint, hash_of
from stt_study.video.drawing import blended, draw_point
from stt_study.video.frames import Video, open_video, write_video
from stt_study.video.given import Given, read_objects, read_points

# A point this near to the picture's edge (cells) with so little left of its peak has left the picture. Chosen on joints
# of 24 validation clips of the shipped world, which knows when they are outside, with the full method's weights, at 240
# and 480 px and stride 8: of the pairs that lose under 1 % of the joints that are followed well (error below PCK 0.1),
# the one that finds most of those outside, 39 and 58 %.
EDGE, LEFT = 1, 0.3
EVERY = 25  # frames between two saved states: what a killed run loses at most
MASK = "masks/{:05d}.png"  # of a frame
COLUMNS = {
    "masks": ("frame", "time_s", "object", "area_px", "confidence"),
    "points": ("frame", "time_s", "name", "x", "y", "confidence"),
}
Rows = dict[str, list[tuple]]  # of the two tables


def propagate_video(
    source: FeatureSource,
    path: str | Path,
    out: str | Path,
    inference: Inference,
    *,
    mask: str | Path | None = None,
    points: str | Path | None = None,
    rate: float = 24.0,
) -> dict:
    """Follow the objects of `mask` and the points of `points`, both of frame 0, through a video.

    Features and label maps of `inference.num_preceding` frames and frame 0 are held, however long the video is. A
    stopped run goes on when it is called again, and leaves the same files as one that was not stopped. In `out`:

    - `masks/00000.png` …: palette PNGs of the video's size; `masks.csv`: each object's area and confidence.
    - `points.csv`: each point's x, y (px of the video; empty where it is `lost`) and confidence in each frame.
    - `overlay.mp4`: masks and points drawn over the video, at the video's times; a lost point fades.
    - `settings.json`: what was run; `state.pt`, until the end: what the next call goes on with.

    `path` and `rate` are as of `open_video`, `mask` of `read_objects`, `points` of `read_points`. Returns what is in
    `settings.json`; "frames" is how many there are. InputError: an input that cannot be read or does not fit, an `out`
    with other things in it or a broken state. Where the video breaks off, all up to there stays, with its overlay.
    """
    out, video = Path(out), open_video(path, rate)
    if mask is None and points is None:
        raise InputError(f"there is nothing to follow in {path}; give a mask, points or both.")
    ids = None if mask is None else read_objects(mask, video.size)
    names, places = ((), np.zeros((0, 2), np.float32)) if points is None else read_points(points, video.size)
    settings = run_settings(source, video, inference, mask, points)
    earlier = _begun(out, settings)
    if "frames" in earlier:
        _check(video, len(video.files), earlier.get("files"), out)
        return earlier
    given = Given(ids, names, places)
    count, rows, problem = _follow(source, video, given, inference, out)
    write_overlay(video, given, rows["points"], out, count)
    if problem:
        raise problem
    write_json(out / "settings.json", settings | {"frames": count, "files": video.fingerprint(count)})
    (out / "state.pt").unlink()
    return read_json(out / "settings.json")


def run_settings(
    source: FeatureSource, video: Video, inference: Inference, mask: str | Path | None, points: str | Path | None
) -> dict:
    """What the results depend on, but for the frames themselves (`Video.fingerprint`)."""
    return {
        "video": {"name": video.path.name, "size": video.size[::-1], "rate": video.rate},
        "mask": mask and file_hash(mask),
        "points": points and file_hash(points),
        "weights": source.identity,
        "stride": source.stride,
        "propagation": asdict(inference),
        "code": code_fingerprint(__name__),
    }


def _begun(out: Path, settings: dict) -> dict:
    """What `settings.json` says; the first call writes it."""
    path = out / "settings.json"
    if not path.exists():
        if out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
            raise InputError(f"{out} holds other things than the results of a video; give a new folder.")
        write_json(path, settings)
    earlier = read_json(path)
    if not isinstance(earlier, dict):
        raise InputError(f"{path} is not what a followed video leaves; give a new folder, or delete that one.")
    if changed := [name for name in settings if hash_of(earlier.get(name)) != hash_of(settings[name])]:
        what = " and ".join(changed)
        raise InputError(f"{out} was begun with another {what}; give a new folder, or delete that one.")
    return earlier


def _check(video: Video, count: int, files: object, out: Path) -> None:
    if video.fingerprint(count) != files:
        raise InputError(f"{video.path} has changed since {out} was begun; give a new folder, or delete that one.")


def _read_state(path: Path) -> tuple[int, list[Tensor], Rows, str]:
    """Frames done, label maps of the last of them, the tables' rows, the fingerprint of the frames' images."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return saved["frames"], saved["maps"], saved["rows"], saved["files"]
    except (PermissionError, MemoryError):
        raise
    except Exception:  # broken bytes raise nearly every kind
        raise InputError(f"{path} is broken; delete it to begin the video anew.") from None


def _follow(
    source: FeatureSource, video: Video, given: Given, inference: Inference, out: Path
) -> tuple[int, Rows, InputError | None]:
    """From the saved state to the end, or to where the video breaks off: frames in all, rows, and why it broke off."""
    state, kept = out / "state.pt", inference.num_preceding
    done, known, rows = 0, [], {name: [] for name in COLUMNS}  # known: maps of the last frames but frame 0
    if state.exists():
        done, known, rows, files = _read_state(state)
        _check(video, done, files, out)
        for path in (out / MASK.format(number) for number in range(done if given.ids is not None else 0)):
            if not path.is_file():
                raise InputError(f"{path} is missing, but was done; delete {state} to begin the video anew.")
    start, first_again = done, max(done - len(known), 1)  # features are large: they are made again, not saved
    times, problem = deque(), None

    def images() -> Iterator[np.ndarray]:
        nonlocal problem
        try:
            for frame in video.frames(skip=range(1, first_again)):
                if frame.number >= start:
                    times.append(frame.time)
                yield frame.image
        except InputError as error:  # raised once the frames before it are done
            problem = error

    def save() -> None:
        maps = [each.cpu() for each in known]
        write_tensors(state, {"frames": done, "maps": maps, "rows": rows, "files": video.fingerprint(done)})

    features = features_of(source, images(), inference.resize)
    first = next(features, None)
    if first is None:
        raise problem or InputError(f"{video.path} has no frame; give another video.")
    size = resized_size(video.size, inference.resize)
    first_maps = given.maps(video.size, size, first.shape[1:]).to(first)
    known = [maps.to(first_maps) for maps in known]
    stream = _propagated(itertools.chain([first], features), first_maps, start, known, inference)
    try:
        for maps in tqdm(stream, video.path.name, video.count, unit="frame", initial=done, disable=None):
            at, objects = (done, round(times.popleft(), 6)), maps[: len(given.classes)]
            if given.ids is not None:
                ids = given.classes[labels.decode_masks(objects, video.size)] if done else given.ids
                labels.write_mask(out / MASK.format(done), ids)
                areas = np.bincount(ids.ravel(), minlength=256).tolist()
                for k, sure in zip(given.classes[1:].tolist(), object_confidence(objects[1:]), strict=True):
                    rows["masks"].append((*at, k, areas[k], f"{sure:.4f}"))
            peaks = maps[len(given.classes) :]
            # One by one: maps of the video's size are large.
            places = [labels.decode_keypoints(one[None], video.size)[0] for one in peaks] if done else given.places
            confidence = point_confidence(peaks, first_maps[len(given.classes) :])
            gone = lost(np.array(places), confidence, video.size, maps.shape[1:])
            for name, xy, sure, out_of_sight in zip(given.names, places, confidence, gone, strict=True):
                written = ["" if out_of_sight else f"{v:.2f}" for v in xy]
                rows["points"].append((*at, name, *written, f"{sure:.4f}"))
            done, known = done + 1, [*known, maps][-kept:] if done and kept else []
            if done % EVERY == 0:
                save()
    finally:
        if done:
            save()
            for name, table in rows.items():
                if table:
                    text = io.StringIO(newline="")
                    csv.writer(text, lineterminator="\n").writerows([COLUMNS[name], *table])
                    write_text(out / f"{name}.csv", text.getvalue())
    return done, rows, problem


def _propagated(
    features: Iterable[Tensor], first_maps: Tensor, start: int, known: list[Tensor], inference: Inference
) -> Iterator[Tensor]:
    """Label maps (K, h, w) from frame `start` on; features are of frame 0, the frames `known`, and `start` on."""
    context = Context(**inference.propagation())
    numbers = itertools.chain([0], itertools.count(max(start - len(known), 1)))
    for t, frame in zip(numbers, features, strict=False):
        if t and t >= start:
            yield context.propagate(t, frame)
        else:
            maps = known[t - start] if t else first_maps
            context.put(t, frame, maps)
            if t == start:
                yield maps


def object_confidence(maps: Tensor) -> list[float]:
    """Mean share of the vote, 0 to 1, in each object's cells (K, h, w), each weighted by its share; 0 of none."""
    return (maps.square().sum(dim=(1, 2)) / maps.sum(dim=(1, 2)).clamp(min=1e-12)).clamp(max=1).tolist()


def point_confidence(maps: Tensor, first: Tensor) -> list[float]:
    """How much is left of each point's peak, 0 to 1: the largest value of its map (J, h, w), by that of frame 0."""
    return (maps.amax(dim=(1, 2)) / first.amax(dim=(1, 2))).clamp(max=1).tolist()


def lost(places: np.ndarray, confidence: list[float], size: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """Which points (J,) have left the picture: their places (J, 2) xy px are near its edge, with little confidence.

    `size`: (H, W) of the picture; `grid`: (h, w) of the maps. Also lost is a point of which no peak is left, at -1, -1.
    """
    cells = (places.reshape(-1, 2) + 0.5) * np.divide(grid, size)[::-1]  # from the picture's corner
    edge = np.minimum(cells, np.array(grid[::-1]) - cells).min(axis=1)
    return (edge < EDGE) & ~(np.array(confidence) >= LEFT)  # NaN: there was no peak from the beginning


def write_overlay(video: Video, given: Given, points: list[tuple], out: Path, count: int) -> None:
    """Draw `masks/` and the rows of `points.csv` over the first `count` frames: `overlay.mp4`."""
    scale, seen = max(1, round(min(video.size) / 480)), dict(zip(given.names, given.places.tolist(), strict=True))

    def drawn() -> Iterator[tuple[float, np.ndarray]]:
        frames = itertools.islice(video.frames(), count)
        for number, time, image in tqdm(frames, "overlay", count, unit="frame", disable=None):
            image = image.copy() if given.ids is None else blended(image, labels.read_mask(out / MASK.format(number)))
            own = points[number * len(given.names) :][: len(given.names)]
            for k, (_, _, name, x, y, _) in enumerate(own, start=1):
                seen[name] = (float(x), float(y)) if x else seen[name]
                marked = image if x else image.copy()
                draw_point(marked, name, seen[name], labels.PALETTE[k % 256].tolist(), scale)
                if not x:
                    cv2.addWeighted(image, 0.65, marked, 0.35, 0, dst=image)
            yield time, image

    write_video(out / "overlay.mp4", drawn(), video.rate)
