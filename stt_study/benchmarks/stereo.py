"""A real check that ships with a package: nearest-neighbour matches on a stereo pair with measured disparity.

scikit-image's motorcycle pair (Middlebury 2014) is 741 x 500 px; its disparity was measured with structured light.
"""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from skimage.data import stereo_motorcycle

from stt_core.features import FeatureSource


def stereo_matches(source: FeatureSource) -> pd.DataFrame:
    """Left cells that have a true place on the right, and their nearest neighbours (cosine): px of cell centres."""
    left, right, disparity = stereo_motorcycle()
    features_left, features_right = source(left), source(right)  # (C, h, w)
    (height, width), stride = features_left.shape[1:], source.stride
    query = F.normalize(features_left.flatten(1), dim=0)  # (C, h w)
    reference = F.normalize(features_right.flatten(1), dim=0)
    nearest = torch.cat([(part.T @ reference).argmax(dim=1) for part in query.split(1024, dim=1)]).cpu().numpy()

    centre = (stride - 1) / 2  # of a cell, from its first pixel
    cell_y, cell_x = np.divmod(np.arange(height * width), width)
    x, y = cell_x * stride + centre, cell_y * stride + centre
    pixel_y = np.minimum(y.astype(int), disparity.shape[0] - 1)
    pixel_x = np.minimum(x.astype(int), disparity.shape[1] - 1)
    true_x = x - disparity[pixel_y, pixel_x]
    match_y, match_x = np.divmod(nearest, width) * np.array([[stride], [stride]]) + centre
    table = pd.DataFrame({"x": x, "y": y, "true_x": true_x, "match_x": match_x, "match_y": match_y})
    table["error"] = np.hypot(table.match_x - table.true_x, table.match_y - table.y)
    return table[np.isfinite(table.true_x) & (table.true_x >= 0)].reset_index(drop=True)


def stereo_scores(matches: pd.DataFrame) -> dict[str, float]:
    """Median error in px, and the share of matches within 8, 16 and 32 px of the truth."""
    within = {f"within {limit} px": float((matches.error <= limit).mean()) for limit in (8, 16, 32)}
    return {"median error (px)": float(matches.error.median()), **within, "cells": len(matches)}
