"""An oracle in the teacher's place: the true correspondence of two frames of the world, as a correlation."""

import cv2
import numpy as np
import torch
from torch import Tensor

from stt_core.training.pairs import FramePairs
from stt_study.world.layouts import Truth

SEEN = 0.5  # a cell of whose pixels a smaller share has a partner has none
CELL = 32  # px, of res5
Crop = tuple[int, int, int, int]  # top, left, height, width


def _pixels(shape: tuple[int, ...]) -> np.ndarray:
    """(H, W, 2): x and y of every pixel."""
    return np.stack(np.meshgrid(*map(np.arange, shape[::-1])), axis=2).astype(float)


def partners(query: Truth, reference: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Where the query's pixels lie in the reference (H, W, 2), x and y in px; which of them are seen there (H, W)."""
    height, width = query.labels.shape
    places = _pixels(query.labels.shape)
    if query.shot != reference.shot:
        return places, np.zeros((height, width), bool)
    motions = np.zeros_like(query.matrices)
    for label in np.unique(query.labels):
        back = cv2.invertAffineTransform(query.matrices[label])  # to the label's own coordinates
        motions[label] = reference.matrices[label, :, :2] @ back
        motions[label, :, 2] += reference.matrices[label, :, 2]
    motion = motions[query.labels]  # (H, W, 2, 3)
    places = np.einsum("hwij,hwj->hwi", motion[..., :2], places) + motion[..., 2]
    x, y = np.moveaxis(np.rint(places).astype(int), 2, 0)
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seen[seen] = reference.labels[y[seen], x[seen]] == query.labels[seen]  # else something is in front of it
    return places, seen


def true_correlation(
    query: Truth, reference: Truth, cells: int, crop: Crop | None = None, flip: bool = False
) -> Tensor:
    """(N, N), N = cells^2: in which cells of the reference a query cell's pixels lie, as shares that sum to 1.

    Both frames cut out alike by `crop` (None: whole) and mirrored by `flip`. Pixels that are hidden in the reference,
    outside of it or of the crop, or on the other side of a cut have no partner and no say; the row of a cell where
    these are more than half is zero, and the loss leaves it out: any other row would teach a match that isn't there.
    """
    top, left, height, width = crop or (0, 0, *query.labels.shape)
    count = cells * cells

    def cell_of(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row-major cells (H, W) of places in px, and which of the places lie in the crop."""
        share = (places + 0.5 - (left, top)) / (width, height)
        if flip:
            share[..., 0] = 1 - share[..., 0]
        inside = ((share >= 0) & (share < 1)).all(axis=2)
        column, row = np.moveaxis((share * cells).astype(int), 2, 0)
        return row * cells + column, inside

    places, seen = partners(query, reference)
    own, inside = cell_of(_pixels(query.labels.shape))
    there, arrives = cell_of(places)
    both = inside & arrives & seen
    pixels = np.bincount(own[inside], minlength=count)
    pairs = np.bincount(own[both] * count + there[both], minlength=count * count).reshape(count, count)
    partnered = pairs.sum(axis=1)
    enough = partnered >= SEEN * pixels
    rows = np.where(enough[:, None], pairs / np.maximum(partnered, 1)[:, None], 0)
    return torch.from_numpy(rows).float()


class OraclePairs(FramePairs):
    """Training pairs of a world made with its truth, each with the target of a teacher that is never wrong."""

    def __getitem__(self, address: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """`FramePairs`' (2, 3, size, size), and the `true_correlation` (N, N) of its cells of 32 px."""
        (reference, query), crop, flip = self.cut(address)
        truths = self.kept(Truth.read, query), self.kept(Truth.read, reference)
        return super().__getitem__(address), true_correlation(*truths, self.size // CELL, crop, flip)
