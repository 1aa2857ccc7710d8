"""The three losses of step two: reconstruction, local and global correlation distillation (paper section 2)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from stt_core.correlation import BandedCorrelation, correlation, full_precision, local_volume, pool_correlation
from stt_core.errors import InputError
from stt_core.settings import checked

COLOUR_SCALE = 20  # of colours before the smooth-L1 loss
SOFT_BORDER = 3  # cells at the border that soft weights ignore


@checked
class LocalDistillation:
    """How the coarse level learns from the fine one. Default: the paper's text; `released()`: the released code.

    The four differences between the two can be switched one by one (the last, `soft`, is the release's T = -1).
    """

    share: float = Field(0.7, gt=0, le=1)  #: T, the share of queries that is kept, those of the highest scores
    target_rows: Literal["one", "quarter"] = "one"  #: sum of a row of the pooled target (see `pool_correlation`)
    score: Literal["entropy", "neg_log"] = "entropy"  #: -sum(p log p), or -sum(log p), which is smallest for a flat map
    selection: Literal["map", "rows"] = "map"  #: scores of the whole map, or against one row (see `selection_mask`)
    soft: bool = False  #: `soft_weights` in place of a selection; `share` and `selection` do nothing then

    @classmethod
    def released(cls, *, share: float = 0.7, soft: bool = False) -> "LocalDistillation":
        """The settings of the released code."""
        return cls(share=share, target_rows="quarter", score="neg_log", selection="rows", soft=soft)


def reconstruction_loss(
    correlation: Tensor | BandedCorrelation, reference_lab: Tensor, query_lab: Tensor, channel: int, stride: int
) -> Tensor:
    """Rebuild the query's dropped channel from the reference's by the correlation.

    Args:
        correlation: (B, h w, h w) with h = H / stride, w = W / stride, dense or banded; rows sum to 1.
        reference_lab, query_lab: (B, 3, H, W) normalised Lab, nothing dropped.
        channel: 1 or 2, the channel that the student did not see.
        stride: image px per cell.

    Returns:
        Scalar: mean smooth-L1 of 20 x the rebuilt channel, upsampled bilinearly, against 20 x the true one.

    Example:
        >>> where = correlation(torch.rand(1, 64, 8, 16), torch.rand(1, 64, 8, 16))
        >>> loss = reconstruction_loss(where, torch.rand(1, 3, 64, 128), torch.rand(1, 3, 64, 128), channel=1, stride=8)

    Raises:
        InputError: an image that is not a whole number of cells.
    """
    height, width = query_lab.shape[2:]
    if height % stride or width % stride:
        raise InputError(f"frames of {height} x {width} px do not divide into {stride} px cells; choose another size.")
    with full_precision(query_lab):
        colours = reference_lab[:, channel, ::stride, ::stride].flatten(1).unsqueeze(2)  # (B, h w, 1): sampled
        rebuilt = correlation @ colours  # (B, h w, 1)
        rebuilt = rebuilt.view(-1, 1, height // stride, width // stride)
        rebuilt = F.interpolate(rebuilt, size=(height, width), mode="bilinear", align_corners=False)
        return F.smooth_l1_loss(COLOUR_SCALE * rebuilt[:, 0], COLOUR_SCALE * query_lab[:, channel])


@torch.no_grad()
def entropy_map(query: Tensor, reference: Tensor, radius: int, score: str = "entropy") -> Tensor:
    """Uncertainty (B, H, W) of each query's match: a score of the softmax over its local, unscaled, zero-padded volume.

    Args:
        query, reference: (B, C, H, W), not normalised; they get no gradient.
        radius: cells.
        score: "entropy", -sum(p log p), between 0 and log((2 radius + 1)^2) nats; or "neg_log", -sum(log(p + 1e-12)),
            the released code's, which is smallest for a flat map.
    """
    volume = local_volume(query, reference, radius)  # (B, H W, window)
    if score == "entropy":
        log_p = volume.log_softmax(dim=2)
        scores = -(log_p.exp() * log_p).sum(dim=2)
    else:
        scores = -(volume.softmax(dim=2) + 1e-12).log().sum(dim=2)
    return scores.unflatten(1, query.shape[2:])


def selection_mask(scores: Tensor, share: float, selection: str = "map") -> Tensor:
    """Which queries take part in the local distillation: (B, H, W) bool.

    Args:
        scores: (B, H, W), see `entropy_map`.
        share: T, above 0 and at most 1.
        selection: "map" keeps, in each image, exactly round(T H W) queries (at least one), those of the highest
            scores. "rows" is the released code's: scores are sorted, highest first, inside each row of the map, and
            every row is compared, cell by cell, with sorted row number int(W T) - 1; a cell above it is kept. A map
            must be square for it (InputError).
    """
    height, width = scores.shape[1:]
    if selection == "map":
        flat = scores.flatten(1)  # (B, H W)
        kept = flat.topk(max(1, round(share * height * width)), dim=1).indices
        return torch.zeros_like(flat, dtype=torch.bool).scatter(1, kept, True).view_as(scores)
    if height != width:
        raise InputError(f"selection by rows needs square maps, not {height} x {width} cells; use selection 'map'.")
    threshold = scores.sort(dim=2, descending=True).values[:, max(int(width * share) - 1, 0)]  # (B, W)
    return scores > threshold[:, None]


def soft_weights(scores: Tensor) -> Tensor:
    """Weights in place of a mask: the score, 3 border cells zeroed, min-max normalised per map (released, T = -1).

    Scores (B, H, W), not negative -> (B, H, W) in [0, 1]; InputError for maps of which no cell is left.
    """
    (height, width), border = scores.shape[1:], SOFT_BORDER
    if min(height, width) <= 2 * border:
        raise InputError(f"soft weights need maps above {2 * border} cells, not {height} x {width}; use larger frames.")
    inner = F.pad(scores[:, border:-border, border:-border], [border] * 4)
    low, high = inner.amin(dim=(1, 2), keepdim=True), inner.amax(dim=(1, 2), keepdim=True)
    return (inner - low) / (high - low).clamp(min=torch.finfo(scores.dtype).tiny)


def local_distillation_loss(
    fine: Tensor | BandedCorrelation,
    coarse: Tensor,
    query: Tensor,
    reference: Tensor,
    settings: LocalDistillation = LocalDistillation(),
    *,
    radius: int,
) -> Tensor:
    """The coarse correlation learns from the fine one, at the queries whose match is uncertain.

    Args:
        fine: (B, 4 N, 4 N) correlation of the fine level, dense or banded; gets no gradient.
        coarse: (B, N, N) correlation of the coarse level, N = H W.
        query, reference: (B, C, H, W) features of the coarse level, for the scores only; get no gradient.
        settings: which target, score and selection.
        radius: cells, of the coarse level's window, in which the scores are measured.

    Returns:
        Scalar: mean squared error over the selected queries and all references (0 if none is selected), or its
        weighted mean. The released code lets gradients into the soft weights; here they are constants.

    Example:
        >>> fine, coarse = torch.rand(2, 1, 64, 16, 16), torch.rand(2, 1, 64, 8, 8)
        >>> levels = correlation(*fine, radius=4), correlation(*coarse, radius=2)
        >>> loss = local_distillation_loss(*levels, *coarse, LocalDistillation(share=0.5), radius=2)
    """
    height, width = query.shape[2:]
    with torch.no_grad():
        target = pool_correlation(fine, 2 * height, 2 * width, rows=settings.target_rows)
    scores = entropy_map(query, reference, radius, settings.score)
    chosen = soft_weights(scores) if settings.soft else selection_mask(scores, settings.share, settings.selection)
    weights = chosen.flatten(1).to(scores.dtype)  # (B, N)
    error = (coarse - target).square().mean(dim=2)  # (B, N)
    return (weights * error).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


@torch.no_grad()
def teacher_correlation(query: Tensor, reference: Tensor, temperature: float = 0.07, cosine: bool = False) -> Tensor:
    """The teacher's (B, N, N) of features (B, D, H, W), N = H W: softmax of q . k / temperature over all references.

    `cosine`: of L2-normalised features, by a switch that the released code leaves off.
    """
    if cosine:
        query, reference = F.normalize(query, dim=1), F.normalize(reference, dim=1)
    return correlation(query, reference, temperature)


def global_distillation_loss(query: Tensor, reference: Tensor, target: Tensor) -> Tensor:
    """The student's correlation of the last stage, softmax of q . k / sqrt(C), stays near the frozen teacher's.

    The student's maps (B, C, H, W) and the target (B, N, N) of `teacher_correlation` -> mean squared error over all
    references and those queries that have a target: a row of zeros is none. InputError where they differ in grid.

    Example:
        >>> query, reference = torch.rand(2, 1, 64, 4, 4)
        >>> loss = global_distillation_loss(query, reference, teacher_correlation(query, reference))
    """
    own = correlation(query, reference)
    if own.shape != target.shape:
        raise InputError(
            f"the student has {own.shape[1]} cells, the teacher {target.shape[1]}; give both the same stride."
        )
    counts = target.any(dim=2)  # (B, N)
    return (counts * (own - target).square().mean(dim=2)).sum() / counts.sum().clamp(min=1)


def without_forgetting_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Learning without forgetting: the student's features of the teacher's own inputs stay near the teacher's.

    The paper compares with it and gives no formula; here cells are L2-normalised, since correlation sees directions.
    Features (B, C, H, W) of the same images -> mean squared distance of normalised cells, 0 to 4; the teacher's get no
    gradient. InputError where they differ in shape.
    """
    if student.shape != teacher.shape:
        raise InputError(f"the student's features are {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}.")
    difference = F.normalize(student, dim=1) - F.normalize(teacher.detach(), dim=1)
    return difference.square().sum(dim=1).mean()
