"""The list of key names in `core/keys.py`, against the names that the scripts and it really make."""

from __future__ import annotations

import re

from taskmesh.core import keys
from tests.tidy.tree import PACKAGE

SCRIPTS = [path for path in sorted(PACKAGE.rglob("*.lua")) if path.parent.name != "testing"]


def test_every_key_that_is_used_is_listed_and_none_besides():
    listed = re.findall(r"^<prefix>(\w+:?)", keys.__doc__ or "", re.MULTILINE)
    used = {name for path in SCRIPTS for name in re.findall(r"\bP \.\. '(\w+:?)'", path.read_text())}
    made = set(re.findall(r'return of \+ b"(\w+:?)"', (PACKAGE / "core" / "keys.py").read_text()))
    assert sorted(listed) == sorted(used | made)


def test_scripts_name_their_keys_where_they_can_be_found():
    """A name that is put together elsewhere would be missing in the list, and nobody would notice."""
    allowed = {
        "(many",
        "waits",
        "name,",
    }  # 'wake:' or 'run:', 'pidle:' or 'idle:', and of apply.lua one of three, each written out nearby as well
    found = {word for path in SCRIPTS for word in re.findall(r"\bP \.\. ([^' ]\S*)", path.read_text())}
    assert found <= allowed
