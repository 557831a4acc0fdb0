"""A hook of MkDocs: what the built pages have beyond the files in docs/.

The documents beside docs/ are pages, too. On a code host, docs/commands/merge.md links to
../../SECURITY.md, and README.md to docs/theory.md; in the site all pages stand in one folder, so
that links are rewritten on the way.

Each page of a command ends with all its options, as the command declares them, and the page on
Python with every public name, as its docstring says. Neither is kept in a file, which would be
wrong after the next change.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

import bnfold
from bnfold.cli.app import cli

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
    if path in PAGES.values():
        return markdown
    if path.startswith("commands/"):
        markdown += options(Path(path).stem)
    elif path == "python.md":
        markdown += reference()
    return relinked(markdown, f"docs/{path}", path)


def options(command: str) -> str:
    """All options of a command, in a table."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None, f"docs/commands/{command}.md: there is no such command"
    rows = ["\n## All options\n", "| option | meaning |", "| --- | --- |"]
    with click.Context(found, info_name=f"bnfold {command}") as context:
        for parameter in found.params:
            record = parameter.get_help_record(context)
            if record is not None and record[1]:
                words, meaning = (re.sub(r"\s+", " ", text) for text in record)
                rows.append(f"| `{words}` | {meaning} |".replace("P|-", "P\\|-"))
    return "\n".join(rows) + "\n"


def reference() -> str:
    """Every public name with its signature and its docstring."""
    parts = ["\n## Reference\n"]
    for name in sorted(bnfold.__all__, key=lambda name: (name[0].isupper(), name)):
        value = getattr(bnfold, name)
        if name.startswith("__"):
            continue
        call = f"{name}{signature(value)}\n\n" if inspect.isfunction(value) else ""
        parts.append(f"### `bnfold.{name}`\n\n```text\n{call}{inspect.getdoc(value)}\n```\n")
    return "\n".join(parts)


def signature(function: Callable[..., Any]) -> str:
    """The signature of a function, a line for each parameter."""
    found = inspect.signature(function)
    lines = []
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in "".join(lines):
            lines.append("*")
        lines.append(str(parameter))
    body = "".join(f"    {line},\n" for line in lines)
    # Annotations that wait to be evaluated are strings.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", f"(\n{body}) -> {found.return_annotation!r}")


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
