"""The world that ships as code: images, training videos and three benchmarks, written in the official layouts.

What cannot be read off the official files (cuts, jumps, occlusions) stands in an `events.json` beside the videos.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import cv2
from filelock import FileLock

from stt_core.errors import InputError
from stt_core.files import read_json, write_json, write_text
from stt_core.settings import checked
from stt_study.store import code_fingerprint
from stt_study.world.layouts import davis_video, image_class, jhmdb_video, train_video, vip_video


@checked
class World:
    """What is made. VIP and JHMDB get two thirds as many videos as DAVIS, rounded down, but at least one."""

    seed: int = 0
    size: int = 160  # px, height and width of every frame
    images: int = 1200
    classes: int = 40
    train_videos: int = 120  # unlabelled
    train_frames: int = 12
    val_videos: int = 6  # labelled, for choosing settings
    test_videos: int = 12  # labelled, for reporting
    frames: int = 24  # of a labelled video

    def __post_init__(self) -> None:
        counts = {name: value for name, value in asdict(self).items() if name not in ("seed", "size")}
        if self.seed < 0 or self.size < 32 or min(counts.values()) < 1 or self.classes > self.images:
            raise InputError(
                f"{self} cannot be made: give seed >= 0, size >= 32, every count >= 1 and no more classes than images."
            )


def is_complete(root: str | Path, world: World = World()) -> bool:
    """Whether `root` holds exactly this world, made by this version of the renderer."""
    stamp = Path(root) / "world.json"
    return stamp.is_file() and read_json(stamp) == _stamp(world)


def write_world(root: str | Path, world: World = World(), progress: Callable[[int, int], None] | None = None) -> Path:
    """Make the world under `root`, whole or not at all; return at once if it is there already.

    The labelled validation videos are listed as each benchmark's training split, the test videos as its `val` split,
    because that is what loaders evaluate by default.

    Args:
        root: folder to make. A different world in it is replaced.
        world: what to make.
        progress: called with (jobs done, jobs in all) after each class of images and each video.

    Returns:
        root, with `imagenet/`, `youtube-vos/`, `davis/`, `vip/`, `jhmdb/` and `world.json`.

    Raises:
        InputError: `root` holds something else.
    """
    root = Path(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):  # a second one waits, and finds it complete
        return root if is_complete(root, world) else _write(root, world, progress)


def _write(root: Path, world: World, progress: Callable[[int, int], None] | None) -> Path:
    ours = root.is_dir() and ((root / "world.json").is_file() or not any(root.iterdir()))
    if root.exists() and not ours:
        raise InputError(f"{root} holds something else than a world made here: name another folder or move it away.")
    for left in root.parent.glob(f".{root.name}.*.making"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    making = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".making", dir=root.parent))
    try:
        _make(making, world, progress)
        making.chmod(0o755)  # mkdtemp makes it private
        if root.exists():
            shutil.rmtree(root)
        making.rename(root)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return root


def _stamp(world: World) -> dict:
    return {"renderer": code_fingerprint(__name__), **asdict(world)}


def _make(root: Path, world: World, progress: Callable[[int, int], None] | None) -> None:
    common = (root, world.seed, world.size)
    many = {"val": world.val_videos, "test": world.test_videos}
    fewer = {split: max(1, count * 2 // 3) for split, count in many.items()}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a video per thread is quicker than a few rows of pixels per thread
    # Threads, not processes: nothing has to be spawned from a notebook, and OpenCV works outside of Python's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        videos = [pool.submit(train_video, *common, i, world.train_frames) for i in range(world.train_videos)]
        counts = [len(range(i, world.images, world.classes)) for i in range(world.classes)]
        images = [pool.submit(image_class, *common, i, count) for i, count in enumerate(counts)]
        benchmarks = ("davis", davis_video, many), ("vip", vip_video, fewer), ("jhmdb", jhmdb_video, fewer)
        labelled: dict[tuple[str, str], list[Future]] = {
            (benchmark, split): [pool.submit(job, *common, split, i, world.frames) for i in range(count)]
            for benchmark, job, counts in benchmarks
            for split, count in counts.items()
        }
        jobs = [*videos, *images, *(job for part in labelled.values() for job in part)]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            if progress:
                progress(done, len(jobs))
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)

    made = [job.result() for job in videos]
    train = root / "youtube-vos" / "train"
    write_json(train / "meta.json", {"videos": {video: meta for video, meta, _ in made}})
    write_json(train / "events.json", {video: events for video, _, events in made})
    results = {key: [job.result() for job in part] for key, part in labelled.items()}
    for benchmark in ("davis", "vip", "jhmdb"):
        events = {name: what for split in many for name, what in results[benchmark, split]}
        write_json(root / benchmark / "events.json", events)
    for split, official in (("val", "train"), ("test", "val")):  # ours -> where loaders look for it
        names = {benchmark: [name for name, _ in results[benchmark, split]] for benchmark in ("davis", "vip", "jhmdb")}
        write_text(root / "davis" / "ImageSets" / "2017" / f"{official}.txt", _lines(names["davis"]))
        write_text(root / "vip" / "lists" / f"{official}_videos.txt", _lines(names["vip"]))
        pair = "JHMDB/joint_positions/{0}/joint_positions.mat JHMDB/Rename_Images/{0}"
        write_text(root / "jhmdb" / f"{official}_list.txt", _lines(map(pair.format, names["jhmdb"])))
    write_json(root / "world.json", _stamp(world))


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)
