"""Objects and points of any video, given in its first frame and followed to its end: masks, tables and a film."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from stt_core import labels
from stt_core.checkpoints import file_hash
from stt_core.errors import InputError
from stt_core.features import FeatureSource, features_of, resized
from stt_core.files import read_json, write_json, write_tensors
from stt_core.propagation import Context, Inference
from stt_study.store import code_fingerprint, hash_of
from stt_study.video import files as own_files
from stt_study.video.drawing import blended, draw_point
from stt_study.video.frames import Video, open_video, write_video
from stt_study.video.given import Given, read_objects, read_points

EVERY = 25  # frames between two saved states: what a killed run loses at most


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

    Features and label maps of `inference.num_preceding` frames and frame 0 are held, however long the video is. A stopped
    run goes on when it is called again, and leaves the same files as one that was not stopped. In `out`:

    - `masks/00000.png` …: palette PNGs of the video's size; `masks.csv`: each object's area and confidence in each frame.
    - `points.csv`: each point's x, y (px of the video; empty where it is lost) and confidence in each frame.
    - `overlay.mp4`: masks and points drawn over the video, at the video's times.
    - `settings.json`: what was run; `state.pt`, until the end: what the next call goes on with.

    Args:
        path: a video file or a folder of frames, see `frames.open_video`.
        mask: see `read_objects`.
        points: see `read_points`.
        rate: frames a second of a folder.

    Returns:
        The content of `settings.json`; `frames` is how many there are.

    Raises:
        InputError: an input that cannot be read or does not fit, or an `out` with other things in it or whose files, of a
            run that was stopped, are broken. Where the video breaks off, everything up to there stays, with its overlay.
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
    count, problem = _follow(source, video, Given(ids, names, places), inference, out)
    write_overlay(video, out, count)
    if problem:
        raise problem
    write_json(out / "settings.json", settings | {"frames": count, "files": video.fingerprint(count)})
    (out / "state.pt").unlink()
    return read_json(out / "settings.json")


def run_settings(
    source: FeatureSource, video: Video, inference: Inference, mask: str | Path | None, points: str | Path | None
) -> dict:
    """What the results depend on, but for the frames themselves (`Video.fingerprint`); `settings.json` begins with it."""
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
        raise InputError(
            f"{out} was begun with another {' and '.join(changed)}; give a new folder, or delete that one."
        )
    return earlier


def _check(video: Video, count: int, files: object, out: Path) -> None:
    if video.fingerprint(count) != files:
        raise InputError(f"{video.path} has changed since {out} was begun; give a new folder, or delete that one.")


def _follow(
    source: FeatureSource, video: Video, given: Given, inference: Inference, out: Path
) -> tuple[int, InputError | None]:
    """From the saved state to the end, or to where the video breaks off: frames done in all, and why it broke off."""
    state, kept = out / "state.pt", inference.num_preceding
    done, known = 0, []  # frames, and the label maps of the last of them but frame 0
    if state.exists():
        done, known, files = own_files.read_state(state, kept)
        _check(video, done, files, out)
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
        write_tensors(state, {"frames": done, "maps": maps, "files": video.fingerprint(done)})

    features = features_of(source, images(), inference.resize)
    first = next(features, None)
    if first is None:
        raise problem or InputError(f"{video.path} has no frame; give another video.")
    size = resized(np.zeros(video.size, np.uint8), inference.resize).shape
    first_maps = given.maps(video.size, size, first.shape[1:]).to(first)
    if any(maps.shape != first_maps.shape for maps in known):
        raise own_files.broken(state)
    known = [maps.to(first_maps) for maps in known]
    classes = given.classes
    if classes:
        own_files.begin(out / "masks.csv", own_files.OBJECT_COLUMNS, done, classes - 1)
        for path in (_mask(out, number) for number in range(done)):
            if not path.is_file():
                raise InputError(f"{path} is missing, but was done; delete {state} to begin the video anew.")
    if given.names:
        own_files.begin(out / "points.csv", own_files.POINT_COLUMNS, done, len(given.names))
    stream = _propagated(itertools.chain([first], features), first_maps, start, known, inference)
    try:
        for maps in tqdm(stream, video.path.name, video.count, unit="frame", initial=done, disable=None):
            at = (done, round(times.popleft(), 6))
            if classes:
                ids = labels.decode_masks(maps[:classes], video.size) if done else given.ids
                labels.write_mask(_mask(out, done), ids)
                areas, sure = np.bincount(ids.ravel(), minlength=classes), object_confidence(maps[1:classes])
                own_files.append(
                    out / "masks.csv", [(*at, k, areas[k], f"{sure[k - 1]:.4f}") for k in range(1, classes)]
                )
            if given.names:
                places = given.places
                if done:  # one by one: maps of the video's size are large
                    places = [labels.decode_keypoints(one[None], video.size)[0] for one in maps[classes:]]
                sure = point_confidence(maps[classes:], first_maps[classes:])
                rows = zip(given.names, places, sure, strict=True)
                own_files.append(out / "points.csv", [(*at, name, *_written(xy), f"{c:.4f}") for name, xy, c in rows])
            done, known = done + 1, [*known, maps][-kept:] if done and kept else []
            if done % EVERY == 0:
                save()
    finally:
        if done:
            save()
    return done, problem


def _propagated(
    features: Iterable[Tensor], first_maps: Tensor, start: int, known: list[Tensor], inference: Inference
) -> Iterator[Tensor]:
    """Label maps (K, h, w) from frame `start` on; features are those of frame 0, of the frames `known`, and from `start` on."""
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
    """How sure each object's cells are, 0 to 1, out of its label map (K, h, w): the mean of their shares of the vote.

    A cell counts by its share, so that no line is drawn between the object's cells and others. 1 in the first frame; 0 if
    nothing is left of it, or if from the start it was too small for the features' cells.
    """
    return (maps.square().sum(dim=(1, 2)) / maps.sum(dim=(1, 2)).clamp(min=1e-12)).clamp(max=1).tolist()


def point_confidence(maps: Tensor, first: Tensor) -> list[float]:
    """How much is left of each point's peak, 0 to 1: the largest value of its map (J, h, w), by that of frame 0."""
    return (maps.amax(dim=(1, 2)) / first.amax(dim=(1, 2))).clamp(max=1).tolist()


def write_overlay(video: Video, out: Path, count: int) -> None:
    """Draw `masks/` and `points.csv`, as far as they are there, over the first `count` frames: `overlay.mp4`."""
    points = own_files.by_frame(out / "points.csv")
    scale = max(1, round(min(video.size) / 480))

    def drawn() -> Iterator[tuple[float, np.ndarray]]:
        frames = itertools.islice(video.frames(), count)
        for number, time, image in tqdm(frames, "overlay", count, unit="frame", disable=None):
            path = _mask(out, number)
            image = blended(image, labels.read_mask(path)) if path.exists() else image.copy()
            for k, row in enumerate(next(points, ()), start=1):
                if row["x"]:
                    xy = float(row["x"]), float(row["y"])
                    draw_point(image, row["name"], xy, labels.PALETTE[k % 256].tolist(), scale)
            yield time, image

    write_video(out / "overlay.mp4", drawn(), video.rate)


def _written(xy: np.ndarray) -> tuple[str, str]:
    return (f"{xy[0]:.2f}", f"{xy[1]:.2f}") if xy[0] >= 0 else ("", "")


def _mask(out: Path, number: int) -> Path:
    return out / "masks" / f"{number:05d}.png"
