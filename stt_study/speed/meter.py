"""What a computation would cost: its operations counted one by one on tensors without content, so nothing is computed.

The project's own modules run as they are, at any size, in a second and without memory. What is not seen: what a kernel needs
inside (cuDNN's workspaces), and what one kernel saves by doing the work of two.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry  # PyTorch's own formulas, those of its FlopCounterMode

HALF = (torch.bfloat16, torch.float16)
WITHOUT_WORK = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")


class Op(NamedTuple):
    """One operation."""

    name: str  # PyTorch's, such as "convolution"
    flops: float  # a multiplication and an addition are two; 0 for what isn't a convolution or a matrix product
    bytes: float  # of its inputs and outputs, each moved once
    half: bool  # results of 16 bits, for which GPUs have faster units


class Meter(TorchDispatchMode):
    """Notes every operation within, and how much memory its results hold at a time.

    Attributes:
        ops: in their order; views, which move nothing, are left out.
        live: bytes of results that are still held. What was there before doesn't count.
        peak: the largest `live` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.live = self.peak = 0
        self._held = weakref.WeakSet()  # storages

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        inputs, outputs = (
            [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)] for tree in ((args, kwargs), out)
        )
        there = {tensor.untyped_storage() for tensor in inputs}
        name = func.overloadpacket.__name__
        views = not func._schema.is_mutable and all(tensor.untyped_storage() in there for tensor in outputs)
        if not views and name not in WITHOUT_WORK:
            formula = flop_registry.get(func.overloadpacket)
            flops = float(formula(*args, **kwargs, out_val=out)) if formula else 0.0
            moved = sum(_size(tensor) for tensor in inputs + outputs)
            half = any(tensor.dtype in HALF for tensor in outputs)
            self.ops.append(Op(name, flops, moved, half))
        for tensor in outputs:
            self._hold(tensor.untyped_storage(), there)
        return out

    def _hold(self, storage: torch.UntypedStorage, there: set) -> None:
        if storage in self._held or storage in there:
            return
        size = storage.nbytes()
        self._held.add(storage)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, size).atexit = False

    def _release(self, size: int) -> None:
        self.live -= size


def _size(tensor: Tensor) -> int:
    """Bytes that reading a tensor takes: an expanded one is read from fewer."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


@contextmanager
def metered() -> Iterator[Meter]:
    """Within, tensors have shapes and no content; modules made before may be used and stay as they are."""
    with FakeTensorMode(allow_non_fake_inputs=True), Meter() as meter:
        yield meter
