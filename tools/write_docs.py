"""Write what is made from the code: pages, the modules in CONTRIBUTING.md, options.

    .venv/bin/python tools/write_docs.py           # writes them
    .venv/bin/python tools/write_docs.py --check   # exits with 1 where they are not up to date

Run it after a change of `bnfold.Code`, of `bnfold.MergeOptions` or a rewrite's option, of a schema
in bnfold/schemas/, or of a module's docstring.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import bnfold

ROOT = Path(__file__).parents[1]
MODULES = "<!-- Written by tools/write_docs.py from the docstrings of the modules. -->\n"
HEAD = "<!-- Written by tools/write_docs.py; change the code that it reads instead. -->\n\n"

REFUSALS = """# Why a layer stays

bnfold never guesses: where a rewrite would not be exact, what it would have changed stays. The
report names it with a reason: a sentence for people, and a code for programs (`code` in the [JSON
reports](json.md), `reason.code` in [Python](python.md)). These are the codes and what they mean.
The list is made from `bnfold.Code`, and a test produces each of them with a small network.

A batch norm that cannot be absorbed still becomes one Scale, which is exact; then the code says
why it went no further.

| code | meaning |
| --- | --- |
"""

JSON = """# JSON reports

`--json P` of every command writes its report to the file `P`, and `--json -` prints it to standard
output, where nothing else is printed then. A report is one JSON object in ASCII. Its key `format`
names the command and the version, `bnfold.verify/1`; the version rises when a key changes its
meaning or goes, and not when one is added. A check that fails still gives its report.
Its key `run` is the same for every command: the version, all options, the platform, and the files
that were read and written with their SHA-256 digests. In Python, a report's `to_json()` is the
object without that key, and its `run` has the rest.

The package has a JSON Schema (draft 2020-12) for each format, in `bnfold/schemas/`, and tests hold
the reports of all commands to them. Validate a report with any validator that knows the draft;
they refer to each other by their file names. In Python,
`importlib.resources.files("bnfold") / "schemas"` is the folder. The tables below are made from the
schemas.
"""

FORMATS = {
    "report": "merge` and `bnfold inspect",
    "reader": "inspect --for",
    "deploy": "deploy",
    "prove": "prove",
    "verify": "verify",
    "recorded": "verify --recorded",
    "run": "run",
    "accuracy": "accuracy",
    "bench": "bench",
    "prune": "prune",
    "attest": "attest --check",
    "runtimes": "runtimes",
}


def refusals() -> str:
    """The page of reasons."""
    rows = [f"| `{code.value}` | {code.meaning} |" for code in bnfold.Code]
    return HEAD + REFUSALS + "\n".join(rows) + "\n"


def json_page() -> str:
    """The page of JSON formats."""
    header = "\n## The header of every report: `run`\n\n" + _described("header", _schema("header"))
    statement = "\n## The statement of `--attest`: an in-toto Statement\n\n"
    statement += _described("attestation", _schema("attestation"))
    return HEAD + JSON + header + "".join(map(_format, FORMATS)) + statement


def _schema(name: str) -> dict[str, Any]:
    path = resources.files("bnfold") / "schemas" / f"{name}.schema.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _format(name: str) -> str:
    schema = _schema(name)
    title = f"\n## `bnfold {FORMATS[name]}`: `{schema['properties']['format']['const']}`\n\n"
    return title + _described(name, schema)


def _described(name: str, schema: dict[str, Any]) -> str:
    parts = [f"Schema: `bnfold/schemas/{name}.schema.json`.\n\n{_table(schema)}"]
    for key, inner in schema.get("$defs", {}).items():
        parts.append(f"\n### `{key}` in `{name}`\n\n{_table(inner)}")
    return "".join(parts)


def _table(schema: dict[str, Any]) -> str:
    rows = "".join(
        f"| `{key}` | {kind} | {text} |\n" for key, kind, text in _rows(schema, prefix="")
    )
    return f"| key | type | what it is |\n| --- | --- | --- |\n{rows}"


def _rows(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, value in schema["properties"].items():
        text = value.get("description", "")
        if key not in schema["required"]:
            text = f"may be absent; {text}"
        yield prefix + key, _kind(value), text.replace("|", "\\|")
        for inner, suffix in _objects(value):
            yield from _rows(inner, f"{prefix}{key}{suffix}.")


def _objects(value: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects that are written out within a value, and how a path goes into them."""
    for one in value.get("anyOf", [value]):
        if "properties" in one:
            yield one, ""
        elif "properties" in one.get("items", {}):
            yield one["items"], "[]"


def _kind(value: dict[str, Any]) -> str:
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(map(_kind, value["anyOf"]))
    if "$ref" in value:
        return f"`{value['$ref'].removeprefix('#/$defs/')}`"
    types = value["type"] if isinstance(value["type"], list) else [value["type"]]
    if "array" in types and "items" in value:
        return f"list of {_kind(value['items'])}"
    if "object" in types and "additionalProperties" in value and "properties" not in value:
        return f"object with values of type {_kind(value['additionalProperties'])}"
    return " or ".join(types)


def contributing() -> str:
    """The page for contributors, with a table of all modules at its end."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    head, mark, _ = text.partition(MODULES)
    return head + mark + "".join(map(_room, _rooms()))


def _rooms() -> Iterator[tuple[str, list[Path]]]:
    """Each folder of the package with its modules, the package itself first."""
    package = ROOT / "bnfold"
    folders = {path.parent for path in package.rglob("*.py")}
    for folder in sorted(folders):
        yield folder.relative_to(ROOT).as_posix(), sorted(folder.glob("*.py"))


def _room(room: tuple[str, list[Path]]) -> str:
    folder, modules = room
    rows = [
        f"| `{path.name}` | {_purpose(path)} |\n" for path in modules if path.name != "__init__.py"
    ]
    table = f"\n| module | what is in it |\n| --- | --- |\n{''.join(rows)}" if rows else ""
    return f"\n### `{folder}/`\n\n{_purpose(ROOT / folder / '__init__.py')}\n{table}"


def _purpose(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
    return sentence if sentence.endswith(".") else f"{sentence}."


def fold_options() -> str:
    """The options of a fold for the commands, which print their help without the library."""
    declared = {
        name: {
            "default": default,
            "help": option.help,
            "metavar": option.metavar,
            "values": option.values,
            "convert": option.convert.__name__,
            "bare": option.bare,
        }
        for name, (default, option) in bnfold.MergeOptions.declared().items()
    }
    return json.dumps(declared, indent=2) + "\n"


PAGES = {
    "docs/refusals.md": refusals,
    "docs/json.md": json_page,
    "CONTRIBUTING.md": contributing,
    "bnfold/cli/fold_options.json": fold_options,
}


def main() -> int:
    """Write the files, or say which are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = 0
    for name, page in PAGES.items():
        path, text = ROOT / name, page()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            print(f"{name} is not up to date: run tools/write_docs.py")
            stale = 1
        elif not check:
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    raise SystemExit(main())
