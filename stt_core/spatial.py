"""Step one: spatially discriminative features from images, by momentum contrast (MoCo; paper section 1)."""

from copy import deepcopy
from typing import Literal

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from stt_core import distributed as processes
from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.distributed import split_norms
from stt_core.encoder import STANDARD, Encoder
from stt_core.errors import InputError
from stt_core.settings import Precision, checked


@checked
class SpatialSettings:
    """Step one. Defaults are MoCo v2's on ImageNet (200 epochs of 1.28 M images in batches of 256)."""

    depth: Literal[18, 50] = 18
    width: float = Field(1.0, ge=1 / 64)
    input: Literal["lab", "rgb"] = "lab"  #: "lab" for the student's initialisation, "rgb" for a teacher
    size: int = Field(224, ge=1)  #: px, both views
    load_size: int = Field(256, ge=1)  #: px, short side of the decoded image
    batch: int = Field(256, ge=2)  #: a single image at a single cell has no batch statistics
    steps: int = Field(1_000_000, ge=1)
    warmup: int = Field(0, ge=0)  #: steps
    lr: float = Field(0.03, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    queue: int = 65_536  #: negatives
    momentum: float = Field(0.999, ge=0, le=1)  #: of the key encoder
    temperature: float = Field(0.2, gt=0)
    dim: int = Field(128, ge=1)  #: of the embedding that is compared
    area: float = Field(0.2, gt=0, le=1)  #: least share of the image that a view shows
    jitter: float = Field(0.4, ge=0)  #: of brightness, contrast and saturation; a quarter of it of the hue
    grey: float = Field(0.2, ge=0, le=1)  #: share of views without colour
    #: parts of a batch, each with its own batch statistics and shuffled keys (8 GPUs in MoCo); at least one a process
    shards: int = Field(1, ge=1)
    precision: Precision = "32-true"
    seed: int = Field(0, ge=0)

    def __post_init__(self) -> None:
        if self.queue < self.batch:
            raise InputError(f"queue is {self.queue}; give {self.batch}, which is the batch, or more.")


class MoCo(nn.Module):
    """Query and key encoder, momentum update, queue of negatives, shuffled batch norm.

    Batch statistics tell which images were in a batch together, and a query could find its key by them. So keys are
    shuffled across processes, and come from another batch than their queries (shuffled batch norm). Where there are
    more shards than processes, each process splits its batch (split batch norm); one shard on one process is not
    shuffled. The queue and the key encoder are part of the state, so a resumed run continues exactly.

    Example:
        >>> model = MoCo(SpatialSettings(width=0.25, size=64, batch=4, queue=16))
        >>> loss, accuracy = model(torch.zeros(4, 3, 80, 80, dtype=torch.uint8))
        >>> loss.backward()
    """

    queue: Tensor  # (Q, D), keys of earlier batches
    position: Tensor  # scalar, of the oldest one

    def __init__(self, settings: SpatialSettings) -> None:
        super().__init__()
        self.settings = settings
        strides, pool = STANDARD
        self.encoder_q = Encoder(settings.depth, settings.width, strides, pool)
        channels = self.encoder_q.out_channels["res5"]
        self.head_q = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, settings.dim))
        self.encoder_k = deepcopy(self.encoder_q).requires_grad_(False)
        self.head_k = deepcopy(self.head_q).requires_grad_(False)
        split_norms(self, max(1, settings.shards // processes.count()))
        self.register_buffer("queue", F.normalize(torch.randn(settings.queue, settings.dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        self.augment = two_views(settings)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """InfoNCE loss of images (B, 3, H, W) uint8 RGB, and the share (0 to 1) of queries whose own key is first."""
        seed = torch.initial_seed()
        if processes.rank():  # every process draws its own random numbers
            torch.manual_seed(seed + (processes.rank() << 40))
        rgb = images.to(self.queue.dtype) / 255
        with torch.autocast(images.device.type, enabled=False), torch.no_grad():  # colours are worth float32
            view, other = (self.standardise(self.augment(rgb)) for _ in range(2))
        self.update_keys()
        keys = self.shuffled_keys(other, seed)  # (B of all processes, D)
        query = self.embed(self.encoder_q, self.head_q, view)  # (B, D)
        key = keys.chunk(processes.count())[processes.rank()]  # (B, D)
        positive = (query * key).sum(dim=1, keepdim=True)  # (B, 1)
        negative = query @ self.queue.clone().T  # (B, Q); cloned: the queue changes before the backward pass
        logits = torch.cat([positive, negative], dim=1) / self.settings.temperature
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        self.enqueue(keys)
        return F.cross_entropy(logits, target), (logits.argmax(dim=1) == 0).float().mean()

    @torch.no_grad()
    def shuffled_keys(self, views: Tensor, seed: int) -> Tensor:
        """Keys (B of all processes, D) of the whole batch in its order, each embedded in a randomly chosen shard.

        `views` are this process's, (B, 3, h, w); `seed`, of the shuffle, is the same in every process.
        """
        if self.settings.shards == processes.count() == 1:
            return self.embed(self.encoder_k, self.head_k, views)
        everyone = processes.gathered(views)
        order = torch.randperm(len(everyone), generator=torch.Generator().manual_seed(seed)).to(views.device)
        mine = order.chunk(processes.count())[processes.rank()]
        shuffled = processes.gathered(self.embed(self.encoder_k, self.head_k, everyone[mine]))
        return torch.empty_like(shuffled).index_copy_(0, order, shuffled)

    def standardise(self, rgb: Tensor) -> Tensor:
        """The encoder's input (B, 3, H, W) for RGB in [0, 1]."""
        return rgb_to_lab(rgb) if self.settings.input == "lab" else normalize_rgb(rgb)

    def embed(self, encoder: Encoder, head: nn.Module, images: Tensor) -> Tensor:
        pooled = encoder(images, ("res5",))["res5"].mean(dim=(2, 3))  # (B, C)
        return F.normalize(head(pooled).to(self.queue.dtype), dim=1)

    @torch.no_grad()
    def update_keys(self) -> None:
        online, average = (self.encoder_q, self.head_q), (self.encoder_k, self.head_k)
        for q, k in zip(*(nn.ModuleList(each).parameters() for each in (online, average)), strict=True):
            k.lerp_(q, 1 - self.settings.momentum)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Overwrite the oldest keys by these (N, D), wrapping around."""
        where = (self.position + torch.arange(len(keys), device=keys.device)) % len(self.queue)
        self.queue[where] = keys
        self.position.copy_((self.position + len(keys)) % len(self.queue))


def two_views(settings: SpatialSettings) -> nn.Module:
    """MoCo v2's augmentation, sampled per image of a batch (B, 3, H, W) in [0, 1]."""
    size, jitter = settings.size, settings.jitter
    return K.AugmentationSequential(
        K.RandomResizedCrop((size, size), scale=(settings.area, 1.0), cropping_mode="resample"),
        K.ColorJitter(jitter, jitter, jitter, jitter / 4, p=0.8),
        K.RandomGrayscale(p=settings.grey),
        K.RandomGaussianBlur((size // 20 * 2 + 1,) * 2, (0.1, 2.0), p=0.5),
        K.RandomHorizontalFlip(p=0.5),
        data_keys=["input"],
    )
