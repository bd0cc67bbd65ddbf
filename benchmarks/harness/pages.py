"""What programs write into pages of the docs: a block between two comments, and the rest of the page is people's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def put(page: Path, name: str, text: str) -> None:
    """Write a block anew.

    Raises:
        ValueError: The page has no place for it.
    """
    whole = page.read_text()
    start, end = _bounds(page, whole, name)
    page.write_text(f"{whole[:start]}\n{text.strip()}\n{whole[end:]}")


def block(page: Path, name: str) -> str:
    """Return what stands in a block.

    Raises:
        ValueError: The page has no such block.
    """
    whole = page.read_text()
    start, end = _bounds(page, whole, name)
    return whole[start:end].strip()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of figures in Markdown: the first column to the left, the others to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bounds(page: Path, whole: str, name: str) -> tuple[int, int]:
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise ValueError(f"{page} must have one block {name}: write {begin} and {end} where it is to stand")
    return whole.index(begin) + len(begin), whole.index(end)
