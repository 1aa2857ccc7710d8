"""Resizing written as a loop over pixels, which tests compare with."""

import numpy as np


def naive_bilinear(image, size):
    """(h, w) -> (H, W): pixel centres at (i + 0.5) * h / H - 0.5, clamped to the picture."""
    (height, width), result = image.shape, np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = max(0.0, (i + 0.5) * height / size[0] - 0.5)
            x = max(0.0, (j + 0.5) * width / size[1] - 0.5)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            top = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
            bottom = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
            result[i, j] = top * (1 - (y - y0)) + bottom * (y - y0)
    return result
