"""What is to be followed through a video, given in its first frame: objects in a mask, points in a table."""

import csv
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from stt_core import labels
from stt_core.errors import InputError
from stt_core.files import write_text


@dataclass(frozen=True)
class Given:
    """What is followed, as it is in the first frame."""

    ids: np.ndarray | None  # (H, W) uint8, 0 = background; None: no objects
    names: tuple[str, ...]  # of J points
    places: np.ndarray  # (J, 2) float32, xy px, the first pixel's centre at 0

    @cached_property
    def classes(self) -> np.ndarray:
        """Ids of the background and the objects, in the order of their maps; [] without objects."""
        return np.zeros(0, np.uint8) if self.ids is None else np.unique(np.append(self.ids, np.uint8(0)))

    def maps(self, native: tuple[int, int], size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
        """Label maps (K + J, h, w) of K classes and J points.

        `native`, `size`, `grid`: (h, w) of the video, its resized frames, the features.
        """
        maps = []
        if self.ids is not None:
            ids = labels.to_grid(torch.from_numpy(self.ids)[None].float(), grid, "nearest")[0]
            maps.append(labels.one_hot(self.classes.searchsorted(ids.numpy()), len(self.classes) - 1))
        if self.names:
            # At the features' size: the Gaussian's 4 px, the paper's, would fall between the cells of a large video.
            places = (self.places + 0.5) * np.divide(size, native)[::-1] - 0.5
            points = labels.keypoints_to_maps(places.clip(min=0).astype(np.float32), size)
            maps.append(labels.to_grid(points, grid, "bilinear"))
        return torch.cat(maps)


def read_objects(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Ids (H, W) uint8 of what `labels.read_mask` reads; 255 is one object if no other id is there, else background."""
    ids = labels.read_mask(path)
    if ids.shape != size:
        sizes = [f"{width}x{height} px" for height, width in (ids.shape, size)]
        raise InputError(f"{path} is {sizes[0]} but the video is {sizes[1]}; draw the mask on its first frame.")
    if not ids.any():
        raise InputError(f"{path} has no object to follow; give its pixels an id above 0.")
    return np.where(ids == 255, 0 if (ids % 255).any() else 1, ids).astype(np.uint8)


def read_points(path: str | Path, size: tuple[int, int]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and places (J, 2) float32 of a CSV with the columns name, x, y: px, the first pixel's centre at 0, 0."""
    places = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            if sorted(reader.fieldnames) != ["name", "x", "y"]:
                raise InputError(f"{path} should begin with the line 'name,x,y'; add it.")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                name = (row["name"] or "").strip()
                try:
                    x, y = float(row["x"]), float(row["y"])
                except (TypeError, ValueError):
                    x = y = math.nan
                if None in row or not name.isprintable() or not name or math.isnan(x + y):
                    raise InputError(f"{where} isn't a name and two numbers; fix it.")
                if not (0 <= x <= size[1] - 1 and 0 <= y <= size[0] - 1):
                    raise InputError(f"{where}: {name} is at {x:g}, {y:g}, outside of {size[1]}x{size[0]} px; fix it.")
                if name in places:
                    raise InputError(f"{where}: there is a point {name} before; give it another name.")
                places[name] = (x, y)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; give a CSV with name,x,y.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({error}); give a CSV with name,x,y.") from None
    if not places:
        raise InputError(f"{path} has no point to follow; add a line of name,x,y.")
    return tuple(places), np.array(list(places.values()), np.float32)


def write_inner_points(path: Path, mask: Path) -> None:
    """Write `inner_points` of a mask's file as a table that `read_points` reads."""
    rows = (f"{name},{x},{y}\n" for name, x, y in inner_points(labels.read_mask(mask)))
    write_text(path, "".join(["name,x,y\n", *rows]))


def inner_points(ids: np.ndarray) -> list[tuple[str, int, int]]:
    """A point on every object of a mask (H, W), as (name, x, y): the pixel that is farthest from the object's edge."""
    points = []
    for k in np.unique(ids[ids > 0]).tolist():
        inside = np.pad(ids == k, 1).astype(np.uint8)  # the picture's edge is an edge, too
        y, x = np.unravel_index(cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1].argmax(), ids.shape)
        points.append((f"object {k}", int(x), int(y)))
    return points
