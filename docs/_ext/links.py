"""Links: those that leave docs/ on the way to a page of the site, and a check of all that the built pages hold."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""What stands beside docs/ in the repository, and the page that shows it."""


LESSONS = """
```{toctree}
:hidden:
:glob:

[0-9]*
teaching*
```
"""
"""What the navigation needs to know; the page itself is read in the repository too."""


def prepare(app: Sphinx, page: str, content: list[str]) -> None:
    """Links to files beside docs/ lead to their pages, and the lessons are listed in the navigation."""
    if page == "lessons/index":
        content[0] += LESSONS
    up = "../" * (page.count("/") + 1)
    for outside, inside in PAGES.items():
        content[0] = content[0].replace(f"]({up}{outside}", f"]({up[3:]}{inside}")


class Links(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.parts: set[str] = set()  # what a browser loads for the page
        self.places: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value is not None:
                (self.targets if tag == "a" else self.parts).add(value)
            elif name in ("id", "name") and value is not None:
                self.places.add(value)


def broken(site: Path) -> list[str]:
    """Every link within a built site whose file or place is not there, and every part of a page that is elsewhere."""
    pages = {path: Links(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for target in sorted(page.targets | page.parts):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.parts and parts.scheme != "data":
                    found.append(f"{path.relative_to(site)}: {target}: a page must not load from a network")
                continue
            aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            aim = aim / "index.html" if aim.is_dir() else aim
            if not aim.is_file():
                found.append(f"{path.relative_to(site)}: {target}: there is no such file")
            elif parts.fragment and aim in pages and unquote(parts.fragment) not in pages[aim].places:
                found.append(f"{path.relative_to(site)}: {target}: there is no such place")
    return found


def check(app: Sphinx, error: Exception | None) -> None:
    """Fail a build whose pages have broken links."""
    if error is None and app.builder.name == "html":
        for link in broken(Path(app.outdir).resolve()):
            logger.warning("broken link: %s", link)
            app.statuscode = 1


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("source-read", prepare)
    app.connect("build-finished", check, priority=900)  # after the gallery is made
    return {"parallel_read_safe": True, "parallel_write_safe": True}
