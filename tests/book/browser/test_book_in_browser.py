"""The rendered book in a headless Chromium, from the disk and from a server.

STT_BOOK=runs/smoke/book/html pytest tests/book/browser
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

LARGEST = 2_000_000  # bytes that a page loads
DARK = ["color-contrast", "link-in-text-block"]  # axe's rules whose verdict depends on the colours

# Equations, fonts and the explorer's data come after the page.
SETTLED = """async () => {
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    const explorer = document.querySelector('#explorer [role=status]');
    while (explorer?.textContent.startsWith('Loading')) await new Promise((done) => setTimeout(done, 50));
}"""
# What reaches over the right edge and is in no box that scrolls, or over the left: readers can't get at the rest of it.
CUT_OFF = """() => [...document.querySelectorAll('main *')].filter((element) => {
    const scrolls = (box) => box && (/auto|scroll/.test(getComputedStyle(box).overflowX) || scrolls(box.parentElement));
    const box = element.getBoundingClientRect(), image = element.matches('img, mjx-container, table');
    return (box.right > innerWidth + 1 && !scrolls(element.parentElement) || image && box.left < 0)
        && element.checkVisibility({visibilityProperty: true});
}).map((element) => `${element.tagName.toLowerCase()}.${element.className} is cut off`)"""
# Serious violations of axe's rules, with what axe measured.
BARRIERS = """async (options) => (await axe.run({resultTypes: ['violations'], ...options})).violations
    .filter(({impact}) => ['serious', 'critical'].includes(impact))
    .flatMap(({id, nodes}) => nodes.map(({target, any}) => `${id} at ${target.join(' ')} ${any[0]?.message ?? ''}`))"""
UNFOLDED = """async () => {
    for (const folded of document.querySelectorAll('details')) folded.open = true;
    await Promise.allSettled(document.getAnimations().map((animation) => animation.finished)); // code fades in
}"""
NO_PICTURE = "[...document.images].filter((image) => !image.complete || !image.naturalWidth).map((image) => image.src)"
NO_EQUATION = "[...document.querySelectorAll('.math:not(:has(mjx-container))')].map((element) => element.textContent)"


def targets(path: Path, links: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Every link of a page within the book: as it is written, the file, and the id there."""
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            yield link, (path.parent / unquote(parts.path)).resolve() if parts.path else path, unquote(parts.fragment)


def test_links_and_anchors_exist(pages: dict) -> None:
    broken = [
        (path.name, link)
        for path, page in pages.items()
        for link, target, anchor in targets(path, page.links)
        if not target.exists() or (anchor and target in pages and anchor not in pages[target].ids)
    ]
    assert broken == []


def test_pictures_exist_and_are_told_in_words(pages: dict) -> None:
    missing = [(p.name, src) for p, page in pages.items() for src, _ in page.pictures if not (p.parent / src).is_file()]
    # Sphinx writes the file's name where there is no text.
    silent = [
        (p.name, alt) for p, page in pages.items() for _, alt in page.pictures if len(alt) < 5 or "_images/" in alt
    ]
    assert (missing, silent) == ([], [])


def test_every_figure_and_table_of_the_run_is_on_its_page(book: Path, pages: dict) -> None:
    executed = book.parents[1] / "notebooks"
    if not executed.is_dir():
        pytest.skip("the executed notebooks that this book shows are not beside it")
    expected, found = {}, {}
    for path in executed.glob("[0-9][0-9]_*.ipynb"):
        outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
        figures = sum("image/png" in output.get("data", {}) for output in outputs)
        tables = sum("text/html" in output.get("data", {}) and "stt" in output.metadata for output in outputs)
        page = pages[book / "notebooks" / f"{path.stem}.html"]
        expected[path.stem], found[path.stem] = (figures, tables), (len(page.pictures), page.tables)
    assert found == expected


def watched(page, site: str, book: Path) -> tuple[list[str], set[Path]]:
    """What goes wrong in a page from now on, and the book's files that it loads."""
    problems, files = [], set()

    def asked(address: str) -> None:
        if address.startswith(site):
            files.add(book / unquote(urlsplit(address[len(site) :]).path))
        elif not address.startswith(("data:", "blob:")):
            problems.append(f"asks for {address}")

    def answered(status: int, address: str) -> None:
        if status >= 400:
            problems.append(f"{status} for {address}")

    page.on("request", lambda request: asked(request.url))
    page.on("response", lambda response: answered(response.status, response.url))
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems, files


def all_barriers(page, axe: str) -> list[str]:
    """Of a page that was loaded at a phone's size: there, then at a desk's, light and dark, with the code unfolded."""
    page.evaluate(axe)
    page.evaluate(UNFOLDED)
    found = {"phone": page.evaluate(BARRIERS, {"runOnly": ["scrollable-region-focusable"]})}
    page.set_viewport_size({"width": 1280, "height": 900})
    found["light"] = page.evaluate(BARRIERS, {})
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-theme=dark]")
    found["dark"] = page.evaluate(BARRIERS, {"runOnly": DARK})
    return [f"{where}: {line}" for where, lines in found.items() for line in lines]


@pytest.fixture(scope="module")
def visits(browser, site: str, book: Path, pages: dict) -> dict[str, list[str]]:
    """Every page, opened once: what is wrong with it, by kind, a line each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe().axe_script
    page = browser.new_page(reduced_motion="reduce")  # or axe would see colours while they change
    problems, files = watched(page, site, book)
    found = {"loading": [], "size": [], "at a phone's width": [], "barriers": []}
    for path in pages:
        problems.clear(), files.clear()
        page.set_viewport_size({"width": 360, "height": 740})
        page.emulate_media(color_scheme="light")
        page.goto(site + path.relative_to(book).as_posix(), wait_until="load")
        page.evaluate(SETTLED)
        width, cut = page.evaluate("document.scrollingElement.scrollWidth"), page.evaluate(CUT_OFF)
        blank = [f"not shown: {what}" for what in [*page.evaluate(NO_PICTURE), *page.evaluate(NO_EQUATION)]]
        size = sum(file.stat().st_size for file in files if file.is_file())
        wrong = {
            "loading": [*problems, *blank],
            "size": [f"loads {size} bytes"] if size > LARGEST else [],
            "at a phone's width": [*([f"the page is {width} px wide"] if width > 361 else []), *cut],
            "barriers": [] if site.startswith("file:") else all_barriers(page, axe),  # the same pages both times
        }
        for kind, lines in wrong.items():
            found[kind] += [f"{path.name}: {line}" for line in lines]
    page.close()
    return found


@pytest.mark.parametrize("kind", ["loading", "size", "at a phone's width", "barriers"])
def test_every_page(visits: dict[str, list[str]], kind: str) -> None:
    assert not visits[kind], "\n".join(visits[kind])  # all of it: pytest would shorten the list


def test_search(browser, site: str, book: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems, _ = watched(page, site, book)
    found = {}
    for words in ("entropy", "learning without forgetting", "xylophone"):
        page.goto(site + "index.html", wait_until="load")
        page.locator("#pst-primary-sidebar").get_by_role("button", name="Search").click()
        page.get_by_role("dialog").get_by_role("searchbox").fill(words)
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?*")
        page.wait_for_function("/finished|did not match/.test(document.querySelector('#search-results')?.textContent)")
        links = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
        found[words] = {Path(urlsplit(link).path).stem for link in links}
    page.close()
    assert "00_method" in found["entropy"]
    assert "06_ablation_no_global" in found["learning without forgetting"]
    assert found["xylophone"] == set()
    assert problems == []


def test_explorer(browser, site: str) -> None:
    """That nothing of the theme is in its way; `tests/study/test_explorer.py` has the rest."""
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.goto(site + "notebooks/16_explorer.html", wait_until="load")
    page.evaluate(SETTLED)
    said = page.locator("#explorer [role=status]")
    page.locator("#explorer canvas").first.focus()
    for key in ("ArrowLeft", "ArrowUp"):
        before = said.text_content()
        page.keyboard.press(key)
        page.wait_for_function(
            "before => document.querySelector('#explorer [role=status]').textContent !== before", arg=before
        )
    page.close()
