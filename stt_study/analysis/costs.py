"""What a frame costs, by what labels are carried by: parameters, operations, memory and time."""

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from stt_core.checkpoints import open_weights
from stt_core.encoder import STANDARD, random_encoder
from stt_core.features import FeatureSource, resized
from stt_core.pictures import read_image
from stt_core.propagation import Context
from stt_study.study import Study
from stt_study.variants import NO_ENCODER, title


def parameters(study: Study, name: str) -> int:
    """Parameters up to res4, batch normalisations' included; 0 without an encoder."""
    if name in NO_ENCODER:
        return 0
    source, own = study.source(name), study.profile.spatial
    encoder = random_encoder(own.depth, own.width) if name == "random" else open_weights(source).encoder(*STANDARD)
    return sum(value.numel() for key, value in encoder.named_parameters() if not key.startswith("layer4."))


def operations(source: FeatureSource, image: np.ndarray, how: dict) -> tuple[float, float, int]:
    """Operations of features (nan: outside of PyTorch) and of carrying an object by a whole context; bytes kept."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the counter doesn't see operations of other threads, which `affinity` starts
    with FlopCounterMode(display=False) as counter:
        features = source(image)
    encoding, context = counter.get_total_flops(), Context(**how)
    for t in range(context.settings.num_preceding + 1):
        context.put(t, features, torch.ones(2, *features.shape[1:]))
    with FlopCounterMode(display=False) as counter:
        context.propagate(context.settings.num_preceding + 1, features)
    torch.set_num_threads(threads)
    return encoding or np.nan, counter.get_total_flops(), context.features.nbytes


def costs(study: Study, task: str, names: list[str]) -> pd.DataFrame:
    """One row a method of this run, counted at the first frame's size; seconds are those of the task's measurement.

    Operations are those of convolutions and matrix products, a multiplication and an addition counted as two.
    """
    inference = study.inference(task)
    image = resized(read_image(study.sequences(task)[0].frames[0]), inference.resize)
    results, rows = study.results(task, names), {}
    for name in study.taken(names):
        source = study.opened(task, study.source(name))
        result = results[title(name)]
        found = (np.nan,) * 3
        if isinstance(source, FeatureSource):
            found = operations(source, image, inference.propagation())
        rows[title(name)] = {
            "parameters, M": parameters(study, name) / 1e6,
            "features, GFLOP": found[0] / 1e9,
            "affinity, GFLOP": found[1] / 1e9,
            "kept features, MB": found[2] / 1e6,
            "seconds a frame": result["seconds"] / result["frames"],
            "frames": result["frames"],
            "threads": result["machine"]["threads"],
        }
    return pd.DataFrame(rows).T
