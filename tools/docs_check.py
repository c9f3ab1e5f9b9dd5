"""Look at the built site as a reader would, in headless Chromium: `make docs-check`.

    python tools/docs_check.py [SITE] [--screenshots FOLDER] [--only PART-OF-A-PATH]

Opens every page from its file, without a network, and fails when one writes an error to the console, asks
for anything outside of the site, has a link or a picture that leads nowhere, shows a formula undrawn, or is
wider than the window of a telephone; and when the search does not find `vjp`. Chromium is Debian's (or what
`CHROMIUM` names). Screenshots of each page at two widths are for the eyes of whoever changed it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

from playwright.sync_api import Browser, Page, sync_playwright

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Links(HTMLParser):
    """What a page leads to, and what in it can be led to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        target = given.get("href") if tag in ("a", "link") else given.get("src")
        if target:
            self.targets.append(target)


def broken_links(site: Path) -> list[str]:
    """Links and pictures of all pages that lead to no file, or to no place in one."""
    pages = {path: Links(path) for path in sorted(site.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            address, anchor = urldefrag(target)
            if urlparse(address).scheme or address.startswith("//"):
                continue
            there = (path.parent / unquote(address.partition("?")[0])).resolve() if address else path
            if there.is_dir():
                there /= "index.html"
            if not there.exists():
                broken.append(f"{path.relative_to(site)}: {target} is not there")
            elif anchor and there in pages and unquote(anchor) not in pages[there].anchors:
                broken.append(f"{path.relative_to(site)}: {target} names no place of that page")
    return broken


def look_at(page: Page, path: Path, site: Path, screenshots: Path | None) -> list[str]:
    """What is wrong with a page that is opened."""
    wrong: list[str] = []
    listeners = {
        "console": lambda m: wrong.append(f"console: {m.text}") if m.type in ("error", "warning") else None,
        "pageerror": lambda e: wrong.append(f"script: {e}"),
        "requestfailed": lambda r: wrong.append(f"not loaded: {r.url}"),
        "request": lambda r: (
            wrong.append(f"asks the network for {r.url}") if not r.url.startswith(("file:", "data:", "blob:")) else None
        ),
    }
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    name = path.relative_to(site).with_suffix("").as_posix().replace("/", "-")
    page.goto(path.as_uri())
    for size, label in ((WIDE, "wide"), (NARROW, "narrow")):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        if screenshots is not None:
            page.screenshot(path=screenshots / f"{name}-{label}.png")
        excess = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if excess > 1:
            wrong.append(f"is {excess} pixels wider than a window of {size['width']}")
    empty = page.evaluate(
        "[...document.images].filter(i => i.complete && !i.naturalWidth && i.loading != 'lazy').map(i => i.src)"
    )
    wrong += [f"picture not drawn: {source}" for source in empty]
    undrawn = page.evaluate(
        "[...document.querySelectorAll('math')].filter(m => !m.getBoundingClientRect().width || m.querySelector('merror')).length"
    )
    if undrawn:
        wrong.append(f"{undrawn} formulas are not drawn")
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    return [f"{path.relative_to(site)}: {w}" for w in wrong]


def search_finds(browser: Browser, site: Path, word: str) -> list[str]:
    """What is wrong with the search for a word, the name of a function."""
    page = browser.new_page()
    page.goto((site / "search.html").as_uri() + f"?q={word}")
    page.wait_for_selector("#search-results ul.search li a", timeout=30_000)
    page.wait_for_timeout(1_000)
    found = page.eval_on_selector_all("#search-results ul.search li a", "links => links.map(a => a.textContent)")
    page.close()
    return [] if any(word in (text or "") for text in found) else [f"search: {word} finds only {found[:5]}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", nargs="?", type=Path, default=Path("build/site"))
    parser.add_argument("--screenshots", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    site = options.site.resolve()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        parser.error("there is no Chromium: install Debian's package `chromium`, or name it in CHROMIUM")
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    paths = [p for p in sorted(site.rglob("*.html")) if options.only in p.as_posix()]
    wrong = broken_links(site)
    with sync_playwright() as playwright:
        # Root may not use the sandbox; pages are our own files.
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--allow-file-access-from-files"]
        )
        page = browser.new_page()
        for path in paths:
            wrong += look_at(page, path, site, options.screenshots)
        wrong += search_finds(browser, site, "vjp")
        browser.close()
    for line in wrong:
        print(line)
    print(f"{len(paths)} pages, {len(wrong)} faults")
    return bool(wrong) or not paths


if __name__ == "__main__":
    sys.exit(main())
