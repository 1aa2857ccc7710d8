"""Label propagation: carry the labels of frame 0 through a video by feature affinity (paper, section on inference).

Frame by frame, each cell of a query frame looks at the context frames' cells within a square window, keeps the `topk`
most similar ones of all context frames together, and takes their (soft, propagated) labels, weighted by a softmax.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from stt_core.affinity import affinity, apply_affinity
from stt_core.errors import InputError
from stt_core.settings import checked

Pixels = Annotated[int, Field(ge=1)]


class Context:
    """Frame 0 and the preceding frames of a video, with their labels: what the next frame takes its labels from.

    A video whose propagation was stopped goes on by `put` of frame 0 and of the `num_preceding` latest frames.

    Args:
        as for `propagate`; raises ValueError for one out of its range.
    """

    def __init__(
        self,
        *,
        num_preceding: int = 20,
        radius: int = 12,
        topk: int = 10,
        temperature: float = 0.07,
        with_first: bool = True,
        window: str = "square",
        first_windowed: bool = True,
        first_twice: bool = True,
    ) -> None:
        if radius < 0 or topk < 1 or not 1e-30 <= temperature <= 1e30:  # beyond, float32 has no cosine / temperature
            raise ValueError(
                f"radius >= 0, topk >= 1, temperature > 0 (1e-30 to 1e30) are needed, not {radius}, {topk}, {temperature}."
            )
        if num_preceding < (0 if with_first else 1):
            raise ValueError(f"No context: num_preceding is {num_preceding} and with_first is {with_first}.")
        if window not in ("square", "circle") or (window == "circle" and radius < 1):
            raise ValueError(
                f"window {window!r} of radius {radius}: give square, or circle with a radius of 1 or more."
            )
        if not (first_windowed or with_first):
            raise ValueError("first_windowed=False needs with_first: there is no first frame to be seen whole.")
        self.num_preceding, self.with_first, self.first_twice = num_preceding, with_first, first_twice
        self.settings = {
            "radius": radius,
            "topk": topk,
            "temperature": temperature,
            "window": window,
            "first_windowed": first_windowed,
        }
        self.features: Tensor | None = None

    @torch.no_grad()
    def put(self, t: int, features: Tensor, labels: Tensor) -> None:
        """Take frame `t`, features (C, H, W) and labels (K, H, W), in place of the frame that is no longer looked at.

        Raises:
            ValueError: shapes that don't fit together, or (on a CPU) a feature or label that is NaN or infinite.
        """
        if features.ndim != 3 or labels.ndim != 3 or features.shape[1:] != labels.shape[1:]:
            raise ValueError(
                f"Features (C, H, W) and first_labels (K, H, W) must be maps of the same size, not "
                f"{tuple(features.shape)} and {tuple(labels.shape)}."
            )
        labels = labels.to(features.device, torch.float32)
        _check_finite(labels, f"Frame {t} has labels")
        self._put(t, self._cells(t, features), labels.permute(1, 2, 0))  # (K, H, W) -> (H, W, K)

    @torch.no_grad()
    def propagate(self, t: int, features: Tensor) -> Tensor:
        """Labels (K, H, W) float32 of frame `t` >= 1, features (C, H, W), which then joins the context.

        Raises:
            ValueError: features of another shape than frame 0's, or (on a CPU) one that is NaN or infinite.
        """
        query = self._cells(t, features)
        first_precedes = t <= self.num_preceding
        used = slice(0 if self.with_first or first_precedes else 1, min(t, self.num_preceding + 1))
        indices, weights = affinity(
            query,
            self.features[used],
            first_twice=self.first_twice and self.with_first and first_precedes,
            **self.settings,
        )
        labels = apply_affinity(indices, weights, self.labels[used]).view(*query.shape[:2], -1)  # (H, W, K)
        self._put(t, query, labels)
        return labels.permute(2, 0, 1).clone(memory_format=torch.contiguous_format)  # (H, W, K) -> (K, H, W)

    def _cells(self, t: int, features: Tensor) -> Tensor:
        if self.features is not None and features.shape != self.shape:
            raise ValueError(f"Frame {t} has features {tuple(features.shape)}, not {tuple(self.shape)}.")
        features = features.float()
        lengths = features.norm(dim=0, keepdim=True)
        _check_finite(lengths, f"Frame {t} has features")  # a vector's length tells, at a fraction of the cost
        # (C, H, W) -> (H, W, C): channels last, halos are then runs of whole vectors.
        return (features / lengths.clamp(min=1e-12)).permute(1, 2, 0).contiguous()

    def _put(self, t: int, cells: Tensor, labels: Tensor) -> None:
        slots = self.num_preceding + 1  # slot 0 keeps frame 0, the others are a ring
        if self.features is None:
            self.shape = torch.Size([cells.shape[2], *cells.shape[:2]])
            self.features, self.labels = cells.new_empty(slots, *cells.shape), labels.new_empty(slots, *labels.shape)
        slot = 1 + (t - 1) % self.num_preceding if t and self.num_preceding else 0
        if t == 0 or slot:
            self.features[slot], self.labels[slot] = cells, labels


def _check_finite(values: Tensor, what: str) -> None:
    """A NaN would be taken for the most similar cell of all, and spread.

    On a GPU, which would have to be waited for, it does; its labels are NaN then, which the decoders in `labels` refuse.
    """
    if values.device.type == "cpu" and not torch.isfinite(values).all():
        raise ValueError(f"{what} that are NaN, infinite or too large.")


def propagate_frames(features: Iterable[Tensor], first_labels: Tensor, **settings) -> Iterator[Tensor]:
    """`propagate` for a stream: features (C, H, W) one frame at a time -> labels (K, H, W) one frame at a time.

    Keeps frame 0 and the `num_preceding` preceding frames only, so memory doesn't grow with the video. Arguments and
    errors as for `propagate`, raised when the first frame (or the frame of another shape) is asked for.
    """
    context = Context(**settings)
    for t, frame in enumerate(features):
        if t == 0:
            context.put(t, frame, first_labels)
            yield first_labels.to(frame.device, torch.float32, copy=True)
        else:
            yield context.propagate(t, frame)


def propagate(
    features: Tensor,
    first_labels: Tensor,
    *,
    num_preceding: int = 20,
    radius: int = 12,
    topk: int = 10,
    temperature: float = 0.07,
    with_first: bool = True,
    window: str = "square",
    first_windowed: bool = True,
    first_twice: bool = True,
) -> Tensor:
    """Propagate the labels of frame 0 through a clip.

    The context of frame t is frame 0 (`with_first`) and the frames t - `num_preceding` .. t - 1. As in the released
    code, frame 0 counts twice while it is also one of the latter, and its window is the same as theirs. Float32
    throughout, also under autocast (on CUDA, TF32 products must be off, which is the default of PyTorch).

    Args:
        features: (T, C, H, W) float of any scale: affinity is cosine. A vector of zeros is as similar to all others: 0.
        first_labels: (K, H, W) label maps of frame 0, any real values or bool.
        num_preceding: preceding frames in the context; 0 (only frame 0) needs `with_first`.
        radius: half window in cells, >= 0; half the neighbour range of the released code.
        topk: context cells kept per query over all context frames, >= 1.
        temperature: of the softmax over the kept cosine similarities, 1e-30 to 1e30.
        with_first: keep frame 0 in the context for the whole clip.
        window: "square": |dy| <= radius and |dx| <= radius; "circle": dy^2 + dx^2 < radius^2 (as in CRW and VFS).
        first_windowed: False: a query sees all of frame 0, though only a window of the others (as in CRW).
        first_twice: frame 0 counts twice while it is among the preceding frames; False: once (as in DINO).

    Returns:
        (T, K, H, W) float32 on the features' device; frame 0 is `first_labels`.

    Raises:
        ValueError: shapes that don't fit together, a setting out of its range, or a feature or label that is NaN, infinite
            or too large (features of 1e19, whose squares float32 cannot hold). On a GPU, which isn't waited for, it spreads
            as NaN, from that frame on.
    """
    if features.ndim != 4 or not len(features):
        raise ValueError(f"Features must be (T, C, H, W) with at least one frame, not {tuple(features.shape)}.")
    labels = propagate_frames(
        features,
        first_labels,
        num_preceding=min(num_preceding, max(len(features) - 1, 1)),  # a short clip needs no longer ring
        radius=radius,
        topk=topk,
        temperature=temperature,
        with_first=with_first,
        window=window,
        first_windowed=first_windowed,
        first_twice=first_twice,
    )
    return torch.stack(list(labels))


@checked
class Inference:
    """Settings of label propagation. The defaults are the paper's on DAVIS-2017 at stride 8."""

    # Short side, or (height, width), in px; None = as it is.
    resize: Pixels | tuple[Pixels, Pixels] | None = 480
    num_preceding: int = Field(20, ge=0)  # frames
    radius: int = Field(12, ge=0)  # cells, neighbour range // 2
    topk: int = Field(10, ge=1)
    temperature: float = Field(0.07, ge=1e-30)  # below, float32 has no cosine / temperature
    with_first: bool = True  # frame 0 stays in the context
    window: Literal["square", "circle"] = "square"  # |dy|, |dx| <= radius; or dy^2 + dx^2 < radius^2
    first_windowed: bool = True  # False: a query sees all of frame 0, though only a window of the others
    first_twice: bool = True  # frame 0 counts twice while it is among the preceding frames

    def __post_init__(self) -> None:
        if self.window == "circle" and not self.radius:
            raise InputError("radius is 0, which leaves nothing of a circle; give 1 or more, or the window square.")

    def check(self) -> None:
        """InputError for settings that don't go together: a slip in a profile or on a command line.

        A `topk` that no query can ever find is one. Propagation itself takes all there are, which a study of it may want.
        """
        if not (self.with_first or self.num_preceding):
            raise InputError("num_preceding is 0 and with_first is off, which leaves no context; give 1 or more.")
        if not (self.first_windowed or self.with_first):
            raise InputError("first_windowed is off, but so is with_first: there is no first frame to be seen whole.")
        most = self.cells * (self.num_preceding + self.with_first)
        if self.first_windowed and self.topk > most:
            raise InputError(
                f"topk is {self.topk}, but the windows of all context frames hold no more than {most} cells; lower it, or "
                "give a larger radius or num_preceding."
            )

    @property
    def cells(self) -> int:
        """Of a whole window, or 31,000 of a large circle's."""
        if self.window == "square":
            return (2 * self.radius + 1) ** 2
        radius = min(self.radius, 100)  # enough for any `topk`; a slip of the pen shall not take minutes
        reach = range(-radius, radius + 1)
        return sum(dy**2 + dx**2 < radius**2 for dy in reach for dx in reach)

    def propagation(self) -> dict:
        """The arguments of `propagation.propagate_frames`."""
        return {name: value for name, value in vars(self).items() if name != "resize"}
