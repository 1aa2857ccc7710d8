"""The world that ships as code: images, training videos and three benchmarks, written in the official layouts.

What cannot be read off the official files (cuts, jumps, occlusions) stands in an `events.json` beside the videos.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import cv2
from filelock import FileLock

from stt_core.errors import InputError
from stt_core.files import read_json, write_json, write_text
from stt_study.store import code_fingerprint
from stt_study.world.layouts import World, davis_video, image_class, jhmdb_video, train_video, vip_video


def write_world(root: str | Path, world: World = World()) -> Path:
    """Make the world under `root`, whole or not at all; return at once if it is there already.

    Validation videos are listed as each benchmark's training split, test videos as its `val` split, which loaders
    evaluate by default. A different world in `root` is replaced, anything else refused. `root`, which is returned, gets
    `imagenet/`, `youtube-vos/`, `davis/`, `vip/`, `jhmdb/` and `world.json`.
    """
    root = Path(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    stamp, making = root / "world.json", root.with_name(f".{root.name}.making")
    made = {"renderer": code_fingerprint(__name__), **asdict(world)}
    with FileLock(root.with_name(f".{root.name}.lock")):  # a second one waits, and finds it complete
        if stamp.is_file() and read_json(stamp) == made:
            return root
        if root.exists() and not stamp.is_file() and not (root.is_dir() and not any(root.iterdir())):
            problem = f"{root} holds something else than a world made here"
            raise InputError(f"{problem}: name another folder or move it away.")
        shutil.rmtree(making, ignore_errors=True)  # by one that was killed
        try:
            _make(making, world)
            write_json(making / "world.json", made)
            shutil.rmtree(root, ignore_errors=True)
            making.rename(root)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return root


LABELLED = {  # benchmark -> what makes a video of it, where loaders look for its lists, a line of those
    "davis": (davis_video, "ImageSets/2017/{}.txt", "{0}"),
    "vip": (vip_video, "lists/{}_videos.txt", "{0}"),
    "jhmdb": (jhmdb_video, "{}_list.txt", "JHMDB/joint_positions/{0}/joint_positions.mat JHMDB/Rename_Images/{0}"),
}


def _make(root: Path, world: World) -> None:
    many = {"val": world.val_videos, "test": world.test_videos}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a video per thread is quicker than a few rows of pixels per thread
    # Threads, not processes: nothing has to be spawned from a notebook, and OpenCV works outside of Python's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        videos = [pool.submit(train_video, root, world, i) for i in range(world.train_videos)]
        images = [pool.submit(image_class, root, world, i) for i in range(world.classes)]
        labelled = {}
        for benchmark, (job, *_) in LABELLED.items():
            for split, most in many.items():
                count = most if benchmark == "davis" else max(1, most // 3)
                labelled[benchmark, split] = [pool.submit(job, root, world, split, i) for i in range(count)]
        for job in as_completed([*videos, *images, *chain(*labelled.values())]):
            job.result()  # the first that fails ends all
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)

    made = [job.result() for job in videos]
    train = root / "youtube-vos" / "train"
    write_json(train / "meta.json", {"videos": {video: meta for video, meta, _ in made}})
    write_json(train / "events.json", {video: events for video, _, events in made})
    for benchmark, (_, path, line) in LABELLED.items():
        results = {split: [job.result() for job in labelled[benchmark, split]] for split in many}
        write_json(root / benchmark / "events.json", dict(chain(*results.values())))
        for split, official in (("val", "train"), ("test", "val")):
            lines = [f"{line.format(name)}\n" for name, _ in results[split]]
            write_text(root / benchmark / path.format(official), "".join(lines))
