"""What each loss did to the representation: how much of the teacher's structure is left, where correlation lands.

Networks run as they are used after training: in eval mode, on whole frames with no channel dropped.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stt_core.checkpoints import load_encoder
from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.encoder import STUDENT, random_encoder
from stt_core.features import feature_source, resized
from stt_core.labels import one_hot
from stt_core.pictures import read_image
from stt_study.benchmarks import labelled_videos
from stt_study.evenly import evenly
from stt_study.study import Study

MOST = 12  # clips
PAIRS = 2  # of neighbouring frames, a clip
KEPT = 64  # frames whose maps are kept, so that the teacher's serve all students
Look = Callable[[Path], dict[str, Tensor]]


def nearest(query: Tensor, reference: Tensor, k: int, chunk: int = 1024) -> Tensor:
    """(Hq Wq, k) reference cells of (C, Hr, Wr) with the largest products, for every query cell of (C, Hq, Wq)."""
    cells, others = query.flatten(1).T, reference.flatten(1)  # (Nq, C), (C, Nr)
    return torch.cat([(some @ others).topk(k, dim=1).indices for some in cells.split(chunk)])


def neighbour_overlap(one: Tensor, other: Tensor) -> float:
    """Share, 0 to 1, of the neighbours in `one` (N, k) that are in the same row of `other` (N, k); chance is k / Nr."""
    return (one[:, :, None] == other[:, None]).any(dim=2).double().mean().item()


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment of features (N, C) and (N, D) of the same cells; nan if one is constant."""
    # With the unbiased estimate of HSIC (Song et al. 2012), unrelated features give 0 on average, whatever N, C and D,
    # where the plain measure comes near 1 once C and D exceed N.
    x, y = ((f - f.mean(dim=0)).double() for f in (x, y))
    scale = max(_unbiased_hsic(x, x), 0.0) * max(_unbiased_hsic(y, y), 0.0)
    return float(_unbiased_hsic(x, y) / scale**0.5) if scale > 0 else float("nan")


def _unbiased_hsic(x: Tensor, y: Tensor) -> Tensor:
    """HSIC of two linear kernels whose diagonals are left out, (N, C) and (N, D), centred to lose no digits."""
    n = len(x)
    own_x, own_y = x.square().sum(dim=1), y.square().sum(dim=1)  # the kernels' diagonals
    rows_x, rows_y = x @ x.sum(dim=0) - own_x, y @ y.sum(dim=0) - own_y  # sums of their rows
    product = (x.T @ y).square().sum() - own_x @ own_y
    both = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    return (product + both - 2 * (rows_x @ rows_y) / (n - 2)) / (n * (n - 3))


def point_map(
    features: Tensor, cell: tuple[int, int], later: Tensor, temperature: float, k: int | None = None
) -> Tensor:
    """(H, W), sums to 1: where a cell (row, column) of features (C, H, W) is found in later ones, or their k best."""
    query, later = F.normalize(features[:, cell[0], cell[1]], dim=0), F.normalize(later, dim=0)
    similarity = torch.einsum("c,chw->hw", query, later)
    if k is not None and k < similarity.numel():
        similarity = similarity.masked_fill(similarity < similarity.flatten().topk(k).values[-1], -torch.inf)
    return (similarity / temperature).flatten().softmax(dim=0).view_as(similarity)


def central_pixel(inside: np.ndarray) -> tuple[int, int]:
    """(x, y) px of the pixel of a region (H, W) bool that is nearest to the region's centre of mass."""
    places = np.argwhere(inside)  # (n, 2) of y, x; the centre itself may lie beside a bent object
    y, x = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(x), int(y)


def cell_of(xy: tuple[int, int], size: Sequence[int], grid: Sequence[int]) -> tuple[int, int]:
    """(row, column) of the cell of a grid (h, w) that holds a pixel of an image of size (H, W)."""
    return xy[1] * grid[0] // size[0], xy[0] * grid[1] // size[1]


def coverage(ids: np.ndarray, grid: Sequence[int], count: int = 0) -> Tensor:
    """(K + 1, h, w): what share of each cell every id of a mask (H, W) covers; void (255) counts as background."""
    ids = np.where(ids == 255, 0, ids)
    return F.interpolate(one_hot(ids, count or int(ids.max()))[None], size=tuple(grid), mode="area")[0]


def looks(study: Study, weights: str, task: str, layout: tuple[Sequence[int], str] = STUDENT) -> Look:
    """Frame's path -> maps (C, h, w): "res5" as in training, "res4" as for propagation; kept."""
    spatial, size, (strides, pool) = study.profile.spatial, study.profile.temporal.size, layout
    if weights == "random":
        encoder = random_encoder(spatial.depth, spatial.width, study.seed, strides=strides, pool=pool).eval()
        colours = "lab"
    else:
        encoder, colours = load_encoder(weights, strides=strides, pool=pool)
    prepare = rgb_to_lab if colours == "lab" else normalize_rgb
    source = feature_source(weights, **study.opening)
    resize = getattr(study.profile.evaluation, task).resize

    @lru_cache(KEPT)
    @torch.no_grad()
    def look(path: Path) -> dict[str, Tensor]:
        image = read_image(path)
        rgb = torch.from_numpy(resized(image, (size, size))).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        return {"res5": encoder(prepare(rgb), ("res5",))["res5"][0], "res4": source(resized(image, resize)).cpu()}

    return look


def chosen_clips(study: Study, task: str) -> list[labelled_videos.Sequence]:
    """Up to `MOST` labelled test sequences of "davis", "real" or "vip", evenly spread over the list."""
    return evenly(study.sequences(task), MOST)


def pair_times(length: int) -> list[int]:
    """Numbers of the later frames of up to `PAIRS` pairs of neighbours, evenly inside a video of so many frames."""
    return sorted({max(1, round(length * (i + 1) / (PAIRS + 1))) for i in range(PAIRS)} & set(range(1, length)))
