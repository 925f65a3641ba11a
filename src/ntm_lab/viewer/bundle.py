"""The page's sources as one module: a browser does not import from a file beside a page that was opened from a disk."""

import re
from functools import cache
from pathlib import Path

WEB = Path(__file__).parent / "web"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)


@cache
def bundle(*names: str) -> str:
    """The named files of ``web/`` and all that they import, each once and behind what it needs, as one script.

    The files share their names, so that no two may declare the same one at the top; a browser refuses that.
    """
    done: dict[str, str] = {}

    def take(name: str) -> None:
        if name in done:
            return
        source = (WEB / name).read_text()
        for needed in IMPORT.findall(source):
            take(needed)
        done[name] = re.sub(r"^export ", "", IMPORT.sub("", source), flags=re.MULTILINE)

    for name in names:
        take(name)
    return "\n".join(done.values())
