"""A figure with its caption, the words for those who can't see it, and the files it was drawn from."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Image, display
from matplotlib.figure import Figure

from stt_core.study import Study

KEY = "stt"  # of an output's metadata; `book/build.py` makes a numbered figure of it


def show(
    study: Study, figure: Figure | Image, caption: str, *, alt: str, files: Iterable[str | Path] = (), name: str = ""
) -> None:
    """Show a figure or a picture in a notebook, one a cell; the book numbers it and puts the caption below.

    Args:
        caption: what to see, in Markdown; true whatever a run's numbers are.
        alt: what is drawn, for those who can't see it.
        files: the results it was drawn from; the caption names the first.
        name: a label that the book's pages may refer to, such as "fig-drift".
    """
    paths = list(dict.fromkeys(study.relative(path) for path in files))
    source = f" From `{paths[0]}`" + f" and {len(paths) - 1} more" * (len(paths) > 1) + "." if paths else ""
    words = {"caption": caption + source, "alt": alt, "name": name}
    display(figure, metadata={KEY: words})
    if isinstance(figure, Figure):
        plt.close(figure)  # or the notebook would show it a second time
