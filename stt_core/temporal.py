"""Step two: temporally repetitive features from videos (paper section 2)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from stt_core.color import drop_channel, normalize_rgb, rgb_to_lab
from stt_core.correlation import banded_correlation, correlation
from stt_core.encoder import STUDENT, Encoder
from stt_core.errors import InputError
from stt_core.losses import (
    LocalDistillation,
    global_distillation_loss,
    local_distillation_loss,
    reconstruction_loss,
    teacher_correlation,
    without_forgetting_loss,
)
from stt_core.settings import Precision, checked

LEVELS = {"res3": 4, "res4": 8}  # the pyramid: stage -> stride of the student, px


@checked
class TemporalSettings:
    """Settings of step two. Defaults are the paper's for ResNet-18; weight 0 switches a part off."""

    depth: Literal[18, 50] = 18
    width: float = Field(1.0, ge=1 / 64)
    size: int = Field(256, ge=8, multiple_of=8)  #: px, both frames; strides of 4 and 8 px divide it
    batch: int = Field(128, ge=1)  #: pairs, of all processes together
    #: parts of a batch, one after another, each with its own batch statistics, for less memory
    accumulate: int = Field(1, ge=1)
    steps: int = Field(90_000, ge=1)
    warmup: int = Field(560, ge=0)  #: steps, 20 epochs of 90,000 / 3,200 iterations
    lr: float = Field(1e-4, gt=0)
    radius_fine: int = Field(12, ge=0)  #: cells at stride 4
    radius_coarse: int = Field(6, ge=0)  #: cells at stride 8
    weight_fine: float = Field(1.0, ge=0)  #: of reconstruction at stride 4; 0 leaves one pyramid level
    weight_coarse: float = Field(1.0, ge=0)  #: of reconstruction at stride 8
    weight_local: float = Field(1000.0, ge=0)
    weight_global: float = Field(50.0, ge=0)
    weight_forget: float = Field(0.0, ge=0)  #: of learning without forgetting, tried in place of the global loss
    local: LocalDistillation = LocalDistillation()
    teacher_temperature: float = Field(0.07, gt=0)
    teacher_cosine: bool = False  #: L2-normalise the teacher's features
    precision: Precision = "32-true"
    seed: int = Field(0, ge=0)

    def __post_init__(self) -> None:
        if not any((self.weight_fine, self.weight_coarse, self.weight_local, self.weight_global)):
            raise InputError("every weight is 0, which leaves nothing to learn; give weight_fine or weight_coarse one.")


class SpatialThenTemporal(nn.Module):
    """Student and frozen teacher; the forward pass gives the weighted losses of a batch of frame pairs.

    Args:
        student: the encoder to train, with the strides `STUDENT`; None = one with random weights.
        teacher: the frozen encoder, with the strides `STANDARD`; not kept where no weight asks for it.
        teacher_input: the colours it was trained on, "lab" or "rgb".

    Example:
        >>> settings = TemporalSettings(width=0.25, size=64, weight_global=0)
        >>> losses = SpatialThenTemporal(settings)(torch.zeros(1, 2, 3, 64, 64, dtype=torch.uint8), channel=1)
        >>> sorted(losses)
        ['coarse', 'fine', 'local']

    Raises:
        InputError: a weight needs a teacher, or one for Lab, and it is not given.
    """

    def __init__(
        self,
        settings: TemporalSettings,
        student: Encoder | None = None,
        teacher: Encoder | None = None,
        teacher_input: str = "lab",
    ) -> None:
        super().__init__()
        self.settings, self.teacher_input = settings, teacher_input
        self.student = student or Encoder(settings.depth, settings.width, *STUDENT)
        taught = bool(settings.weight_global or settings.weight_forget)
        if not taught:
            self.student.layer4.requires_grad_(False)  # nothing asks for res5
        elif teacher is None:
            raise InputError("global distillation needs the weights of a teacher; give them or set weight_global 0.")
        elif settings.weight_forget and teacher_input != "lab":
            raise InputError("the teacher reads RGB, which the student can't; weight_forget needs a Lab encoder.")
        self.teacher = teacher.requires_grad_(False) if teacher is not None and taught else None

    def train(self, mode: bool = True) -> "SpatialThenTemporal":
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()  # frozen: its batch statistics, too
        return self

    def forward(self, pairs: Tensor, channel: int, target: Tensor | None = None) -> dict[str, Tensor]:
        """Weighted losses of one batch.

        Args:
            pairs: (B, 2, 3, H, W) uint8 RGB; index 0 of axis 1 is the reference, 1 the query (the later frame).
            channel: 1 or 2, the Lab channel that is dropped from the input and reconstructed.
            target: (B, N, N) of `global_distillation_loss` in place of the teacher's.

        Returns:
            Some of "fine", "coarse", "local", "global", "forget" -> scalar loss, weight included.
        """
        settings = self.settings
        dtype = self.student.conv1.weight.dtype  # float32, under autocast, too; float64 with precision 64-true
        with torch.autocast(pairs.device.type, enabled=False):
            rgb = pairs.transpose(0, 1).flatten(0, 1).to(dtype) / 255  # (2 B, 3, H, W): all references, all queries
            lab = rgb_to_lab(rgb)
            dropped = drop_channel(lab, channel)
        reference_lab, query_lab = lab.chunk(2)
        stages = [*LEVELS, "res5"] if settings.weight_global else list(LEVELS)
        # (name -> (2 B, C, h, w)) -> name -> (reference, query), each (B, C, h, w)
        features = {name: f.to(dtype).chunk(2) for name, f in self.student(dropped, stages).items()}

        levels: dict[str, tuple] = {  # only the local distillation's coarse level must be whole
            "fine": ("res3", banded_correlation, settings.radius_fine, settings.weight_fine),
            "coarse": ("res4", correlation, settings.radius_coarse, settings.weight_coarse),
        }
        found, losses = {}, {}
        for name, (stage, correlate, radius, weight) in levels.items():
            reference, query = features[stage]
            if weight or settings.weight_local:
                found[name] = correlate(query, reference, radius=radius)
            if weight:
                loss = reconstruction_loss(found[name], reference_lab, query_lab, channel, LEVELS[stage])
                losses[name] = weight * loss
        if settings.weight_local:
            reference, query = features["res4"]
            loss = local_distillation_loss(
                found["fine"], found["coarse"], query, reference, settings.local, radius=settings.radius_coarse
            )
            losses["local"] = settings.weight_local * loss
        if self.teacher is not None and (target is None or settings.weight_forget):
            image = lab if self.teacher_input == "lab" else normalize_rgb(rgb)
            with torch.no_grad():
                taught = self.teacher(image, ("res5",))["res5"].to(dtype)
        if settings.weight_global:
            reference, query = features["res5"]
            if target is None:
                first, later = taught.chunk(2)
                target = teacher_correlation(later, first, settings.teacher_temperature, settings.teacher_cosine)
            losses["global"] = settings.weight_global * global_distillation_loss(query, reference, target)
        if settings.weight_forget:
            losses["forget"] = settings.weight_forget * without_forgetting_loss(self.undropped(image), taught)
        return losses

    def undropped(self, image: Tensor) -> Tensor:
        """The student's res5 (B, C, h, w) of whole Lab images (B, 3, H, W); running statistics are not updated."""
        statistics = {name: value.clone() for name, value in self.student.named_buffers()}
        return functional_call(self.student, statistics, (image, ("res5",)))["res5"].to(self.student.conv1.weight.dtype)
