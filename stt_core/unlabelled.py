"""Where unlabelled training videos lie: lists of frames, out of YouTube-VOS's list, DAVIS's, or any folder."""

from pathlib import Path

from stt_core.datasets import listed
from stt_core.decoding import VideoFrame, frame_times
from stt_core.files import InputError, read_json
from stt_core.pictures import picture_files

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
EVERY = 5  # frames of a video file: YouTube-VOS lists every fifth


def training_videos(root: str | Path) -> list[list[Path | VideoFrame]]:
    """The frames of every video, in order.

    Videos are, whichever is found first: `root/train/meta.json` (YouTube-VOS: the frames listed for its objects),
    `root/JPEGImages/480p` (DAVIS: the sequences of `ImageSets/2017/train.txt`, all if there is no such list), or all
    frame folders and video files in `root`, of which every fifth frame is taken.

    Raises:
        InputError: a missing folder, a broken list, a listed video that is missing, a video that can't be read.
    """
    root = Path(root)
    meta = root / "train" / "meta.json"
    if meta.is_file():
        return _youtube_vos(meta)
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{root} {state}; give the folder of the training videos.")
    frames = root / "JPEGImages" / "480p"
    names = root / "ImageSets" / "2017" / "train.txt"
    if frames.is_dir() and names.is_file():
        videos = [frames / name for name in listed(names)]
    else:
        found = sorted((frames if frames.is_dir() else root).iterdir())
        found = [path for path in found if not path.name.startswith(".")]
        videos = [path for path in found if path.is_dir() or path.suffix.lower() in VIDEO_ENDINGS]
    for folder in videos:
        if not folder.exists():
            raise InputError(f"{folder} is listed but missing; unpack it or take it off the list.")
    return [frame_times(video, EVERY) if video.is_file() else picture_files(video, IMAGE_ENDINGS) for video in videos]


def _youtube_vos(meta: Path) -> list[list[Path]]:
    try:
        videos = read_json(meta)["videos"]
        names = {
            video: sorted({frame for thing in entry["objects"].values() for frame in thing["frames"]})
            for video, entry in videos.items()
        }
        for name in (*names, *(frame for frames in names.values() for frame in frames)):
            if not name.isprintable() or Path(name).name != name:
                raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"{meta} is not YouTube-VOS's meta.json (videos > id > objects > frames, which are names); restore it."
        ) from None
    paths = [
        [meta.parent / "JPEGImages" / video / f"{frame}.jpg" for frame in frames]
        for video, frames in sorted(names.items())
    ]
    for path in (frames[0] for frames in paths if frames):
        if not path.is_file():
            raise InputError(f"{path} is listed in {meta} but missing; unpack JPEGImages beside it.")
    return paths
