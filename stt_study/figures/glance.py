"""The reference results at a glance in README.md: `python -m stt_study.figures.glance` writes them there."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from stt_core.files import read_json, write_text, written_whole
from stt_study.benchmarks.registry import TASKS
from stt_study.figures import viz
from stt_study.results import claims, tables
from stt_study.results.comparison import REFERENCE
from stt_study.study import Study
from stt_study.trainings import ROOT
from stt_study.variants import HEADLINE

BEGIN, END = "<!-- results: made by python -m stt_study.figures.glance -->", "<!-- end of results -->"
SHOWN = (*HEADLINE, "lab", "random")  # of the figures that README shows; the book has all


def glance(folder: Path) -> str:
    """A profile's reference results (`<name>.json` of a folder) as a Markdown table: mean and spread over seeds."""
    rows, data = {}, {}
    for name in SHOWN:
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        content, cells = read_json(path), {}
        for task in TASKS:
            metric, seeds = TASKS[task].headline, [seed["tasks"] for seed in content["seeds"].values()]
            if values := [100 * tasks[task]["metrics"][metric] for tasks in seeds if task in tasks]:
                cells[task], data[task] = tables.mean_text(values), f"{metric}, {content['data'][task]}"
        # Only what was measured on all that the first, the full method, was; at stride 4, few are.
        if cells.keys() >= next(iter(rows.values()), cells).keys() - {"fine"}:
            rows[content["title"]] = cells
    tasks = [task for task in TASKS if task in data]
    lines = ["| | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells.get(task, "") for task in tasks) + " |" for name, cells in rows.items()]
    return "\n".join([*lines, "", "; ".join(f"{task}: {data[task]}" for task in tasks) + "."])


class Kept(Study):
    """A profile without a run: of its claims only what the reference results say."""

    def taken(self, names: Iterable[str]) -> list[str]:
        return []

    def has(self, kind: str) -> bool:
        return False


def decided(profile: str) -> str:
    """The primary claims of a profile's reference results as a Markdown table; "" where there are none."""
    table = claims.claims(Kept(profile))
    if table.empty or not table.decides.any():
        return ""
    rows = claims.one_by_one(table[table.decides]).droplevel(1)
    lines = ["| primary claim, on real video | " + " | ".join(rows) + " |", "|---" * (len(rows.columns) + 1) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows.itertuples(name=None)])


def written(readme: str, folders: list[Path]) -> str:
    """README with the part between its two marks made anew: of each profile its figures and its primary claims."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    parts = [f"Profile `{folder.name}`:\n\n{decided(folder.name)}\n\n{glance(folder)}".strip() for folder in folders]
    return "\n\n".join([head + BEGIN, *parts, END + tail])


def profiles() -> list[Path]:
    """The folders of reference results of the full method, one a profile."""
    return sorted(path.parent for path in REFERENCE.glob("*/full.json"))


def picture(study: Study, out: Path) -> None:
    """README's picture: a test clip near the means, annotated and as three kinds of features carry its first mask."""
    viz.style()
    results = study.results("davis", ("random", "step_one", "full"))
    sequence = next(s for s in study.sequences("davis") if s.name == tables.typical(results))
    with written_whole(out) as path:
        viz.strips(sequence, results).savefig(path, dpi=90, format="jpeg", pil_kwargs={"quality": 85})


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the results at a glance into README.md.")
    parser.add_argument("--check", action="store_true", help="only say whether README.md has them")
    parser.add_argument("--picture", metavar="PROFILE", help="draw README's picture anew, out of a run of this profile")
    given = parser.parse_args()
    if given.picture:
        picture(Study(given.picture), ROOT / "book" / "_static" / "strips.jpg")
    path = ROOT / "README.md"
    now = path.read_text(encoding="utf-8")
    new = written(now, profiles())
    if given.check and new != now:
        print("README.md doesn't show the reference results: run python -m stt_study.figures.glance", file=sys.stderr)
        return 1
    if not given.check:
        write_text(path, new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
