"""A hook of MkDocs: the documents beside docs/ are pages, too, and links to them work.

On a code host, docs/commands/merge.md links to ../../SECURITY.md, and README.md to docs/theory.md.
In the built site all pages stand in one folder, so that links are rewritten on the way.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/digits/README.md": "example.md",
}
"""Documents of the checkout, and the pages that they become."""

_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents that do not stand in docs/."""
    for document, page in PAGES.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=relinked(text, document, page)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page in docs/."""
    path = page.file.src_uri
    return markdown if path in PAGES.values() else relinked(markdown, f"docs/{path}", path)


def relinked(text: str, document: str, page: str) -> str:
    """A text with links that are right for a page, from those that are right for a document.

    Args:
        text: Markdown.
        document: where it stands in the checkout.
        page: where it stands in the site.
    """

    def relink(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), match[2]))
        target = PAGES.get(target, target.removeprefix("docs/"))
        return match[1] + posixpath.relpath(target, posixpath.dirname(page) or ".") + match[3]

    return _LINK.sub(relink, text)
