"""The rendered book in a headless Chromium, from the disk and from a server: `STT_BOOK=runs/smoke/book/html pytest tests/browser`."""

import os
import re
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

BOOK = Path(os.environ["STT_BOOK"]).resolve() if os.environ.get("STT_BOOK") else None
LARGEST = 2_000_000  # bytes that a page loads
NOTEBOOKS = sorted(path.stem for path in (Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.py"))
MADE = ("genindex.html", "search.html")  # by Sphinx, without content of their own

pytestmark = pytest.mark.skipif(BOOK is None, reason="STT_BOOK doesn't say where a rendered book is")


class Page(HTMLParser):
    """Links, ids and pictures of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.ids, self.pictures = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.pictures.append((found.get("src", ""), found.get("alt") or ""))


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    found = {path: Page(path) for path in sorted(BOOK.rglob("*.html")) if "_static" not in path.parts}
    assert found, f"{BOOK} holds no page: render the book first"
    return found


def test_every_notebook_has_its_page_source_and_command(pages: dict[Path, Page]) -> None:
    for name in NOTEBOOKS:
        path = BOOK / "notebooks" / f"{name}.html"
        assert path in pages
        text = re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))
        assert f"make notebook NB={name} " in " ".join(text.split())
        (source,) = [link for link in pages[path].links if link.endswith(f"/{name}.py")]
        assert (path.parent / source).is_file()


def test_links_and_anchors_exist(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
            ):
                broken.append((path.name, link))
    assert broken == []


def test_pictures_exist_and_are_told_in_words(pages: dict[Path, Page]) -> None:
    missing = [(p.name, src) for p, page in pages.items() for src, _ in page.pictures if not (p.parent / src).is_file()]
    silent = [(p.name, src) for p, page in pages.items() for src, alt in page.pictures if len(alt) < 5]
    assert (missing, silent) == ([], [])
    assert sum(len(page.pictures) for page in pages.values()) > 20


def test_every_page_names_its_run(pages: dict[Path, Page]) -> None:
    assert [
        p.name for p in pages if not re.search(r"Profile “\w+”, run of \d{4}-", p.read_text(encoding="utf-8"))
    ] == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module", params=["disk", "server"])
def site(request: pytest.FixtureRequest):
    """Address of the book's folder, with a slash."""
    if request.param == "disk":
        yield BOOK.as_uri() + "/"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(BOOK)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def watched(page, site: str) -> tuple[list[str], dict[str, int]]:
    """What goes wrong in a page from now on, and the bytes of each address that it loads."""
    problems, sizes = [], {}

    def on_request(request) -> None:
        if not request.url.startswith((site, "data:", "blob:")):
            problems.append(f"asks for {request.url}")
        elif request.url.startswith("file:"):
            path = Path(unquote(urlsplit(request.url).path))
            sizes[request.url] = path.stat().st_size if path.is_file() else 0

    def on_response(response) -> None:
        if response.status >= 400:
            problems.append(f"{response.status} for {response.url}")
        sizes[response.url] = max(sizes.get(response.url, 0), int(response.headers.get("content-length", 0)))

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems, sizes


def test_every_page_loads_alone_and_light(browser, site: str, pages: dict[Path, Page]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems, sizes = watched(page, site)
    found = {}
    for path in pages:
        problems.clear(), sizes.clear()
        page.goto(site + path.relative_to(BOOK).as_posix(), wait_until="load")
        page.wait_for_load_state("networkidle")
        blank = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
        found[path.name] = [*problems, *(f"no picture: {src}" for src in blank)]
        if (total := sum(sizes.values())) > LARGEST:
            found[path.name].append(f"loads {total} bytes")
        if page.evaluate("document.querySelector('div.math') !== null"):
            page.wait_for_selector("div.math mjx-container", timeout=10_000)
    page.close()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_phone(browser, site: str, pages: dict[Path, Page]) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    wide = {}
    for path in pages:
        page.goto(site + path.relative_to(BOOK).as_posix(), wait_until="load")
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > 361:
            wide[path.name] = width
    page.close()
    assert wide == {}


def test_search(browser, site: str) -> None:
    page = browser.new_page()
    problems, _ = watched(page, site)
    page.goto(site + "search.html", wait_until="load")
    page.locator(".bd-search-container input[name=q]").fill("learning without forgetting")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    page.wait_for_function("!document.querySelector('#search-progress')?.textContent.includes('...')")
    results = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
    page.close()
    assert any("06_ablation_no_global.html" in link for link in results)
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_barrier(browser, site: str, pages: dict[Path, Page], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if site.startswith("file:"):
        pytest.skip("the same pages as from the server, where axe can read the styles")
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    found = {}
    for path in pages:
        page.goto(site + path.relative_to(BOOK).as_posix(), wait_until="load")
        for wrong in axe.Axe().run(page).response["violations"]:
            if wrong["impact"] in ("serious", "critical"):
                targets = [" ".join(map(str, node["target"])) for node in wrong["nodes"]]
                found.setdefault(wrong["id"], []).append((path.name, len(targets), targets[:2]))
    page.close()
    assert found == {}


def test_explorer(browser, site: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    problems, _ = watched(page, site)
    page.goto(site + "notebooks/16_explorer.html", wait_until="load")
    said = page.locator("#explorer [aria-live]")
    page.wait_for_function("/\\d/.test(document.querySelector('#explorer [aria-live]').textContent)", timeout=20_000)
    frame = page.locator("#explorer canvas").first
    frame.scroll_into_view_if_needed()
    box, texts = frame.bounding_box(), [said.text_content()]

    def changes(act) -> None:
        act()
        page.wait_for_function(
            "before => document.querySelector('#explorer [aria-live]').textContent !== before", arg=texts[-1]
        )
        texts.append(said.text_content())

    changes(lambda: page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"]))
    changes(lambda: page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"]))
    page.locator("#explorer [tabindex='0']").first.focus()
    changes(lambda: page.keyboard.press("ArrowLeft"))
    changes(lambda: page.get_by_role("button", name=re.compile("previous", re.I)).click())
    changes(lambda: page.get_by_role("radio").first.check())
    page.close()
    assert problems == []
