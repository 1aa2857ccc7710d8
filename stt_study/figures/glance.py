"""The reference results at a glance in README.md: `python -m stt_study.figures.glance` writes them there."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import tyro

from stt_core.files import write_text, written_whole
from stt_study.figures import viz
from stt_study.results import claims, comparison, report, tables
from stt_study.results.comparison import REFERENCE
from stt_study.study import Study
from stt_study.trainings import ROOT
from stt_study.variants import HEADLINE

README = ROOT / "README.md"
BEGIN, END = "<!-- results: made by python -m stt_study.figures.glance -->", "<!-- end of results -->"
SHOWN = [*HEADLINE, "lab", "random"]  # of the figures that README shows; the book has all


class Kept(Study):
    """A profile without a run: what the reference results say, and nothing else."""

    def taken(self, names: Iterable[str]) -> list[str]:
        return []

    def has(self, kind: str) -> bool:
        return False


def glance(study: Study, figures: bool) -> str:
    """A profile's reference results in Markdown: its primary claims, if any decides, its `figures`, what data."""
    head, parts, table = f"Profile `{study.profile.profile}`", [], claims.claims(study)
    if len(table) and table.decides.any():
        rows = table[table.decides]
        head += f", {report.seeds_text(rows.seeds.max())}"
        parts += [_markdown(claims.one_by_one(rows), "primary claim")]
    if figures:
        parts += [_markdown(report.grid_table(study, SHOWN).replace(r" \(reference\)", "", regex=True), "")]
    data = "; ".join(f"{task}: {words}" for task, words in comparison.reference_data(study).items())
    return "\n\n".join([f"{head}. {data[:1].upper()}{data[1:]}.", *parts])


def _markdown(table: pd.DataFrame, corner: str) -> str:
    lines = [f"| {corner} | " + " | ".join(table) + " |", "|---" * (len(table.columns) + 1) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in table.itertuples(name=None)])


def written(readme: str) -> str:
    """README with the part between its two marks made anew: a `glance` of each profile with reference results.

    Those of real data come first, and of the first one the figures, too.
    """
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    studies = sorted(
        (Kept(path.parent.name) for path in REFERENCE.glob("*/full.json")), key=lambda s: not s.profile.data
    )
    return "\n\n".join([head + BEGIN, *(glance(study, study is studies[0]) for study in studies), END + tail])


def picture(study: Study, out: Path) -> None:
    """README's picture: a test clip near the means, annotated and as three kinds of features carry its first mask."""
    viz.style()
    results = study.results("davis", ("random", "step_one", "full"))
    sequence = next(s for s in study.sequences("davis") if s.name == tables.typical(results))
    with written_whole(out) as path:
        viz.strips(sequence, results).savefig(path, dpi=100, format="jpeg", pil_kwargs={"quality": 85})


def main(picture_of: str = "") -> None:
    """Write the results at a glance into README.md.

    Args:
        picture_of: a profile; draw README's picture anew out of its run.
    """
    if picture_of:
        picture(Study(picture_of), ROOT / "book" / "_static" / "strips.jpg")
    write_text(README, written(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    tyro.cli(main)
