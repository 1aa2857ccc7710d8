"""Sphinx settings of the book. `book/build.py` stages the sources and leaves `run.json` beside this file."""

import html
import json
import re
import sys
from pathlib import Path

import stt_core  # before the copies that pages quote, which have no docstrings, are on the path

HERE = Path(__file__).parent
RUN = json.loads((HERE / "run.json").read_text(encoding="utf-8"))

project = "Spatial, then temporal"
html_title = project
author = "the stt-core authors"
copyright = f"2026, {author}. MIT licence"

sys.path.insert(0, str(HERE))
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.bibtex", "run_table"]
numfig = True

# Notebooks were executed by the engine; here they are only rendered.
nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js = {}  # the default loads scripts from a CDN
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_ref_domains = ["std"]  # a link by its text alone means a page or a label, not a function

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
bibtex_default_style = "plain"

# The library's pages: of a module, what the package makes public, as `from stt_core import …` names it.
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
add_module_names = False
toc_object_entries_show_parents = "hide"
default_role = "py:obj"
napoleon_use_rtype = False

html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_static_path = ["_static"]
html_css_files = ["book.css", "explorer.css"]
html_favicon = "_static/icon.svg"
html_use_index = html_domain_indices = False  # the search field finds as much
html_show_search_summary = False  # a page opened from the disk may not fetch the pages that it finds
html_show_sourcelink = False
html_theme_options = {
    "announcement": "A test of the machinery on hardly any data: its figures and verdicts mean nothing."
    if RUN["profile"] == "smoke"
    else "",
    "navbar_persistent": [],  # the search field is in the side bar
    "show_toc_level": 2,
    "use_fullscreen_button": False,
    "use_download_button": False,  # every notebook page links its source itself
    "extra_footer": f'<p class="run">{html.escape(RUN["footer"])}</p>',
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# Equations without a request to a CDN: the parts of MathJax 3 that these pages need, in the book itself (see build.py).
mathjax_path = "mathjax/startup.js"
mathjax3_config = {
    "loader": {"load": ["core", "input/tex-base", "[tex]/ams", "output/chtml", "a11y/assistive-mml"]},
    "tex": {"packages": {"[+]": ["ams"]}},
}
html_static_path.append("mathjax")


def setup(app) -> None:
    def skipped(app, what: str, name: str, thing: object, skip: bool, options: object) -> bool:
        return skip or (what == "module" and name not in stt_core.__all__)

    def without_limits(app, what: str, name: str, thing: object, options: object, text: str, returns: str) -> tuple:
        return text and re.sub(r"Annotated\[(\w+), FieldInfo\(.*?\)\]\)\]", r"\1", text), returns

    app.connect("autodoc-skip-member", skipped)
    app.connect("autodoc-process-signature", without_limits)
