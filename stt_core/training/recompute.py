"""Gradient checkpointing of the encoder: memory for a third more time."""

from contextlib import nullcontext
from functools import partial

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stt_core.batch_norm import unrecorded
from stt_core.encoder import Encoder


def recompute(encoder: Encoder) -> None:
    """From now on keep only what goes into each residual block; the rest is computed again in the backward pass.

    Names of the weights, results and running statistics stay as they are: the second time, a block's batch
    normalisations don't count the batch.
    """
    for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        for block in stage:
            block.forward = partial(_block, block, block.forward)


def _block(block: nn.Module, forward, x: Tensor) -> Tensor:
    if not (block.training and x.requires_grad):
        return forward(x)
    return checkpoint(forward, x, use_reentrant=False, context_fn=lambda: (nullcontext(), unrecorded(block)))
