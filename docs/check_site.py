"""Checks the built documentation site: `make docs-site` runs it. Links resolve, pages load nothing from the network."""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

REPOSITORY = Path(__file__).resolve().parent.parent
SITE = REPOSITORY / "build" / "site"
PUBLIC_NAMES = REPOSITORY / "tests" / "architecture" / "public_face.txt"
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
RESOURCES = {"stylesheet", "icon", "preload", "preconnect", "modulepreload"}


class Page(HTMLParser):
    """The links, the resources and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what a tag refers to."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif (
            tag in LOADED and LOADED[tag] in found and (tag != "link" or RESOURCES & set(found.get("rel", "").split()))
        ):
            self.resources.append(found[LOADED[tag]])


def problems(site: Path) -> Iterator[str]:
    """Every problem of the site."""
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} contains no pages: run `make docs-site`"
    for file, page in pages.items():
        name = file.relative_to(site)
        for address in page.resources:
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                yield f"{name}: loads {address} from the network"
        for address in page.links + page.resources:
            parts = urlsplit(address)
            if parts.scheme or address.startswith("//") or name.name == "404.html":
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                yield f"{name}: links to {address}, which does not exist"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: links to {address}, which has no such anchor"


def missing_names(site: Path, names: list[str]) -> Iterator[str]:
    """Every public name, as `package:name`, that the page of its package does not show."""
    for package in dict.fromkeys(name.partition(":")[0] for name in names):
        page = Page((site / "api" / f"{package.replace('.', '-')}.html").read_text(encoding="utf-8"))
        for name in names:
            if name.startswith(f"{package}:") and name.replace(":", ".") not in page.anchors:
                yield f"api: {name.replace(':', '.')} is not in the reference"


if __name__ == "__main__":
    found = [*problems(SITE), *missing_names(SITE, PUBLIC_NAMES.read_text(encoding="utf-8").split())]
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)
