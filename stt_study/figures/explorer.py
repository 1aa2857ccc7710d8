"""What `book/_static/explorer.js` shows, packed into scripts: a page from the disk may load them, not fetch data."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from stt_core import labels
from stt_core.features import FeatureSource, feature_source, features_of, resized
from stt_core.files import write_text
from stt_core.pictures import read_image
from stt_core.propagation import Inference, propagate_frames
from stt_study.analysis.retention import central_pixel
from stt_study.benchmarks import labelled_videos
from stt_study.evenly import evenly
from stt_study.figures.viz import object_ids
from stt_study.study import Study
from stt_study.variants import title

SOURCES = ("random", "step_one", "step_two", "full")
CLIPS = 3
FRAMES = (3, 8)  # of a clip: at least, at most
POINTS = 1600  # of frame 0 that can be chosen, at most
DIMENSIONS = 32  # of the stored features
FEATURES = 830_000  # bytes of features in a file: more cells leave room for fewer frames
LONGEST = 640  # px, of a stored frame
TENTHS, LOST, WHOLE = 10, 65535, 65535  # tracks are kept in tenths of a px and shares of 1 in 16 bits
COLOURS = 64  # of the heat
HTML = """<div id="explorer" class="explorer" data-folder="{folder}">
<noscript><p>The explorer needs JavaScript, which is off in this browser; the rest of the page does not.</p></noscript>
</div>
<script src="{script}" defer></script>"""
"""The explorer on a page: `folder` of `write_explorer` and `script`, `explorer.js`, both as seen from the page."""


@dataclass(frozen=True)
class Points:
    """The cells of frame 0 that can be chosen: where `rows` and `columns` of a feature grid (h, w) meet, row by row."""

    grid: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def cells(self) -> np.ndarray:
        """(P,): numbers of the cells, row by row."""
        return (np.array(self.rows)[:, None] * self.grid[1] + np.array(self.columns)).ravel()

    def places(self, size: Sequence[int]) -> np.ndarray:
        """(P, 2) float32: their centres, xy px of an image of size (H, W); the first pixel's centre is at 0."""
        y = (np.array(self.rows) + 0.5) * size[0] / self.grid[0] - 0.5
        x = (np.array(self.columns) + 0.5) * size[1] / self.grid[1] - 0.5
        return np.stack([np.tile(x, len(y)), np.repeat(y, len(x))], axis=1).astype(np.float32)


def points_of(grid: Sequence[int]) -> Points:
    """Every cell of a grid (h, w), or of every n-th row and column where these would be more than `POINTS`."""
    step = int(np.ceil(np.sqrt(grid[0] * grid[1] / POINTS)))
    return Points(tuple(grid), *(tuple(range((step - 1) // 2, length, step)) for length in grid))


def followed(
    source: FeatureSource, frames: Sequence[Path], shown: Sequence[int], points: Points, inference: Inference
) -> tuple[Tensor, np.ndarray]:
    """Unit features (T, C, h, w) of shown frames (numbers, 0 first); the points' tracks (T, P, 2) xy px, -1: lost."""
    size = read_image(frames[0]).shape[:2]
    tracks = [points.places(size)]
    given = (labels.keypoints_to_maps(some, size) for some in np.array_split(tracks[0], len(tracks[0]) // 64 + 1))
    first = torch.cat([labels.to_grid(maps, points.grid, "bilinear") for maps in given])  # in parts, for memory
    features = list(features_of(source, map(read_image, frames), inference.resize))
    for t, maps in enumerate(propagate_frames(features, first, **inference.propagation())):
        if t and t in shown:
            tracks.append(np.concatenate([labels.decode_keypoints(some, size) for some in maps.split(64)]))
    return F.normalize(torch.stack([features[t] for t in shown]), dim=1).cpu(), np.stack(tracks)


def reduced(features: Tensor, dimensions: int = DIMENSIONS) -> tuple[np.ndarray, float]:
    """Features (T, C, h, w) on their first right singular vectors: (D, T, h, w) int8, and the scale."""
    # Nothing is centred, so that products of the result, times the scale squared, are nearly those of the features.
    cells = features.movedim(1, -1).flatten(0, 2).double()  # (T h w, C)
    _, vectors = torch.linalg.eigh(cells.T @ cells)  # largest last
    short = torch.einsum("tchw,cd->dthw", features.double(), vectors.flip(1)[:, :dimensions])
    scale = short.abs().max().item() / 127
    return (short / scale).round().to(torch.int8).numpy(), scale


def similar(features: Tensor, points: Points, temperature: float) -> tuple[Tensor, Tensor]:
    """The cells (T, P) of features (T, C, h, w) most similar to points in frame 0; their part (T, P) of a softmax."""
    queries = features[0].flatten(1).T[points.cells]  # (C, h, w) -> (P, C)
    share, best = ((queries @ features.flatten(2)) / temperature).softmax(dim=2).max(dim=2)  # of (T, P, h w)
    return best, share


def seen_by(
    source: FeatureSource, frames: Sequence[Path], shown: Sequence[int], points: Points, inference: Inference
) -> dict:
    """A file's content for a network and clip, `packed`; all but `reduced` is uint16: times `WHOLE`, `TENTHS`."""
    features, tracks = followed(source, frames, shown, points, inference)
    short, scale = reduced(features)
    best, share = similar(features, points, inference.temperature)
    return {
        "scale": scale,
        "features": packed(short),
        "tracks": packed(np.where(tracks < 0, LOST, (tracks * TENTHS).round()).astype("<u2")),
        "best": packed(best.numpy().astype("<u2")),
        "share": packed((share.numpy() * WHOLE).round().astype("<u2")),
    }


def packed(values: np.ndarray) -> str:
    """Numbers as bytes, deflated, in base64."""
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def write_script(path: Path, content: dict) -> None:
    """Write a script that hands `content` to the page, under the file's name."""
    text = json.dumps(content, separators=(",", ":"))
    write_text(path, f"sttExplorer.put({json.dumps(path.stem)}, {text});\n")


def write_explorer(study: Study, folder: Path) -> None:
    """Write `index.js` and, for `CLIPS` clips, `<clip>.js` (frames) and `<clip>--<variant>.js`, no other scripts."""
    inference, entries = study.profile.evaluation.davis, []
    sources = {name: feature_source(study.source(name), **study.opening) for name in SOURCES}
    for old in folder.glob("*.js"):
        old.unlink()
    for clip in tqdm(evenly(study.sequences("davis"), CLIPS), "explorer", unit="clip", disable=None):
        image = read_image(clip.frames[0])
        points = points_of(sources[SOURCES[0]](resized(image, inference.resize)).shape[1:])
        room = FEATURES // (DIMENSIONS * points.grid[0] * points.grid[1])
        shown = evenly(range(len(clip.frames)), int(np.clip(room, *FRAMES)))
        write_script(folder / f"{clip.name}.js", {"frames": [jpeg(clip.frames[t]) for t in shown]})
        entry = {"name": clip.name, "size": image.shape[1::-1], "length": len(clip.frames), "shown": shown}
        entries.append(entry | {"start": first_point(clip, points)} | asdict(points))
        for name, source in sources.items():
            write_script(folder / f"{clip.name}--{name}.js", seen_by(source, clip.frames, shown, points, inference))
    colours = (mpl.colormaps["inferno"].resampled(COLOURS)(range(COLOURS))[:, :3] * 255).round().astype(int).tolist()
    variants = [{"name": name, "title": title(name)} for name in sources]
    units = {"temperature": inference.temperature, "tenths": TENTHS, "lost": LOST, "whole": WHOLE}
    write_script(folder / "index.js", {"clips": entries, "variants": variants, "colours": colours} | units)


def first_point(clip: labelled_videos.Sequence, points: Points) -> int:
    """The point chosen at first: in the middle of frame 0's largest object, or of the frame where it has none."""
    ids = object_ids(clip, 0)
    sizes = np.bincount(ids.flat, minlength=2)[1:]
    x, y = central_pixel(ids == sizes.argmax() + 1 if sizes.any() else np.ones_like(ids, bool))
    return int(np.square(points.places(ids.shape) - (x, y)).sum(axis=1).argmin())


def jpeg(frame: Path) -> str:
    """A frame, `LONGEST` px at most, as JPEG in base64."""
    image = read_image(frame)
    scale = min(1, LONGEST / max(image.shape[:2]))
    small = resized(image, tuple(round(length * scale) for length in image.shape[:2]))
    return base64.b64encode(cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]).decode()
