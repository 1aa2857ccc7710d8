"""Pictures of followed joints, written beside the results; drawn by OpenCV alone."""

from pathlib import Path

import cv2
import numpy as np

from stt_core.features import resized
from stt_core.files import write_bytes
from stt_core.pictures import read_image
from stt_study.evenly import evenly

COLUMNS, ROWS, WIDTH = 3, 2, 320  # of a contact sheet; width of its pictures in px


def draw_joints(image: np.ndarray, predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Predicted joints as dots over an image (H, W, 3) uint8 RGB, the true ones as rings, a line from one to the other.

    Args:
        predictions, truth: (J, 2) xy px; a joint keeps its colour. x < 0 or nan: there is none.
    """
    image = image.copy()
    hues = np.uint8([[[180 * j / len(truth), 230, 255] for j in range(len(truth))]])
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)[0].tolist()
    dots, rings = (
        [tuple(map(round, xy)) if xy[0] >= 0 else None for xy in each.tolist()] for each in (predictions, truth)
    )
    for dot, ring, colour in zip(dots, rings, colours, strict=True):
        if dot and ring:
            cv2.line(image, dot, ring, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.line(image, dot, ring, colour, 1, cv2.LINE_AA)
    for dot, ring, colour in zip(dots, rings, colours, strict=True):
        for place, radius, thickness, shade in (
            (ring, 5, 3, (0, 0, 0)),
            (ring, 5, 1, (255, 255, 255)),
            (dot, 4, -1, (0, 0, 0)),
            (dot, 3, -1, colour),
        ):
            if place:
                cv2.circle(image, place, radius, shade, thickness, cv2.LINE_AA)
    return image


def write_sheet(
    path: str | Path, frames: tuple[Path, ...], times: tuple[int, ...], predictions: np.ndarray, truth: np.ndarray
) -> None:
    """Write six of the frames, evenly spaced, with their joints, as one PNG, whole or not at all.

    Args:
        times: indices (A) into `frames`, of the frames to choose from.
        predictions, truth: (A, J, 2) xy px, see `draw_joints`.
    """
    pictures = []
    for a in evenly(range(len(times)), COLUMNS * ROWS):
        image = read_image(frames[times[a]])
        scale = WIDTH / image.shape[1]
        image = resized(image, (round(image.shape[0] * scale), WIDTH))
        # Pixel centres are whole numbers in both sizes. A joint in the first column may come out left of it, where one that is missing is.
        both = (predictions[a], truth[a])
        image = draw_joints(
            image, *(np.where(xy[:, :1] < 0, -1, ((xy + 0.5) * scale - 0.5).clip(min=0)) for xy in both)
        )
        for x, y, shade in ((7, 17, 0), (6, 16, 255)):  # a shadow, so that it reads on any ground
            cv2.putText(image, frames[times[a]].stem, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, [shade] * 3)
        pictures.append(image)
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % COLUMNS)
    sheet = np.vstack([np.hstack(pictures[i : i + COLUMNS]) for i in range(0, len(pictures), COLUMNS)])
    # imwrite would not say that a disk is full
    _, content = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_bytes(path, content.tobytes())
