"""Figure of what was learned: where each network finds a point of frame 0 again."""

import textwrap

import cv2
import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure

from stt_core.pictures import read_image
from stt_study.analysis import retention
from stt_study.benchmarks.labelled_videos import Sequence
from stt_study.evenly import evenly
from stt_study.figures.viz import WIDTH, mark, object_ids, panels, picture
from stt_study.study import Study

EXAMPLES = 3  # clips
ACROSS = 4  # pictures in a row


def examples(study: Study) -> list[tuple[Sequence, int, list[np.ndarray]]]:
    """Up to `EXAMPLES` clips, the number of a frame after two thirds, and the largest object's masks (H, W) bool.

    Masks are of frame 0 and of the later frame; clips without an object that both frames show are left out.
    """
    found = []
    for clip in evenly(retention.chosen_clips(study, "davis"), EXAMPLES):
        later = retention.pair_times(len(clip.frames))[-1]
        ids = [object_ids(clip, t) for t in (0, later)]
        both = sorted({*ids[0].flat} & {*ids[1].flat} - {0})
        if both:
            largest = max(both, key=np.bincount(ids[0].flat).__getitem__)
            found.append((clip, later, [mask == largest for mask in ids]))
    return found


def point_figure(study: Study, students: dict[str, retention.Look]) -> Figure | None:
    """`point_map` of an object's `central_pixel` by students (title -> look), each to its own maximum; or no example.

    Star: the object's central pixel in the later frame, where the point should roughly be found.
    """
    found, titles = examples(study), ["point in frame 0", "later frame", *students]
    if not found:
        return None
    height = WIDTH / ACROSS * max(now.shape[0] / now.shape[1] for _, _, (_, now) in found) + 0.45
    rows = -(-len(titles) // ACROSS) * len(found)
    figure, axes = panels(rows, ACROSS, (WIDTH, height * rows))
    for row, (clip, t, masks) in zip(axes.reshape(len(found), -1), found, strict=True):
        frames = [clip.frames[i] for i in (0, t)]
        point, star = map(retention.central_pixel, masks)
        for axis, frame, mask in zip(row, frames, masks, strict=False):
            picture(axis, read_image(frame))
            for width, colour in ((2.2, "black"), (1.0, "white")):  # an outline that reads on any ground
                axis.contour(mask, levels=[0.5], colors=colour, linewidths=width)
        mark(row[0], point, size=7)
        mark(row[1], star, "*", 11)
        row[1].set_xlabel(f"{clip.name}, frame {t}")
        grey = cv2.cvtColor(read_image(frames[1]), cv2.COLOR_RGB2GRAY)
        for axis, see in zip(row[2:], students.values(), strict=False):
            here, there = (see(frame)["res4"] for frame in frames)
            cell = retention.cell_of(point, masks[0].shape, here.shape[1:])
            values = retention.point_map(here, cell, there, study.profile.evaluation.davis.temperature)
            inside = retention.coverage(masks[1].astype(np.uint8), there.shape[1:])[1]
            heat = F.interpolate((values / values.max())[None, None], size=grey.shape, mode="bilinear")[0, 0].numpy()
            picture(axis, grey, cmap="gray", vmin=0, vmax=400)  # dimmed: heat is to stand out
            axis.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=(0.25 + 0.75 * heat).clip(max=1))
            mark(axis, star, "*", color="white")
            axis.set_xlabel(f"{(values * inside).sum():.0%} inside")
        for axis, name in zip(row, titles, strict=False):
            axis.set_title(textwrap.fill(name, 22))
        for axis in row[len(titles) :]:
            axis.set_axis_off()
    return figure
