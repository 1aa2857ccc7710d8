"""Directive `run-table`: a data frame of a notebook as a numbered table; `build.py` writes it."""

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

# Docutils leaves closing a figure's <figcaption> to what follows.
BOX = (
    '</figcaption><div class="pst-scrollable-table-container" tabindex="0">'
    '<table class="dataframe table">{}</table></div>'
)


class TableFigure(nodes.figure):
    """A table with its caption outside of the box in which it scrolls on a phone; numbered among tables."""


class RunTable(SphinxDirective):
    """The caption is the argument, the content the rows as pandas wrote them."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"name": directives.unchanged}
    has_content = True

    def run(self) -> list[nodes.Node]:
        caption, messages = self.state.inline_text(self.arguments[0], self.lineno)
        rows = nodes.raw("", BOX.format("\n".join(self.content)), format="html")
        table = TableFigure("", nodes.caption("", "", *caption), rows)
        self.add_name(table)
        return [table, *messages]


def begin(writer: HTML5Translator, node: TableFigure) -> None:
    writer.body.append(writer.starttag(node, "figure", CLASS="run-table"))


def end(writer: HTML5Translator, node: TableFigure) -> None:
    writer.body.append("</figure>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("run-table", RunTable)
    app.add_enumerable_node(TableFigure, "table", html=(begin, end))
    return {"parallel_read_safe": True}
