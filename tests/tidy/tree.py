"""The files of the repository, as the tests of this folder see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "taskmesh"
FOLDERS = ("taskmesh", "workers", "examples", "tests", "benchmarks", "docs", ".ci")
TEXT = {
    ".py",
    ".lua",
    ".md",
    ".toml",
    ".sh",
    ".yaml",
    ".yml",
    ".svg",
    ".txt",
    ".json",
    ".cfg",
    ".service",
    "",
}


def text_files() -> Iterator[Path]:
    """Yield every file of the project that people write: nothing that a tool or a run has left behind."""
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in TEXT and not path.name.startswith("."):
            yield path
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path


def documents() -> list[Path]:
    """Return the documents for people: those of the root and of `docs`."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def python_files(folder: Path = PACKAGE) -> list[Path]:
    """Return the Python files below a folder."""
    return sorted(folder.rglob("*.py"))


def shown(path: Path) -> str:
    """Return a path as it is written in a message."""
    return path.relative_to(ROOT).as_posix()
