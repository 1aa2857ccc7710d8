"""Sphinx settings of the book. `book/build.py` stages the sources and leaves `run.json` beside this file."""

import html
import json
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parent
RUN = json.loads((HERE / "run.json").read_text(encoding="utf-8"))

project = "Spatial, then temporal"
html_title = project
author = "the stt-core authors"
copyright = f"2026, {author}. MIT licence"
language = "en"

extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinxcontrib.bibtex"]
exclude_patterns = ["_build"]
numfig = True
math_numfig = True
highlight_language = "python"
pygments_style = "default"

# Notebooks were executed by the runner; here they are only rendered.
nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js = {}  # the default loads scripts from a CDN
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
bibtex_default_style = "plain"

html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_static_path = ["_static"]
html_css_files = ["book.css", "explorer.css"]
html_favicon = "_static/icon.svg"
html_show_search_summary = False  # a page opened from the disk may not fetch the pages that it finds
html_copy_source = True
html_show_sourcelink = False
html_last_updated_fmt = None
html_theme_options = {
    "navbar_persistent": [],  # the search field is in the side bar
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_fullscreen_button": False,
    "use_download_button": False,  # every notebook page links its source itself
    "use_repository_button": False,
    "use_issues_button": False,
    "extra_footer": f'<p class="run">{html.escape(RUN["footer"])}</p>',
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# Equations without a request to a CDN: the parts of MathJax 3 that these pages need, served from the book (see build.py).
mathjax_path = "mathjax/startup.js"
mathjax3_config = {
    "loader": {"load": ["core", "input/tex-base", "[tex]/ams", "output/chtml", "a11y/assistive-mml"]},
    "tex": {"packages": {"[+]": ["ams"]}},
}
html_static_path.append("mathjax")


class RunTable(SphinxDirective):
    """A data frame of a notebook as a numbered table: the caption, and the rows as pandas wrote them."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"name": directives.unchanged}
    has_content = True

    def run(self) -> list[nodes.Node]:
        caption, messages = self.state.inline_text(self.arguments[0], self.lineno)
        rows = nodes.raw("", "\n".join(self.content), format="html")
        table = nodes.table("", nodes.title("", "", *caption), rows, classes=["dataframe"])
        self.add_name(table)
        return [table, *messages]


def setup(app: Sphinx) -> None:
    app.add_directive("run-table", RunTable)
