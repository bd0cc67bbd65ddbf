"""The guide's table of metrics, and the alerts, against the metrics that there are."""

from __future__ import annotations

import re

from taskmesh.metrics.catalogue import CATALOGUE
from tests.tidy.tree import ROOT

PAGE = (ROOT / "docs" / "guides" / "metrics.md").read_text()
#: Where operators are told by which metrics to be alarmed, to scale, to look.
OTHERS = [
    path
    for folder in ("workers", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".md", ".yml", ".yaml")
]
SUFFIXES = ("_bucket", "_sum", "_count")


def known(name: str) -> bool:
    return name in CATALOGUE or any(name.removesuffix(suffix) in CATALOGUE for suffix in SUFFIXES)


def test_the_table_says_of_every_metric_what_the_code_says():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    told = [
        (name, kind, tuple(re.findall(r"\w+", labels)), of, what)
        for name, kind, labels, of, what in rows
        if name in CATALOGUE or name.startswith(("taskmesh_", "process_"))
    ]
    assert told == [(m.name, m.kind, m.labels, m.scope, m.help) for m in CATALOGUE.values()]


def test_nothing_else_is_named():
    unknown = {
        (path.name, name)
        for path in OTHERS
        for name in re.findall(r"\b(?:taskmesh|process)_[a-z_]+\b", path.read_text())
        if not known(name)
    }
    assert unknown == set()
