"""What can differ from run to run on CUDA is what the book's page says of it (`book/trust.md`), and no more."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stt_core.losses import LocalDistillation
from stt_core.spatial import MoCo, SpatialSettings
from stt_core.temporal import SpatialThenTemporal, TemporalSettings

# What torch.use_deterministic_algorithms lists for CUDA (PyTorch 2.14), in ATen's names: those that it replaces …
REPLACED = {
    *("convolution_backward", "cumsum", "index_put", "index_put_", "scatter_add", "scatter_add_", "index_add"),
    *("index_add_", "index_copy_", "index_select_backward", "gather_backward", "embedding_dense_backward"),
    *("repeat_interleave", "scatter_reduce", "replication_pad2d_backward", "upsample_bilinear2d_backward"),
    *("upsample_linear1d_backward", "put_"),
}
# … and those of which it says that there is none.
NONE = {
    *("adaptive_max_pool2d_backward", "avg_pool3d_backward", "_adaptive_avg_pool2d_backward", "bincount", "median"),
    *("_adaptive_avg_pool3d_backward", "reflection_pad1d_backward", "reflection_pad2d_backward", "histc"),
    *("reflection_pad3d_backward", "upsample_bicubic2d_backward", "upsample_trilinear3d_backward", "kthvalue"),
    *("grid_sampler_2d_backward", "_ctc_loss_backward", "nll_loss_forward", "nll_loss2d_forward", "max_unpool2d"),
    *("fractional_max_pool2d_backward",),
}


class Operations(TorchDispatchMode):
    """Names of what is computed, gradients included."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.names.add(function._schema.name.removeprefix("aten::"))
        return function(*arguments, **(keywords or {}))


def operations_of_step_one() -> set[str]:
    settings = SpatialSettings(width=0.125, batch=4, size=32, load_size=40, queue=8, dim=8, shards=2)
    with Operations() as seen:
        loss, _ = MoCo(settings)(torch.randint(256, (4, 3, 40, 40), dtype=torch.uint8))
        loss.backward()
    return seen.names


def operations_of_step_two(local: LocalDistillation) -> set[str]:
    settings = TemporalSettings(width=0.125, size=64, radius_fine=3, radius_coarse=2, weight_global=0, local=local)
    with Operations() as seen:
        losses = SpatialThenTemporal(settings, None, None)(torch.randint(256, (2, 2, 3, 64, 64), dtype=torch.uint8), 1)
        sum(losses.values()).backward()
    return seen.names


def test_step_one() -> None:
    found = operations_of_step_one()
    assert found & REPLACED == {"convolution_backward", "cumsum", "index_put_", "index_copy_"}
    assert found & NONE == {"nll_loss_forward"}


def test_step_two() -> None:
    for local in (LocalDistillation(), LocalDistillation.released(), LocalDistillation(soft=True)):
        found = operations_of_step_two(local)
        assert {"convolution_backward", "upsample_bilinear2d_backward"} <= found
        assert found & REPLACED <= {
            "convolution_backward",
            "upsample_bilinear2d_backward",
            "scatter_add",
            "scatter_add_",
        }
        assert not found & NONE
