"""Where each data set's files lie, for `data_check`: what should be there, and what is."""

from collections.abc import Callable
from pathlib import Path

from stt_study.benchmarks.badja import badja_davis, read_clip
from stt_study.data.check import Findings, Picture
from stt_core.training.decoding import frame_times
from stt_core.errors import InputError
from stt_core.files import read_json
from stt_study.benchmarks.matlab import read_array
from stt_core.training.pairs import IMAGE_ENDINGS, VIDEO_ENDINGS

DAVIS_SEQUENCES = {"train": 60, "val": 30}
IMAGENETTE_IMAGES = {"train": 9469, "val": 3925}
VIP_VIDEOS = 50
JHMDB_TEST, JHMDB_CLIPS = 268, 928
YOUTUBE_VIDEOS, YOUTUBE_FRAMES = 3471, 94_588
IMAGENET_CLASSES, IMAGENET_IMAGES = 1000, 1_281_167


def davis(root: Path, found: Findings) -> None:
    """DAVIS-2017: `ImageSets/2017/{train,val}.txt`, `JPEGImages/480p/SEQ`, `Annotations/480p/SEQ` or no annotations."""
    images, masks = (root / kind / "480p" for kind in ("JPEGImages", "Annotations"))
    lists = [split for split in DAVIS_SEQUENCES if (root / "ImageSets" / "2017" / f"{split}.txt").is_file()]
    if not lists:
        found.problems.append(f"{root / 'ImageSets' / '2017'} has neither train.txt nor val.txt; restore these lists.")
    if not masks.is_dir():
        found.notes.append(f"There are no annotations ({masks}): good for training, not for evaluation.")
    known = []
    for split in lists:
        names = found.names(root / "ImageSets" / "2017" / f"{split}.txt")
        known += names
        for name in names:
            found.gaps(_labelled(images / name, masks / name if masks.is_dir() else None, found), 0)
        found.count("sequences", len(names))
        found.of_official(len(names), DAVIS_SEQUENCES[split], f"sequences of {split}")
    found.unlisted(images, known)


def vip(root: Path, found: Findings) -> None:
    """VIP: `lists/{train,val}_videos.txt`, `Images/VIDEO`, `Annotations/VIDEO` or `Annotations/Category_ids/VIDEO`."""
    masks = root / "Annotations"
    if (masks / "Category_ids").is_dir():
        masks = masks / "Category_ids"
    known = []
    for split in ("val", "train"):
        path = root / "lists" / f"{split}_videos.txt"
        if split == "train" and not path.is_file():
            continue  # nothing is trained on it
        names = found.names(path)
        known += names
        for name in names:
            _labelled(root / "Images" / name, masks / name, found)
        found.count("videos", len(names))
        if split == "val":
            found.of_official(len(names), VIP_VIDEOS, "videos of val")
    found.unlisted(root / "Images", known)


def jhmdb(root: Path, found: Findings) -> None:
    """JHMDB: `val_list.txt`, and `train_list.txt` if there is one, whose lines name a clip's joints and frames."""
    known = []
    for split in ("val", "train"):
        path = root / f"{split}_list.txt"
        if split == "train" and not path.is_file():
            continue  # nothing is trained on it
        lines = found.names(path)
        for line in lines:
            if len(line.split()) != 2:
                found.problems.append(f"{path}: '{line}' is not '<joint_positions.mat> <frame folder>'; mend the line.")
                continue
            positions, folder = (root / part for part in line.split())
            known.append(folder)
            frames = found.frames(folder, "*.png")
            found.gaps(frames, 1)
            _joints(positions, len(frames), found)
        found.count("clips", len(lines))
        if split == "val":
            found.of_official(len(lines), JHMDB_TEST, "test clips of split 1")
    if (root / "train_list.txt").is_file():
        found.of_official(found.counts.get("clips", 0), JHMDB_CLIPS, "clips")
    for images in sorted({folder.parent.parent for folder in known if folder.parent.parent.is_dir()}):
        found.unlisted(images, [f"{folder.parent.name}/{folder.name}" for folder in known], "*/*")


def youtube_vos(root: Path, found: Findings) -> None:
    """YouTube-VOS: the frames that `train/meta.json` lists, and their annotations if `train/Annotations` is there."""
    meta, train = root / "train" / "meta.json", root / "train"
    try:
        videos = {
            video: sorted({frame for thing in entry["objects"].values() for frame in thing["frames"]})
            for video, entry in read_json(meta)["videos"].items()
        }
    except InputError as error:
        found.problems.append(str(error))
        return
    except (KeyError, TypeError, AttributeError) as error:
        found.problems.append(f"{meta} is not YouTube-VOS's (videos > id > objects > frames: {error!r}); restore it.")
        return
    for video, frames in sorted(videos.items()):
        paths = [train / "JPEGImages" / video / f"{frame}.jpg" for frame in frames]
        if not paths:
            found.problems.append(f"{meta} lists no frame of video {video}; restore it.")
        elif not paths[0].parent.is_dir():
            found.problems.append(
                f"{paths[0].parent} is missing, but {meta} lists {len(paths)} frames of it; restore it."
            )
            found.count("frames", len(paths))
        else:
            found.video(paths)
        if paths and (train / "Annotations").is_dir():
            masks = (train / "Annotations" / video / f"{path.stem}.png" for path in paths)
            found.add("annotations", (Picture(m, p, ids=True) for m, p in zip(masks, paths, strict=True)))
    found.count("videos", len(videos))
    found.of_official(len(videos), YOUTUBE_VIDEOS, "videos")
    found.of_official(found.counts.get("frames", 0), YOUTUBE_FRAMES, "listed frames")
    found.unlisted(train / "JPEGImages", videos)


def imagenet(root: Path, found: Findings) -> None:
    """ImageNet's layout: `train/<class>/*`, or `<class>/*`."""
    classes, images = _classes(root / "train" if (root / "train").is_dir() else root, found)
    found.of_official(classes, IMAGENET_CLASSES, "classes")
    found.of_official(images, IMAGENET_IMAGES, "images")


def imagenette(root: Path, found: Findings) -> None:
    """Imagenette: `{train,val}/<class>/*`."""
    for split, official in IMAGENETTE_IMAGES.items():
        if not (root / split).is_dir():
            if split == "train":
                found.problems.append(f"{root / split} is missing; restore it.")
            continue  # nothing reads val
        classes, images = _classes(root / split, found)
        found.of_official(classes, 10, f"classes of {split}")
        found.of_official(images, official, f"images of {split}")


def badja(root: Path, found: Findings) -> None:
    """BADJA: `joint_annotations/*.json`, whose frames lie in BADJA's own folder or in a DAVIS in it or beside it."""
    lists = sorted((root / "joint_annotations").glob("*.json"))
    if not lists:
        found.problems.append(f"{root / 'joint_annotations'} has no *.json lists; give the folder of BADJA.")
    for path in lists:
        found.count("clips")
        try:
            clip = read_clip(path, root, badja_davis(root))
        except InputError as error:
            found.problems.append(str(error))
            continue
        found.video(list(clip.frames))
        found.count("annotated frames", len(clip.times))
        if clip.masks:
            found.add("masks", (Picture(mask, ids=True) for mask in clip.masks))
        else:
            found.notes.append(f"{clip.name} has no masks, which its authors' rule of correct points needs.")


def videos(root: Path, found: Findings) -> None:
    """Any folder of frame folders and video files; of a video file, its first and its last listed frame are decoded."""
    for path in sorted(root.iterdir()):
        if path.is_dir():
            frames = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS)
            if len(frames) < 2:
                found.problems.append(
                    f"{path} has {len(frames)} frames, and a pair takes two; take it out of the folder."
                )
            found.count("videos")
            found.video(frames)
        elif path.suffix.lower() in VIDEO_ENDINGS:
            found.count("videos")
            try:
                times = frame_times(path, 1)
            except InputError as error:
                found.problems.append(str(error))
                continue
            found.count("frames", len(times))
            found.add(
                "frames decoded of video files", (Picture(frame) for frame in dict.fromkeys(times[:1] + times[-1:]))
            )


LAYOUTS: dict[str, Callable[[Path, Findings], None]] = {
    "davis": davis,
    "vip": vip,
    "jhmdb": jhmdb,
    "badja": badja,
    "youtube-vos": youtube_vos,
    "imagenet": imagenet,
    "imagenette": imagenette,
    "videos": videos,
}


def _labelled(images: Path, masks: Path | None, found: Findings) -> list[Path]:
    """The .jpg frames of a sequence; each must have a .png annotation, unless `masks` is None."""
    frames = found.frames(images, "*.jpg")
    if masks is None or not frames:
        return frames
    if not masks.is_dir():
        found.problems.append(f"{masks} is missing, but its frames are there; restore these annotations.")
        return frames
    paths = {masks / f"{frame.stem}.png": frame for frame in frames}
    found.add("annotations", (Picture(mask, frame, ids=True) for mask, frame in paths.items()))
    for mask in sorted(set(masks.glob("*.png")) - set(paths)):
        found.problems.append(f"{mask} annotates a frame that is not in {images}; restore the frame.")
    return frames


def _joints(path: Path, frames: int, found: Findings) -> None:
    found.count("joint files")
    if not path.is_file():
        found.problems.append(f"{path} is missing; restore it.")
        return
    try:
        shape = read_array(path.read_bytes(), "pos_img").shape
    except ValueError as error:
        found.problems.append(f"{path} has no readable pos_img ({error}); restore it.")
        return
    if len(shape) != 3 or shape[:2] != (2, 15) or not shape[2]:
        found.problems.append(f"{path}: pos_img is {shape}, not (2, 15, frames); restore it.")
    elif frames and shape[2] > frames:
        found.problems.append(
            f"{path} has joints of {shape[2]} frames, but only {frames} frames are there; restore them."
        )


def _classes(root: Path, found: Findings) -> tuple[int, int]:
    """Count the class folders and images of one split."""
    classes, before = sorted(path for path in root.iterdir() if path.is_dir()), found.counts.get("images", 0)
    for folder in classes:
        files = sorted(folder.iterdir())
        images = [path for path in files if path.suffix.lower() in IMAGE_ENDINGS]
        if not images:
            found.problems.append(f"{folder} has no images (.JPEG, .jpg or .png); restore this class.")
        if len(images) < len(files):
            found.count("other files", len(files) - len(images))
        found.add("images", (Picture(path) for path in images))
    if not classes:
        found.problems.append(f"{root} has no class folders (<class>/*.JPEG); put ImageNet's layout there.")
    found.count("classes", len(classes))
    return len(classes), found.counts.get("images", 0) - before
