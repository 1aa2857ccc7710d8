"""Pictures of followed joints, written beside the results; drawn by OpenCV alone."""

from pathlib import Path

import cv2
import numpy as np

from stt_core.features import resized
from stt_core.files import write_bytes
from stt_core.pictures import read_image
from stt_study.evenly import evenly

COLUMNS, ROWS, WIDTH = 3, 2, 320  # of a contact sheet; width of its pictures in px


def write_sheet(
    path: str | Path, frames: tuple[Path, ...], times: tuple[int, ...], predictions: np.ndarray, truth: np.ndarray
) -> None:
    """Write six of the frames, evenly spaced, as one PNG: found joints are dots, true ones rings, with a line between.

    Args:
        times: indices (A) into `frames`, of the frames to choose from.
        predictions, truth: (A, J, 2) xy px; a joint keeps its colour. x < 0: there is none.
    """
    hues = np.linspace(0, 180, truth.shape[1], endpoint=False)
    colours = cv2.cvtColor(np.uint8([[(hue, 230, 255) for hue in hues]]), cv2.COLOR_HSV2RGB)[0].tolist()
    pictures = []
    for a in evenly(range(len(times)), COLUMNS * ROWS):
        image = read_image(frames[times[a]])
        scale = WIDTH / image.shape[1]
        image = resized(image, (round(image.shape[0] * scale), WIDTH)).copy()
        for found, true, colour in zip(predictions[a], truth[a], colours, strict=True):
            # Pixel centres are whole numbers in both sizes. A joint in the first column may come out left of it.
            dot, ring = (((xy + 0.5) * scale - 0.5).clip(min=0).round().astype(int).tolist() for xy in (found, true))
            if found[0] >= 0 and true[0] >= 0:
                cv2.line(image, dot, ring, colour, 1, cv2.LINE_AA)
            if true[0] >= 0:
                cv2.circle(image, ring, 5, (0, 0, 0), 3, cv2.LINE_AA)
                cv2.circle(image, ring, 5, (255, 255, 255), 1, cv2.LINE_AA)
            if found[0] >= 0:
                cv2.circle(image, dot, 4, (0, 0, 0), -1, cv2.LINE_AA)
                cv2.circle(image, dot, 3, colour, -1, cv2.LINE_AA)
        cv2.putText(image, frames[times[a]].stem, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255))
        pictures.append(image)
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % COLUMNS)
    sheet = np.vstack([np.hstack(pictures[i : i + COLUMNS]) for i in range(0, len(pictures), COLUMNS)])
    # imwrite would not say that a disk is full
    write_bytes(path, cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
