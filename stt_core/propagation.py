"""Label propagation: carry the labels of frame 0 through a video by feature affinity (paper, section on inference).

Frame by frame, each cell of a query frame looks at the context frames' cells within a square window, keeps the `topk`
most similar ones of all context frames together, and takes their (soft, propagated) labels, weighted by a softmax.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from stt_core.affinity import affinity, apply_affinity
from stt_core.errors import InputError
from stt_core.settings import checked

Pixels = Annotated[int, Field(ge=1)]


@checked
class Inference:
    """Settings of label propagation. The defaults are the paper's on DAVIS-2017 at stride 8.

    `resize` is the short side of a frame, or its (height, width), in px; None leaves frames as they are.
    The context of frame t is frame 0 (`with_first`) and the frames t - `num_preceding` .. t - 1. As in the released
    code, frame 0 counts twice while it is also one of the latter, and its window is the same as theirs.
    """

    resize: Pixels | tuple[Pixels, Pixels] | None = 480
    num_preceding: int = Field(20, ge=0)  #: frames; 0 (only frame 0) needs `with_first`
    radius: int = Field(12, ge=0)  #: cells, half the neighbour range of the released code
    topk: int = Field(10, ge=1)  #: cells kept for a query, of all context frames together
    #: Of the softmax over the kept cosine similarities; beyond these limits, float32 has no cosine / temperature.
    temperature: float = Field(0.07, ge=1e-30, le=1e30)
    with_first: bool = True  #: frame 0 stays in the context for the whole clip
    window: Literal["square", "circle"] = "square"  #: `|dy|, |dx| <= radius` or `dy^2 + dx^2 < radius^2` (CRW, VFS)
    first_windowed: bool = True  #: of frame 0, too; if not, a query sees all of it (CRW)
    first_twice: bool = True  #: frame 0 counts twice while it is also a preceding frame; not so in DINO

    def __post_init__(self) -> None:
        if self.window == "circle" and not self.radius:
            raise InputError("radius is 0, which leaves nothing of a circle; give 1 or more, or the window square.")

    def check(self) -> None:
        """InputError for settings that leave no context."""
        if not (self.with_first or self.num_preceding):
            raise InputError("num_preceding is 0 and with_first is off, which leaves no context; give 1 or more.")
        if not (self.first_windowed or self.with_first):
            raise InputError("first_windowed is off, but so is with_first: there is no first frame to be seen whole.")

    def propagation(self) -> dict:
        """The settings of `propagate_frames`, which are all but `resize`."""
        return {name: value for name, value in vars(self).items() if name != "resize"}


class Context:
    """The frames from which the next one takes its labels: frame 0 and the preceding ones, with features and labels.

    A video whose propagation was stopped goes on by `put` of frame 0 and of the `num_preceding` latest frames. Settings
    are the fields of `Inference`, but for `resize`; InputError for one out of its range.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = Inference(**settings)
        self.settings.check()
        self.shape: torch.Size | None = None  # (C, H, W) of frame 0, once it is there

    @torch.no_grad()
    def put(self, t: int, features: Tensor, labels: Tensor) -> None:
        """Add frame `t`, features (C, H, W) and labels (K, H, W), in place of the frame that is no longer needed.

        ValueError for shapes that don't fit together or frame 0's, or (on a CPU) a value that is NaN or infinite.
        """
        if features.ndim != 3 or labels.ndim != 3 or features.shape[1:] != labels.shape[1:]:
            shapes = f"{tuple(features.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"Features (C, H, W) and labels (K, H, W) must be maps of the same size, not {shapes}.")
        labels = labels.to(features.device, torch.float32)
        _check_finite(labels, f"Frame {t} has labels")
        self._put(t, self._cells(t, features), labels.permute(1, 2, 0))  # (K, H, W) -> (H, W, K)

    @torch.no_grad()
    def propagate(self, t: int, features: Tensor) -> Tensor:
        """Labels (K, H, W) float32 of frame `t` >= 1 by its features (C, H, W); the frame is added as by `put`."""
        query, chosen = self._cells(t, features), self.settings
        first_precedes = t <= chosen.num_preceding
        seen = slice(0 if chosen.with_first or first_precedes else 1, min(t, chosen.num_preceding + 1))
        how = {name: getattr(chosen, name) for name in ("radius", "topk", "temperature", "window", "first_windowed")}
        twice = chosen.with_first and first_precedes and chosen.first_twice
        indices, weights = affinity(query, self.features[seen], first_twice=twice, **how)
        propagated = apply_affinity(indices, weights, self.labels[seen]).view(*query.shape[:2], -1)  # (H, W, K)
        self._put(t, query, propagated)
        return propagated.permute(2, 0, 1).clone(memory_format=torch.contiguous_format)  # (H, W, K) -> (K, H, W)

    def _cells(self, t: int, features: Tensor) -> Tensor:
        if self.shape is not None and features.shape != self.shape:
            raise ValueError(f"Frame {t} has features {tuple(features.shape)}, not {tuple(self.shape)}.")
        features = features.float()
        lengths = features.norm(dim=0, keepdim=True)
        _check_finite(lengths, f"Frame {t} has features")  # a vector's length tells, at a fraction of the cost
        # (C, H, W) -> (H, W, C): channels last, halos are then runs of whole vectors.
        return (features / lengths.clamp(min=1e-12)).permute(1, 2, 0).contiguous()

    def _put(self, t: int, cells: Tensor, labels: Tensor) -> None:
        preceding = self.settings.num_preceding  # slot 0 keeps frame 0, the others are a ring
        if self.shape is None:
            self.shape = torch.Size([cells.shape[2], *cells.shape[:2]])
            self.features, self.labels = (value.new_empty(preceding + 1, *value.shape) for value in (cells, labels))
        slot = 1 + (t - 1) % preceding if t and preceding else 0
        if t == 0 or slot:
            self.features[slot], self.labels[slot] = cells, labels


def _check_finite(values: Tensor, what: str) -> None:
    # A NaN would be taken for the most similar cell of all, and spread. On a GPU, which would have to be waited for, it
    # does; its labels are NaN then, which the decoders in `labels` refuse.
    if values.device.type == "cpu" and not torch.isfinite(values).all():
        raise ValueError(f"{what} that are NaN, infinite or too large.")


def propagate_frames(features: Iterable[Tensor], first_labels: Tensor, **settings: Any) -> Iterator[Tensor]:
    """`propagate` for a stream: features (C, H, W) one frame at a time -> labels (K, H, W) one frame at a time.

    Memory doesn't grow with the video. Arguments and errors as for `propagate`, raised when a frame is asked for.

    Example:
        >>> features = (torch.rand(16, 30, 54) for _ in range(100))
        >>> for labels in propagate_frames(features, torch.rand(2, 30, 54), radius=6):
        ...     ids = labels.argmax(dim=0)  # (30, 54)
    """
    context = Context(**settings)
    for t, frame in enumerate(features):
        if t == 0:
            context.put(t, frame, first_labels)
            yield first_labels.to(frame.device, torch.float32, copy=True)
        else:
            yield context.propagate(t, frame)


def propagate(features: Tensor, first_labels: Tensor, **settings: Any) -> Tensor:
    """Propagate the labels of frame 0 through a clip.

    Float32 throughout, also under autocast (on CUDA, TF32 products must be off, which is the default of PyTorch).

    Args:
        features: (T, C, H, W) float of any scale: affinity is cosine. A vector of zeros is as similar to all others: 0.
        first_labels: (K, H, W) label maps of frame 0, any real values or bool.
        settings: fields of `Inference`, but for `resize`, such as `radius`.

    Returns:
        (T, K, H, W) float32 on the features' device; frame 0 is `first_labels`.

    Example:
        >>> propagate(torch.rand(5, 16, 30, 54), torch.rand(2, 30, 54), radius=6, num_preceding=3).shape
        torch.Size([5, 2, 30, 54])

    Raises:
        InputError: a setting out of its range.
        ValueError: shapes that don't fit together, or a value that is NaN, infinite or too large (features of 1e19,
            whose squares float32 cannot hold). On a GPU, which isn't waited for, it spreads as NaN, from that frame on.
    """
    if features.ndim != 4 or not len(features):
        raise ValueError(f"Features must be (T, C, H, W) with at least one frame, not {tuple(features.shape)}.")
    kept = Inference(**settings).num_preceding
    settings["num_preceding"] = min(kept, max(len(features) - 1, 1))  # a short clip needs no longer ring
    return torch.stack(list(propagate_frames(features, first_labels, **settings)))
