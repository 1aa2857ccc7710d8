"""BADJA: joints of real animals, most of them in DAVIS's videos (Biggs 2018, "Creatures great and SMAL").

PCK at 0.1 and 0.2 by JHMDB's rule, and by the authors' where masks are at hand: the first annotated frame is given and
not scored; in the others a visible joint counts as found closer than 0.2 sqrt(area of the mask); joints and frames of a
sequence are pooled; the mean over sequences. Both rules score only joints that are visible in the given frame, too.
"""

from pathlib import Path

import numpy as np

from stt_core.errors import InputError
from stt_core.files import read_json, write_json
from stt_core.labels import read_mask
from stt_core.pictures import frame_size
from stt_core.propagation import Inference
from stt_study.benchmarks import labelled_videos, metrics
from stt_study.benchmarks.label_sources import Source
from stt_study.benchmarks.run import Benchmark

SIZE = (1920, 1080)  # width, height: of DAVIS's full resolution, in whose pixels the joints of its videos are given
RULE = "PCK@0.2 sqrt(area)"  # as its authors measure
JHMDBS_RULE = {"thresholds": (0.1, 0.2), "absent": np.nan}


def badja_clips(root: str | Path, davis: str | Path | None = None, split: str = "") -> list[labelled_videos.Clip]:
    """Clips of `joint_annotations/*.json`, from the first annotated frame to the last; any split is the whole.

    Frames and masks are those named there, of DAVIS's below any of `badja_davis`; joints are scaled to these frames,
    and one at (0, 0) is not visible. InputError names what is missing or broken, and joints that nobody could follow.
    """
    root = labelled_videos.official_folder(root, BADJA.official)
    lists = sorted((root / "joint_annotations").glob("*.json"))
    if not lists:
        raise InputError(f"{root / 'joint_annotations'} has no *.json lists; give the folder of BADJA.")
    places = badja_davis(root, davis)
    return [read_clip(path, root, places) for path in lists]


def badja_davis(root: str | Path, davis: str | Path | None = None) -> list[Path]:
    """The DAVIS folders that BADJA's frames and masks may lie in: `davis`, DAVIS in BADJA's folder or beside it."""
    root = Path(root).resolve()
    places = [labelled_videos.official_folder(davis, "DAVIS")] if davis else []
    return places + [p for p in (root / "DAVIS", root.parent / "DAVIS", root.parent / "davis") if p.is_dir()]


def areas(clip: labelled_videos.Clip) -> np.ndarray:
    """Area (A) of the animal in every annotated frame, in px of the frame; InputError for an empty mask."""
    shares = np.array([read_mask(path, not_black=True).mean() for path in clip.masks])
    for empty in np.flatnonzero(shares == 0):
        raise InputError(f"{clip.masks[empty]} is empty, but its frame has joints; restore this annotation.")
    height, width = frame_size(clip.frames[0])
    return shares * width * height


def read_clip(path: Path, root: Path, places: list[Path]) -> labelled_videos.Clip:
    """The clip of one list; `places` are the DAVIS folders its frames may lie in."""
    images, segments, joints, visible = _entries(path)
    folder = _folder(images[0].parent, root, places)
    if folder is None:
        raise InputError(f"{root} has no {images[0].parent} for {path.name}; give a DAVIS that has {path.stem}.")
    frames = labelled_videos.frame_files(folder, images[0].suffix.lower())
    place = {frame.stem: t for t, frame in enumerate(frames)}
    for image in images:
        if image.stem not in place:
            raise InputError(f"{folder / image.name} is missing, but {path} has its joints; restore this frame.")
    times = np.array([place[image.stem] for image in images])
    order = times.argsort()
    times, joints, visible = times[order], joints[order], visible[order]
    frames = frames[times[0] : times[-1] + 1]
    if not (visible[0] & visible[1:]).any():
        raise InputError(f"{path} has no joint that is visible in its first frame and in a later one; leave it out.")
    size, scale = frame_size(frames[0])[::-1], 1.0
    if images[0].parts[:1] == ("DAVIS",):  # other videos are in the pixels of their own frames, in any numbers
        labelled_videos.check_steps(frames)
        scale = np.divide(size, SIZE)
    xy = (joints[..., ::-1] * scale).astype(np.float32)
    if not labelled_videos.in_picture(xy[0, visible[0]], size).any():
        raise InputError(f"{path} has no joint of its first frame within {frames[0]}; fix one or leave the list out.")
    folder = _folder(segments[0].parent, root, places)
    masks = labelled_videos.masks_of([segments[a] for a in order], folder, every=False) if folder else ()
    return labelled_videos.Clip(path.stem, frames, xy, tuple((times - times[0]).tolist()), visible, masks)


def _folder(named: Path, root: Path, places: list[Path]) -> Path | None:
    """Where a folder that BADJA names lies; DAVIS/JPEGImages/Full-Resolution/bear may have its like at 480p."""
    of_davis = named.parts[:1] == ("DAVIS",)
    sizes = [Path(*named.parts[1:2], size, named.name) for size in ("480p", "Full-Resolution")]
    found = [place / size for size in sizes for place in places] if of_davis else [root / named]
    return next(filter(Path.is_dir, found), None)


def _entries(path: Path) -> tuple[list[Path], list[Path], np.ndarray, np.ndarray]:
    """Of a list: image paths, mask paths (A each), joints (A, J, 2) float32, y x, and which are visible (A, J) bool."""
    entries = read_json(path)
    try:
        images, segments = ([Path(entry[key]) for entry in entries] for key in ("image_path", "segmentation_path"))
        joints = np.array([entry["joints"] for entry in entries], np.float32)
        visible = np.array([entry["visibility"] for entry in entries], np.float32) != 0
        fits = visible.ndim == 2 and joints.shape == (*visible.shape, 2) and np.isfinite(joints).all()
    except (KeyError, TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        form = "a list of frames, each with image_path, segmentation_path, joints of two numbers and visibility"
        raise InputError(f"{path} is not in BADJA's format ({form}); restore this list.")
    return images, segments, joints, visible & joints.any(axis=2)


def _score(clip: labelled_videos.Clip, source: Source, inference: Inference, out: Path) -> dict:
    sizes = areas(clip)  # here, since a mask may be broken
    predictions, record = labelled_videos.carried_joints(clip, source, inference, **JHMDBS_RULE)
    names = [frame.name for frame in clip.frames]
    write_json(clip.outputs(out)[0], {"frames": names, "joints": predictions.round(2).tolist()})
    if clip.masks:
        scored, annotated = clip.visible & clip.visible[0], predictions[list(clip.times)]
        record["metrics"][RULE] = metrics.pck_of_area(annotated, clip.joints, scored, sizes)
    return record


def _totals(records: list[dict]) -> dict[str, float]:
    """JHMDB's rule, joints pooled over sequences; the authors' as the mean of the sequences that have masks."""
    distances = [np.array(record["distances"], float) for record in records]
    by_area = [record["metrics"][RULE] for record in records if RULE in record["metrics"]]
    return metrics.pck(distances, **JHMDBS_RULE) | ({RULE: float(np.mean(by_area))} if by_area else {})


def _notes(records: list[dict]) -> list[str]:
    """Over which sequences the authors' rule is."""
    without = [record["name"] for record in records if RULE not in record["metrics"]]
    count = f"{len(records) - len(without)} of {len(records)} sequences"
    return [f"{RULE} is over {count}: no masks of {', '.join(without)}"] if without else []


BADJA = Benchmark(
    name="badja",
    official="BADJA",
    count=9,
    headline="PCK@0.2, frame 0 left out",  # the first frame is one of a dozen or fewer
    # BADJA isn't in the paper: its videos are DAVIS's, so it takes DAVIS's settings.
    presets={"s8": Inference(), "s4": Inference(radius=35)},
    read=badja_clips,
    score=_score,
    totals=_totals,
    notes=_notes,
    beside=badja_davis,
)
