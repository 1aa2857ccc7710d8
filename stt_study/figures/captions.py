"""A figure or a table with its caption, and the files it was made from."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Image, display
from matplotlib.figure import Figure

from stt_study.study import Study

KEY = "stt"  # of an output's metadata; `book/build.py` makes a numbered figure or table of it


def show(
    study: Study,
    shown: Figure | Image | pd.DataFrame,
    caption: str,
    *,
    alt: str = "",
    files: Iterable[str | Path] = (),
    name: str = "",
) -> None:
    """Show a figure, a picture or a table in a notebook; the book numbers it and shows the caption.

    Args:
        caption: what to see, in Markdown; true whatever a run's numbers are.
        alt: what is drawn, for those who can't see it; a table needs none.
        files: the results it was made from; the caption names the first.
        name: a label that the book's pages may refer to, such as "fig-drift" or "tab-claims".
    """
    paths = list(dict.fromkeys(study.relative(path) for path in files))
    source = f" From `{paths[0]}`" + f" and {len(paths) - 1} more" * (len(paths) > 1) + "." if paths else ""
    words = {"caption": caption + source, "alt": alt, "name": name}
    display(shown, metadata={KEY: words})
    if isinstance(shown, Figure):
        plt.close(shown)  # or the notebook would show it a second time
