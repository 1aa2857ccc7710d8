import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("sphinx")

REPOSITORY = Path(__file__).parents[1]
SOURCE = '# %% [markdown]\n# # One page\n# An equation, $x^2$.\n\n# %% tags=["parameters"]\nseed = 0\n\n# %%\nseed\n'


@pytest.fixture
def study(tmp_path):
    """A repository with the real book and library, and one executed notebook of a made-up run."""
    for name in ("book", "stt_core"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "notebooks" / "01_page.py"
    source.parent.mkdir()
    source.write_text(SOURCE)
    cells = [
        nbformat.v4.new_markdown_cell("# One page\nAn equation, $x^2$."),
        nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("# Parameters\nseed = 3\n", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell("seed", outputs=[nbformat.v4.new_output("stream", text="a result\n")]),
    ]
    executed = tmp_path / "runs" / "tiny" / "notebooks" / "01_page.ipynb"
    executed.parent.mkdir(parents=True)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), executed)
    record = {"notebook": "01_page", "profile": "tiny", "parameters": {"seed": 3, "data": "frames"}, "seconds": 130.0}
    record |= {"finished": "2031-02-03T04:05:06Z", "cores": 7, "versions": {"python": "3.99", "torch": "9.9"}}
    executed.with_suffix(".json").write_text(json.dumps(record))
    return tmp_path


def build(study):
    environment = os.environ | {"PYTHONPATH": str(study)}
    command = [sys.executable, "book/build.py", "--profile", "tiny"]
    return subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, timeout=120)


def test_book(study):
    result = build(study)
    assert result.returncode == 0, result.stderr
    html = study / "runs" / "tiny" / "book" / "html"
    assert result.stdout.strip() == f"The book is rendered: {(html / 'index.html').as_uri()}"

    page = (html / "notebooks" / "01_page.html").read_text()
    text = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "make notebook NB=01_page PROFILE=tiny SEED=3 DATA=frames" in text
    assert "took 2 min in this run" in text
    assert "a result" in text
    assert "seed = 3" in text
    assert "seed = 0" not in text  # the default doesn't hold
    assert "Profile “tiny”, run of 2031-02-03: 1 notebook, 2 min in all on 7 cores" in text
    (download,) = re.findall(r'href="\.\./(_downloads/[^"]+/01_page\.py)"', page)
    assert (html / download).read_text() == SOURCE

    method = (html / "method.html").read_text()
    quoted = re.sub(r"<[^>]+>", "", method)
    assert "return F.mse_loss(correlation(student_query, student_reference), target)" in quoted
    assert "Args:" not in quoted  # docstrings are left out

    # Nothing is asked of the network: scripts, styles, images and fonts come with the book.
    loaded = r"""<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=["']((?:https?:)?//[^"']+)"""
    pages = list(html.rglob("*.html"))
    assert len(pages) > 6
    assert [(p.name, url) for p in pages for url in re.findall(loaded, p.read_text())] == []
    styles = [p.read_text() for p in (html / "_static").rglob("*.css")]
    assert [
        url for style in styles for url in re.findall(r"""url\(["']?https?:[^)]+|@import[^;]+https?:[^;]+""", style)
    ] == []
    assert 'src="_static/tex-svg-full.js' in method
    assert (html / "_static" / "tex-svg-full.js").stat().st_size > 1_000_000
    assert not (html / "_static" / "mathjax").exists()  # one file of the package is enough

    assert build(study).stdout.startswith("The book is fresh: ")

    # A failed build leaves the last good book.
    (study / "book" / "index.md").write_text("# Broken\n\n[](nowhere.md)\n")
    result = build(study)
    assert result.returncode == 2
    assert "nowhere.md" in result.stderr
    assert "without labels" in (html / "index.html").read_text()


def test_a_missing_run_is_one_sentence(study):
    (study / "runs" / "tiny" / "notebooks" / "01_page.ipynb").unlink()
    result = build(study)
    assert result.returncode == 2
    assert "01_page.ipynb is missing: run `make reproduce PROFILE=tiny`" in result.stderr
    assert len(result.stderr.splitlines()) == 1
