"""Renders the book of one profile's run: `python book/build.py --profile laptop`. Does nothing if nothing changed.

Pages and executed notebooks are staged in `runs/<profile>/book/source`, with the library's source for the pages that
quote it, and rendered to `runs/<profile>/book/html`; a failed build leaves the last good one there.
"""

import argparse
import ast
import base64
import io
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import nbformat
from filelock import FileLock
from PIL import Image

from stt_core.errors import InputError
from stt_core.files import read_json, write_json, write_text
from stt_study.engine.plan import PATTERN
from stt_study.exit_codes import one_sentence
from stt_study.figures import KEY
from stt_study.store import folder_fingerprint, hash_of

MATHJAX = ("startup.js", "core.js", "input/tex-base.js", "input/tex/extensions/ams.js", "output/chtml.js")
MATHJAX += ("output/chtml/fonts/tex.js", "output/chtml/fonts/woff-v2", "a11y/assistive-mml.js")
DRAWING = 8000  # colours at most: lines, their soft edges and text
PACKAGES = ("sphinx", "myst-nb", "sphinx-book-theme", "sphinxcontrib-bibtex", "sphinx-mathjax-offline")
ROOT = Path(__file__).resolve().parents[1]


def executed(profile: str) -> dict[Path, dict]:
    """Executed notebooks, in order, each with the record of its run; InputError where one is missing."""
    folder = ROOT / "runs" / profile / "notebooks"
    found = {}
    for source in sorted((ROOT / "notebooks").glob(f"{PATTERN}.py")):
        path = folder / f"{source.stem}.ipynb"
        if not path.exists():
            raise InputError(f"{path} is missing: run `make reproduce PROFILE={profile}`.")
        found[path] = read_json(path.with_suffix(".json"))
    return found


def library() -> list[Path]:
    """The sources that pages quote from."""
    return sorted(path for package in ("stt_core", "stt_study") for path in (ROOT / package).rglob("*.py"))


def key(notebooks: dict[Path, dict]) -> str:
    """Hash of all that the book shows, and of what renders it."""
    run = next(iter(notebooks)).parents[1]
    prints = [folder_fingerprint(folder) for folder in (ROOT / "book", run / "notebooks", run / "explorer")]
    sources = [path.read_text(encoding="utf-8") for path in library()]
    return hash_of([prints, sources, [version(package) for package in PACKAGES]])


def footer(profile: str, records: list[dict]) -> str:
    """Profile, time and surroundings of the run, in a line."""
    last = max(records, key=lambda record: record["finished"])
    minutes = sum(record["seconds"] for record in records) / 60
    return (
        f"Profile “{profile}”, run of {last['finished'][:10]}: {len(records)} notebooks whose times add up to "
        f"{minutes:.1f} min on {last['cores']} cores, Python {last['versions']['python']}, "
        f"PyTorch {last['versions']['torch']}."
    )


def page(path: Path, record: dict) -> nbformat.NotebookNode:
    """An executed notebook as a page: where its source is and how to rerun it, at the foot."""
    notebook = nbformat.read(path, as_version=4)
    name, parameters = record["notebook"], record["parameters"]
    assignments = [f"PROFILE={record['profile']}"]
    assignments += [f"{what.upper()}={parameters[what]}" for what in ("seed", "data") if parameters.get(what)]
    text = (
        ":::{container} rerun\n"
        f"This page is a notebook, {{download}}`notebooks/{name}.py </notebook-sources/{name}.py>`, "
        f"and took {record['seconds'] / 60:.1f} min in this run, in which it read what was there already, such as "
        "weights. To run it again:\n\n"
        f"```bash\nmake notebook NB={name} {' '.join(assignments)}\n```\n:::"
    )
    injected = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    for cell in injected:
        cell.source = cell.source.removeprefix("# Parameters\n")
        cell.metadata["tags"].append("hide-input")
        cell.metadata["mystnb"] = {"code_prompt_show": "Parameters of this run"}
    if injected:  # the defaults, in the cell before, don't hold
        notebook.cells = [cell for cell in notebook.cells if "parameters" not in cell.metadata.get("tags", [])]
    if notebook.cells[0].cell_type != "markdown" or not notebook.cells[0].source.startswith("# "):
        raise InputError(f"notebooks/{name}.py must begin with a Markdown cell whose first line is its title, “# …”.")
    notebook.cells = [*numbered(notebook.cells), nbformat.v4.new_markdown_cell(text)]
    return notebook


def numbered(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Cells with every captioned output (see `Page.show`) taken out into a cell of its own, which Sphinx numbers."""
    result = []
    for cell in cells:
        captioned = [o for o in cell.get("outputs", []) if KEY in o.get("metadata", {})]
        if captioned:
            cell.outputs = [o for o in cell.outputs if o not in captioned]
        result.append(cell)
        result += [
            (table if "text/html" in output.data else figure)(output, output.metadata.pop(KEY)) for output in captioned
        ]
    return result


def figure(output: nbformat.NotebookNode, words: dict[str, str]) -> nbformat.NotebookNode:
    """A cell of one picture with a caption."""
    lighter(output)
    cell = nbformat.v4.new_code_cell(
        "# the figure of the cell above", outputs=[output], metadata={"tags": ["remove-input"]}
    )
    options = {"caption": words["caption"], "align": "left"} | ({"name": words["name"]} if words["name"] else {})
    cell.metadata["mystnb"] = {"figure": options, "image": {"alt": words["alt"]}}
    return cell


def table(output: nbformat.NotebookNode, words: dict[str, str]) -> nbformat.NotebookNode:
    """A cell of one data frame with a caption, for the directive of run_table.py."""
    name = f":name: {words['name']}\n" if words["name"] else ""
    inside = re.search(r"<table[^>]*>(.*)</table>", output.data["text/html"], re.DOTALL)[1].strip()
    return nbformat.v4.new_markdown_cell(f"::::{{run-table}} {words['caption']}\n{name}\n{inside}\n::::")


def lighter(output: nbformat.NotebookNode) -> None:
    """A page shall load in less than 2 MB: drawings get a palette of 256 colours, large photographs become JPEG."""
    data = base64.b64decode(output.data.get("image/png", ""))
    if not data:
        return
    image, small = Image.open(io.BytesIO(data)).convert("RGB"), io.BytesIO()
    drawing = image.getcolors(DRAWING) is not None
    if drawing:
        image.quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    else:
        image.save(small, "JPEG", quality=80, optimize=True)
    if len(small.getvalue()) < len(data):
        del output.data["image/png"]
        output.data["image/png" if drawing else "image/jpeg"] = base64.b64encode(small.getvalue()).decode()


def without_docstrings(text: str) -> str:
    """Source of the library as the book quotes it: functions without docstrings, for the page has the words."""
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None and len(node.body) > 1:
            first = node.body[0]
            lines[first.lineno - 1 : first.end_lineno] = [""] * (first.end_lineno - first.lineno + 1)
    return "".join(lines)


def stage(profile: str, notebooks: dict[Path, dict], source: Path) -> None:
    """Fill `source` with everything that Sphinx reads."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "book", source, ignore=shutil.ignore_patterns("__pycache__", "build.py"))
    for path in library():
        write_text(source / path.relative_to(ROOT), without_docstrings(path.read_text(encoding="utf-8")))
    (source / "notebook-sources").mkdir()
    for path, record in notebooks.items():
        write_text(source / "notebooks" / path.name, nbformat.writes(page(path, record)))
        shutil.copy(ROOT / "notebooks" / f"{path.stem}.py", source / "notebook-sources")
    explorer = ROOT / "runs" / profile / "explorer"  # written by its notebook
    if explorer.is_dir():
        shutil.copytree(explorer, source / "_static" / "explorer")
    package = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        target = source / "mathjax" / "mathjax" / name  # Sphinx serves what is in the first of the two folders
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (package / name).is_dir() else shutil.copy)(package / name, target)
    write_json(source / "run.json", {"profile": profile, "footer": footer(profile, list(notebooks.values()))})


def polish(html: Path) -> None:
    """Mend what the theme leaves in the rendered pages."""
    # It draws a dozen icons by a script of 1.5 MB; book.css does it with its font. The bibliography says it is a list,
    # of entries that don't say they are its items. Keys can't reach a wide equation or table to scroll it.
    for path in html.rglob("*.html"):
        text = re.sub(r"<script[^>]*scripts/fontawesome\.js[^>]*></script>", "", path.read_text(encoding="utf-8"))
        text = text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        for wide in ("math ", "cell_output "):
            text = text.replace(f'<div class="{wide}', f'<div tabindex="0" class="{wide}')
        path.write_text(text, encoding="utf-8")
    for path in {*html.rglob("*.map"), *html.rglob("fontawesome.js*")}:
        path.unlink()


def build(profile: str, notebooks: dict[Path, dict]) -> tuple[Path, bool]:
    """Render the book if it is stale: its first page, and whether it was rendered.

    InputError where Sphinx complains (warnings are errors).
    """
    folder = ROOT / "runs" / profile / "book"
    html, fresh, record = folder / "html", key(notebooks), folder / "book.json"
    if (html / "index.html").exists() and record.exists() and read_json(record).get("key") == fresh:
        return html / "index.html", False
    source, new, log = folder / "source", folder / "html.new", folder / "sphinx.log"
    stage(profile, notebooks, source)
    shutil.rmtree(new, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    result = subprocess.run([*command, str(source), str(new)], capture_output=True, text=True)
    write_text(log, result.stdout + result.stderr)
    if result.returncode:
        print(result.stderr.strip(), file=sys.stderr)
        raise InputError(f"the book can't be rendered, see {log}; fix the pages that are named above.")
    polish(new)
    record.unlink(missing_ok=True)
    shutil.rmtree(html, ignore_errors=True)
    new.rename(html)
    write_json(record, {"key": fresh, "profile": profile})
    return html / "index.html", True


def main() -> int:
    parser = argparse.ArgumentParser(description="Render the book of one profile's run.")
    parser.add_argument("--profile", default="laptop")
    given = parser.parse_args()
    with one_sentence():
        notebooks = executed(given.profile)  # before anything is written
        with FileLock(ROOT / "runs" / given.profile / ".book.lock"):  # a second one waits, and finds it fresh
            first, rendered = build(given.profile, notebooks)
    print(f"The book {'is rendered' if rendered else 'is fresh'}: {first.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
