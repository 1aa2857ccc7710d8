import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from stt_study.engine.job import read_source
from stt_study.results import report

pytest.importorskip("sphinx")

REPOSITORY = Path(__file__).parents[2]
SOURCE = '# %% [markdown]\n# # One page\n# An equation, $x^2$.\n\n# %% tags=["parameters"]\nseed = 0\n\n# %%\nseed\n'


# One grey pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="


def cells() -> list[nbformat.NotebookNode]:
    return [
        nbformat.v4.new_markdown_cell("# One page\nAn equation, $x^2$."),
        nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("# Parameters\nseed = 3\n", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell("seed", outputs=[nbformat.v4.new_output("stream", text="a result\n")]),
    ]


def referred_to(page: Path) -> list[str]:
    """Names of figures and tables of other pages."""
    text = page.read_text(encoding="utf-8")
    return [name for name in sorted(set(re.findall(r"{numref}`([^`]+)`", text))) if f'name="{name}"' not in text]


def made_up(name: str) -> nbformat.NotebookNode:
    rows = pd.DataFrame({"count": [7]}, index=["frames"])._repr_html_()
    caption = "What was *counted*." if name.startswith("tab") else "Two frames, `a` file."
    words = {"stt": {"caption": caption, "alt": "two frames", "name": name}}
    data = {"text/html": rows} if name.startswith("tab") else {"image/png": PIXEL}
    return nbformat.v4.new_output("display_data", data, metadata=words)


@pytest.fixture
def study(tmp_path):
    """A repository with the real book and library, and the executed notebooks of a made-up run."""
    for name in ("book", "stt_core", "stt_study"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    run = {"profile": "tiny", "parameters": {"seed": 3, "data": "frames"}, "seconds": 130.0, "cores": 7}
    run |= {"finished": "2031-02-03T04:05:06Z", "versions": {"python": "3.99", "torch": "9.9"}}
    for real in sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.py")):
        # The pages that the book names: each made up, but for the one that quotes the library.
        source = tmp_path / "notebooks" / real.name
        source.parent.mkdir(exist_ok=True)
        source.write_text(real.read_text() if real.stem == "00_method" else SOURCE)
        notebook = read_source(real) if real.stem == "00_method" else nbformat.v4.new_notebook(cells=cells())
        if real.stem == "00_correspondence":  # the figures and tables that the method's page refers to
            notebook.cells[-1].outputs += [made_up(name) for name in referred_to(REPOSITORY / "notebooks/00_method.py")]
        notebook.metadata = metadata
        executed = tmp_path / "runs" / "tiny" / "notebooks" / f"{real.stem}.ipynb"
        executed.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, executed)
        executed.with_suffix(".json").write_text(json.dumps({"notebook": real.stem, **run}))
    return tmp_path


def build(study):
    environment = os.environ | {"PYTHONPATH": str(study)}
    command = [sys.executable, "book/build.py", "--profile", "tiny"]
    return subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, timeout=600)


def test_book(study):
    result = build(study)
    assert result.returncode == 0, result.stderr
    html = study / "runs" / "tiny" / "book" / "html"
    assert result.stdout.strip() == f"The book is rendered: {(html / 'index.html').as_uri()}"

    page = (html / "notebooks" / "02_spatial_step.html").read_text()
    text = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "make notebook NB=02_spatial_step PROFILE=tiny SEED=3 DATA=frames" in text
    assert "took 2.2 min in this run" in text
    assert "a result" in text
    assert "seed = 3" in text
    assert "seed = 0" not in text  # the default doesn't hold
    count = len(list((study / "notebooks").glob("*.py")))
    minutes = f"{count * 130 / 60:.1f}"
    assert (
        f"Profile “tiny”, run of 2031-02-03: {count} notebooks whose times add up to {minutes} min on 7 cores" in text
    )
    (download,) = re.findall(r'href="\.\./(_downloads/[^"]+/02_spatial_step\.py)"', page)
    assert (html / download).read_text() == SOURCE

    method = (html / "notebooks" / "00_method.html").read_text()
    quoted = re.sub(r"<[^>]+>", "", method)
    assert "counts = target.any(dim=2)" in quoted
    assert "Args:" not in quoted  # docstrings are left out

    # Nothing is asked of the network: scripts, styles, images and fonts come with the book.
    loaded = r"""<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=["']((?:https?:)?//[^"']+)"""
    pages = list(html.rglob("*.html"))
    assert len(pages) > 6
    assert [(p.name, url) for p in pages for url in re.findall(loaded, p.read_text())] == []
    for style in (html / "_static").rglob("*.css"):
        assert not re.search(r"""url\(["']?https?:|@import[^;]+https?:""", style.read_text()), style
    assert 'src="../_static/mathjax/startup.js' in method

    figure = (html / "notebooks" / "00_correspondence.html").read_text()
    assert re.search(r'<figure[^>]*id="fig-propagation"', figure)
    assert 'alt="two frames"' in figure
    assert "Fig. 1" in figure
    assert "Two frames," in re.sub(r"<[^>]+>", "", figure)
    assert 'href="00_correspondence.html#fig-propagation"' in method
    ((caption, rows),) = re.findall(
        r'<figure[^>]*id="tab-speed">\s*<figcaption>(.*?)</figcaption>(.*?)</figure>', figure, re.DOTALL
    )
    assert 'href="00_correspondence.html#tab-speed"' in method
    assert re.sub(r"<[^>]+>", "", caption).strip().endswith("What was counted.#")
    assert re.sub(r"<[^>]+>|\s", "", rows) == "countframes7"

    assert build(study).stdout.startswith("The book is fresh: ")

    # A failed build leaves the last good book.
    (study / "book" / "index.md").write_text("# Broken\n\n[](nowhere.md)\n")
    result = build(study)
    assert result.returncode == 2
    assert "nowhere.md" in result.stderr
    assert "without labels" in (html / "index.html").read_text()


def test_a_missing_run_is_one_sentence(study):
    (study / "runs" / "tiny" / "notebooks" / "02_spatial_step.ipynb").unlink()
    result = build(study)
    assert result.returncode == 2
    assert "02_spatial_step.ipynb is missing: run `make reproduce PROFILE=tiny`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def cited(*pages: Path) -> set[str]:
    found = (re.findall(r"{cite(?::[a-z]+)?}`([^`]+)`", page.read_text(encoding="utf-8")) for page in pages)
    return {key.strip() for some in found for keys in some for key in keys.split(",")}


def test_bibliography():
    """All of it is cited, and so are the sources of published figures, on their page; Sphinx sees to the opposite."""
    bibliography = (REPOSITORY / "book" / "references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+{(\w+),", bibliography, re.MULTILINE)
    assert len(entries) == len(set(entries)) > 20
    pages = [page for folder in ("book", "notebooks") for page in (REPOSITORY / folder).glob("*.[mp][dy]")]
    assert sorted(set(entries) - cited(*pages)) == []
    sources = set(report.published().key.dropna())
    assert sources
    assert sources <= set(entries) & cited(REPOSITORY / "notebooks" / "11_benchmark_tables.py")
    assert report.published().groupby("source").key.nunique(dropna=False).eq(1).all()
