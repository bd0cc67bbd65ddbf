"""Files: how long, what must not stand in them, what a script opens with."""

from __future__ import annotations

import re

import pytest

from taskmesh.config.settings import SETTINGS
from taskmesh.config.sources import OTHER_VARIABLES
from tests.tidy.tree import PACKAGE, ROOT, python_files, shown, text_files

LINES_MAX = 500
# The slash stands apart, so that this file passes its own test. Ann is nobody.
MACHINE_PATH = re.compile(r"(?<![\w.~-])[/](?:work|farm|root|(?:home|Users)[/](?!ann)\w+)[/]")
OPERATIONS = sorted(
    path
    for path in PACKAGE.rglob("*.lua")
    if path.parent.name in ("consensus", "queue", "replication", "results")
)
ALL_SCRIPTS = sorted(PACKAGE.rglob("*.lua"))


def test_a_file_of_the_package_holds_one_idea():
    """Past so many lines it holds two: split it where the meaning splits."""
    lengths = {shown(path): len(path.read_text().splitlines()) for path in python_files()}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > LINES_MAX} == {}


def test_no_path_of_a_machine_is_written_down():
    found = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["see ~home~bob~taskmesh", '"~work~x"', "cd ~root~x"])
def test_the_search_for_paths_finds_one(text):
    assert MACHINE_PATH.search(text.replace("~", "/"))


def test_the_search_for_paths_leaves_addresses_alone():
    assert not MACHINE_PATH.search("https://example.com/home/page and docs/work/x")


def test_there_are_scripts():
    assert {path.stem for path in OPERATIONS} >= {"enqueue", "claim", "commit"}


@pytest.mark.parametrize("path", OPERATIONS, ids=shown)
def test_a_script_opens_with_its_keys_arguments_and_result(path):
    header, body = _header_and_body(path.read_text())
    assert header, "no comment at the top"
    assert "KEYS[1]" in header
    assert re.search(r"\bReturns\b|->", header), "the header does not say what the script returns"
    if "ARGV" in body:
        assert "ARGV" in header, "the header does not say its arguments"


@pytest.mark.parametrize("path", ALL_SCRIPTS, ids=shown)
def test_a_script_takes_time_and_chance_from_its_caller(path):
    """Else a seed cannot replay it, and two nodes do not do the same."""
    header, body = _header_and_body(path.read_text())
    assert header, "no comment at the top"
    assert re.search(r"'TIME'|'SRANDMEMBER'|'RANDOMKEY'|'SPOP'|math\.random|os\.(time|clock)", body) is None


@pytest.mark.parametrize("path", OPERATIONS, ids=shown)
def test_a_script_touches_no_key_but_by_its_prefix(path):
    """Further keys would come as KEYS[2] and on; they are built from KEYS[1] instead."""
    _, body = _header_and_body(path.read_text())
    assert re.findall(r"KEYS\[(?!1\])", body) == []


@pytest.mark.parametrize("path", OPERATIONS, ids=shown)
def test_a_script_has_a_user_beside_it(path):
    beside = "".join(other.read_text() for other in path.parent.glob("*.py"))
    assert f'"{path.stem}"' in beside


def test_every_variable_that_is_read_is_known_to_the_settings():
    """An unknown `TASKMESH_*` variable is refused at start, so a room may not quietly read one of its own."""
    read = {
        name for path in python_files() for name in re.findall(r"\bTASKMESH_[A-Z_]+[A-Z]\b", path.read_text())
    }
    settings = {f"TASKMESH_{name.upper()}" for name in SETTINGS}
    assert read - settings == OTHER_VARIABLES


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def _header_and_body(text: str) -> tuple[str, str]:
    lines = text.splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "\n".join(lines[:end]), "\n".join(lines[end:])
