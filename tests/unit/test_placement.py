"""The figures of docs/placement.md are what the ring gives, and hold what is promised."""

from __future__ import annotations

import json

import pytest

from benchmarks import placement
from benchmarks.harness import pages

#: Rows that take no more than a moment to make.
SMALL = [(1024, count) for count in (3, 4, 5, 10, 20, 50, 100)] + [(4096, 5), (4096, 50)]


def documented():
    lines = pages.block(placement.PAGE, placement.BLOCK).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {tuple(int(cell.replace(",", "")) for cell in each[:2]): each for each in cells}


def test_every_size_that_is_promised_is_documented():
    assert tuple(documented()) == placement.SIZES


@pytest.mark.parametrize(("slots", "count"), SMALL)
def test_a_row_of_the_docs_is_what_the_ring_gives(slots, count):
    row = placement.row(slots, count)
    assert row.broken() == []
    assert documented()[slots, count] == placement.shown(row)


def test_a_broken_promise_is_told(monkeypatch, capsys):
    monkeypatch.setattr(placement, "MOVED_MAX", 0.9)
    assert placement.main(["--slots", "1024", "--nodes", "4", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["joined"] == 614
    assert "not as promised: 1024 slots, 4 nodes: joined_share" in err


def test_a_page_without_the_block_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Nothing\n")
    with pytest.raises(ValueError, match="must have one block figures"):
        pages.put(page, "figures", "x")


def test_only_the_block_is_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin: a -->\nold\n<!-- end: a -->\nafter\n")
    pages.put(page, "a", "new\n")
    assert page.read_text() == "before\n<!-- begin: a -->\nnew\n<!-- end: a -->\nafter\n"
    assert pages.block(page, "a") == "new"
