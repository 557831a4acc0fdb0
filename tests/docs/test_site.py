"""The pages are built without the network, load nothing from it, and have no broken link."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT, name

pytest.importorskip("mkdocs")


def build(checkout: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages, with every proxy set to where nobody listens."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=checkout,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= len([path for path in DOCUMENTS if path.parts[-2] == "docs"])
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]* href="([^"]+)"', text)
        assert not [one for one in loaded if "//" in one], page


def test_a_page_of_a_command_has_all_its_options(site):
    text = (site / "commands" / "merge.html").read_text(encoding="utf-8")
    assert "All options" in text
    assert "--require-complete" in text.partition("All options")[2]


def test_the_page_on_python_has_every_public_name(site):
    text = (site / "python.html").read_text(encoding="utf-8")
    assert "bnfold.MergeOptions" in text
    assert "Fold the batch normalisation of a trained network into its weights." in text


@pytest.mark.parametrize("broken", [[], ["nowhere.md", "#nowhere", "/theory.md"]])
def test_each_broken_link_fails_the_build(broken, tmp_path):
    """One page is built with the settings of all of them."""
    (tmp_path / "docs").mkdir()
    links = "".join(f"[a link]({link})\n" for link in ["index.md", *broken])
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{links}")
    own = {"docs_dir": "docs", "nav": [{"A page": "index.md"}], "hooks": [], "theme": "mkdocs"}
    settings = "".join(f"{key}: {json.dumps(value)}\n" for key, value in own.items())
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {ROOT}/mkdocs.yml\n{settings}")
    built = build(tmp_path, tmp_path / "site")
    warned = [line for line in built.stderr.splitlines() if line.startswith("WARNING")]
    assert [link for link in broken for line in warned if f"'{link}'" in line] == broken
    assert len(warned) == len(broken), built.stderr
    assert built.returncode == bool(broken)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_of_a_document_work_in_the_checkout_too(document):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", document.read_text(encoding="utf-8"))
    assert not [link for link in links if not (document.parent / link).exists()]
