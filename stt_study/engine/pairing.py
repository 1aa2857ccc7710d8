"""Notebooks as text: `NN_name.py` (py:percent) is the source, `NN_name.ipynb` is made from it, without outputs.

Command line: `python -m stt_study.engine.pairing check|sync [folder]`.
"""

import ast
import sys
from pathlib import Path

import jupytext
import nbformat

from stt_core.errors import InputError
from stt_core.files import write_text

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
PATTERN = "[0-9][0-9]_*"  # names of notebooks, without suffix


def read_source(path: str | Path) -> nbformat.NotebookNode:
    """A notebook out of its text source.

    Cell names are made from their positions, so that the same text gives the same notebook, byte for byte.

    Raises:
        InputError: the file can't be read.
    """
    try:
        notebook = jupytext.reads(Path(path).read_text(encoding="utf-8"), fmt="py:percent")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read as a notebook's source ({error}): restore it.") from None
    for position, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{position:02d}"
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's own note about layout
    notebook.metadata = nbformat.NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def declared_parameters(notebook: nbformat.NotebookNode, name: str) -> set[str]:
    """Names assigned in the cell tagged `parameters`.

    Raises:
        InputError: there is no such cell, or it isn't Python.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            break
    else:
        raise InputError(f"{name} has no cell tagged `parameters`: add one that assigns the defaults.")
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise InputError(f"the parameters cell of {name} isn't valid Python: {error.msg}.") from None
    targets = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
    targets += [s.target for s in statements if isinstance(s, ast.AnnAssign)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def paired_text(source: Path) -> str:
    """What the .ipynb beside a source must hold."""
    return nbformat.writes(read_source(source)) + "\n"


def check(folder: str | Path) -> list[str]:
    """One sentence for each pair in `folder` that doesn't agree; empty if all do."""
    folder = Path(folder)
    complaints = []
    for name in sorted({path.stem for path in folder.glob(PATTERN) if path.suffix in (".py", ".ipynb")}):
        source, paired = folder / f"{name}.py", folder / f"{name}.ipynb"
        if not source.exists():
            complaints.append(f"{paired} has no source {source.name}")
        elif not paired.exists():
            complaints.append(f"{source} has no {paired.name}")
        elif paired.read_text(encoding="utf-8") != paired_text(source):
            complaints.append(f"{paired} isn't what {source.name} makes (or it has outputs)")
    return complaints


def sync(folder: str | Path) -> None:
    """Make every pair in `folder` agree.

    Where the cells differ, the file changed last wins; then the .ipynb is written afresh, without outputs.
    """
    for paired in sorted(Path(folder).glob(f"{PATTERN}.ipynb")):
        source = paired.with_suffix(".py")
        notebook = nbformat.read(paired, as_version=4)
        edited = not source.exists() or paired.stat().st_mtime > source.stat().st_mtime
        if edited and (not source.exists() or _cells(notebook) != _cells(read_source(source))):
            notebook.metadata = nbformat.NotebookNode(jupytext={"notebook_metadata_filter": "-all"})
            write_text(source, jupytext.writes(notebook, fmt="py:percent"))
    for source in sorted(Path(folder).glob(f"{PATTERN}.py")):
        paired, text = source.with_suffix(".ipynb"), paired_text(source)
        if not paired.exists() or paired.read_text(encoding="utf-8") != text:
            write_text(paired, text)


def _cells(notebook: nbformat.NotebookNode) -> list[tuple]:
    return [(cell.cell_type, cell.source.strip(), cell.metadata.get("tags", [])) for cell in notebook.cells]


def main(arguments: list[str]) -> int:
    action, folder = (*arguments, "notebooks")[:2] if arguments else ("", "")
    if action == "sync":
        sync(folder)
    elif action != "check":
        print("usage: python -m stt_study.engine.pairing check|sync [folder]", file=sys.stderr)
        return 2
    complaints = check(folder)
    for complaint in complaints:
        print(f"{complaint}: run `make sync`.", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
