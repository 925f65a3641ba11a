"""The links of a release: where it was built, in the README of a package index and among its URLs.

A release is built by `.github/workflows/release.yml`, whose environment names the repository and the tag. Elsewhere the
README keeps its relative links, and there are no URLs.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?://|#)([^)\s]+)\)")


class Links(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        home, tag = repository(os.environ)
        if home:
            metadata["urls"] = urls(home, tag)
            text = absolute(text, home, tag)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def repository(environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The address of the repository, None if the environment does not give it, and the tag or branch that is built."""
    server, name = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None, environment.get("GITHUB_REF_NAME") or "main"


def urls(home: str, tag: str) -> dict[str, str]:
    return {
        "Source": home,
        "Documentation": f"{home}/tree/{tag}/docs",
        "Changelog": f"{home}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }


def absolute(text: str, home: str, tag: str) -> str:
    """Markdown whose relative links lead to the repository: pictures to the files themselves, others to their pages."""
    return LINK.sub(lambda link: f"{link[1]}{link[2]}({home}/{'raw' if link[1] else 'blob'}/{tag}/{link[3]})", text)
