"""The documents: links resolve, files that are named exist, and the map has every room."""

from __future__ import annotations

import json
import re

import pytest

import taskmesh
from tests.tidy.tree import PACKAGE, ROOT, documents, shown

LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
# `tests/support.py` and kin: paths in backticks that end in a name with a suffix which we use
NAMED_FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|lua|md|toml|sh))`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    return [first or second for first, second in LINK.findall(FENCE.sub("", text))]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as they are made on GitHub."""
    titles = re.findall(r"^#{1,6}\s+(.*?)\s*#*$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", documents(), ids=shown)
def test_links_lead_somewhere(path):
    broken = []
    for link in links(path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue  # the web is not ours to test
        target, _, anchor = link.partition("#")
        there = (path.parent / target) if target else path
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in anchors(there.read_text())
        ):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", documents(), ids=shown)
def test_files_that_are_named_exist(path):
    named = NAMED_FILE.findall(path.read_text())
    assert [name for name in named if not (ROOT / name).exists() and not (PACKAGE / name).exists()] == []


def test_the_search_for_links_finds_them():
    text = '[a](b.md#c) ![d](e.svg) <img src="f.png"> \n```\n[no](no.md)\n```\n'
    assert links(text) == ["b.md#c", "e.svg", "f.png"]
    assert anchors("# One `two`: three\n## Four\n") == {"one-two-three", "four"}


def test_the_map_has_every_room():
    """A newcomer finds the right folder from `docs/architecture.md`."""
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    rooms |= {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert {room for room in rooms if f"`{room}`" not in text} == set()


def test_every_folder_says_what_it_is_for():
    silent = [shown(path) for path in PACKAGE.rglob("__init__.py") if '"""' not in path.read_text()]
    assert silent == []


def test_the_reference_has_every_public_name():
    """A name that is promised is described."""
    text = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    names = set(taskmesh.__all__) - {"__version__", "errors"}
    assert {name for name in names if f":: taskmesh.{name}\n" not in text} == set()


def test_the_readme_names_every_command():
    from taskmesh.cli.main import SECTIONS

    text = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"`(\w+)`", text.partition("lists all commands:")[2].partition("Each has")[0]))
    assert listed == {name for part in SECTIONS.values() for name in part}


@pytest.mark.parametrize(("figures", "command"), [("budget", "make bench"), ("peers", "make bench-peers")])
def test_the_readme_says_when_and_by_what_its_figures_were_taken(figures, command):
    part = (ROOT / "README.md").read_text().partition("## How fast")[2].partition("\n## ")[0]
    started = json.loads((ROOT / "benchmarks" / "results" / f"{figures}.json").read_text())["started"]
    assert re.search(rf"taken by[^;]*`{command}`[^;]*on\s+{started[:10]}\.", part)


def test_the_guides_are_all_listed():
    guides = ROOT / "docs" / "guides"
    listed = set(links((guides / "index.md").read_text()))
    assert listed == {path.name for path in guides.glob("*.md")} - {"index.md"}
