"""Compares what two runs of a profile left, file by file; a run is a folder such as runs/smoke.

    python tests/tools/same_results.py RUN OTHER

Everything has to be the same to the byte, but for what measures time: fields of that name in JSON files, what pages
say of it, and the pages and files of speed.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

# Fields that hold times, and hashes of which the time stamps of the data are a part.
TIMES = {"seconds", "fps", "finished", "sessions", "training seconds", "measuring seconds", "key", "files"}
STAMPED = re.compile(r"(own_video/[^/\s]*)-[0-9a-f]{16}\b")  # a folder that is named after them
SPEED = ("bench/", "notebooks/13_speed", "notebooks/17_at_scale")
SKIPPED = ("book/",)  # rendered out of the notebooks


def differences(run: Path, other: Path) -> tuple[int, list[str]]:
    """How many files were compared, and a line for each difference."""
    found, files = [], {}
    for root in (run, other):
        paths = (path for path in root.rglob("*") if path.is_file())
        names = {STAMPED.sub(r"\1", str(path.relative_to(root))): path for path in paths}
        files[root] = {
            name: path
            for name, path in names.items()
            if not name.startswith((*SPEED, *SKIPPED)) and not any(part.startswith(".") for part in name.split("/"))
        }
    for root, more in ((run, files[run].keys() - files[other]), (other, files[other].keys() - files[run])):
        found += [f"{name} is in {root} alone" for name in sorted(more)]
    both = sorted(files[run].keys() & files[other])
    for name in both:
        if files[run][name].read_bytes() != files[other][name].read_bytes():
            contents = [content(files[root][name], root) for root in (run, other)]
            if contents[0] != contents[1]:
                found.append(f"{name} differs")
    return len(both), found


def content(path: Path, root: Path) -> Any:
    """A file without times and without the place of its run."""
    if path.suffix not in (".json", ".ipynb"):
        return path.read_bytes()
    value = json.loads(path.read_text().replace(str(root.resolve().parents[1]), ""))
    return outputs(value) if path.suffix == ".ipynb" else timeless(value)


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def outputs(notebook: dict) -> list:
    """What a notebook's cells show; times in it are blanked."""
    shown = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {"text": output.get("text", "")})
            shown.append({kind: blank("".join(text)) for kind, text in data.items() if isinstance(text, str | list)})
    return shown


def blank(text: str) -> str:
    text = re.sub(r"\b0x[0-9a-f]{6,}\b", "ADDRESS", text)
    text = STAMPED.sub(r"\1", text)
    return re.sub(r"\d[\d.,:]* ?(s|ms|min|h|seconds|frames a second|frames/s)\b", "TIME", text)


def main() -> int:
    count, found = differences(*map(Path, sys.argv[1:]))
    print(*found, f"{count} files compared, {len(found)} differences", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
