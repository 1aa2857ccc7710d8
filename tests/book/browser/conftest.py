"""The rendered book that STT_BOOK names, its pages as files, and the address to open it at."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def book() -> Path:
    """Folder of the rendered pages. Not guessed: what lies below runs/ may be older than the sources."""
    if not os.environ.get("STT_BOOK"):
        pytest.skip("no book is given: run `make reproduce PROFILE=smoke`, then set STT_BOOK=runs/smoke/book/html")
    return Path(os.environ["STT_BOOK"]).resolve()


class Page(HTMLParser):
    """Links, ids, pictures and the number of captioned tables of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.ids, self.pictures, self.tables = [], set(), [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        self.tables += tag == "figure" and found.get("class") == "run-table"
        if tag == "img":
            self.pictures.append((found.get("src", ""), found.get("alt") or ""))


@pytest.fixture(scope="module")
def pages(book: Path) -> dict[Path, Page]:
    found = {path: Page(path) for path in sorted(book.rglob("*.html")) if "_static" not in path.parts}
    assert found, f"{book} holds no page: render the book first"
    return found


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module", params=["disk", "server"])
def site(request: pytest.FixtureRequest, book: Path) -> Iterator[str]:
    """Address of the book's folder, with a slash."""
    if request.param == "disk":
        yield book.as_uri() + "/"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(book)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
