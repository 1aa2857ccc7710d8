"""Objects and points drawn over an image."""

import cv2
import numpy as np

from stt_core import labels


def blended(image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Objects (H, W) uint8 in DAVIS's colours over an image (H, W, 3) uint8, with dark outlines."""
    mixed = np.where(ids[..., None] > 0, cv2.addWeighted(image, 0.45, labels.PALETTE[ids], 0.55, 0), image)
    thick = np.ones((3, 3), np.uint8)
    mixed[cv2.dilate(ids, thick) != cv2.erode(ids, thick)] //= 4
    return mixed


def draw_point(image: np.ndarray, name: str, xy: tuple[float, float], colour: list[int], scale: int = 1) -> None:
    """Draw a point at xy px with its name, in place, into an image (H, W, 3) uint8; `scale` is the width of a line."""
    x, y = (round(v) for v in xy)
    for radius, shade in ((6, (0, 0, 0)), (5, (255, 255, 255)), (3, colour)):
        cv2.circle(image, (x, y), radius * scale, shade, -1, cv2.LINE_AA)
    (length, _), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, scale)
    left = x + 8 * scale if x + 8 * scale + length <= image.shape[1] else max(x - 8 * scale - length, 0)
    place = (left, max(y - 5 * scale, 12 * scale))
    for width, shade in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(image, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, shade, width * scale, cv2.LINE_AA)
