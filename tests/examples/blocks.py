"""Code blocks of a document as one story: files, workers, Python and shell, in the order in which a reader meets them.

What a block is for is said by a comment on the line before it, which no reader sees:

    <!-- file: app.py -->         the block is a file of that name; later blocks may import it
    <!-- worker: app:mesh -->     from here to the end of the document a worker of that app runs (no block)
    <!-- workers end -->          those that run end (no block)
    <!-- program -->              the block is a program of its own: it runs as `python program.py`
    <!-- not run: REASON -->      the block is only shown

A Python block without one runs in a session, where the names of those before it are known. A block of a Python session
(`pycon`) must print what it shows. Of a shell block (`console`) the lines that begin with `$ ` are run, and other lines
are what they print. In both `...` stands for anything. Blocks of other languages are not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:^<!--[ ]*(?P<mark>file|worker|program|not run)(?::[ ]*(?P<what>[^>]*?))?[ ]*-->\n)?"
    r"^(?P<tick>```+)(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=tick)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_END = re.compile(r"^<!--[ ]*workers end[ ]*-->$", re.MULTILINE)
_WORKER = re.compile(r"^<!--[ ]*worker:[ ]*(?P<what>[^>]*?)[ ]*-->$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One step of a story.

    Attributes:
        kind: `file`, `worker`, `end`, `program`, `session`, `pycon` or `console`.
        line: Where it stands in the document.
        text: What is in it.
        what: Name of the file, or the app of the worker.
    """

    kind: str
    line: int
    text: str
    what: str = ""


def blocks(document: str) -> Iterator[Block]:
    """Yield what is to be done, in order."""
    found: list[Block] = []
    for match in _FENCE.finditer(document):
        line = document.count("\n", 0, match.start("text")) + 1
        kind = _kind(match["mark"] or "", match["language"])
        if kind:
            found.append(Block(kind, line, match["text"], match["what"] if kind == "file" else ""))
    found += [
        Block("worker", document.count("\n", 0, match.start()) + 1, "", match["what"])
        for match in _WORKER.finditer(document)
    ]
    found += [
        Block("end", document.count("\n", 0, match.start()) + 1, "") for match in _END.finditer(document)
    ]
    yield from sorted(found, key=lambda block: block.line)


def _kind(mark: str, language: str) -> str:
    if mark == "not run":
        return ""
    if mark in ("file", "program"):
        return mark
    return {"python": "session", "pycon": "pycon", "console": "console"}.get(language, "")


def documents_of(root: Path) -> list[Path]:
    """Return the documents whose blocks are run."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def shell_steps(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a shell block, each with the lines that it should print."""
    steps: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif steps and steps[-1][0].endswith("\\"):
            steps[-1] = (f"{steps[-1][0]}\n{line}", [])
        elif steps and line.strip():
            steps[-1][1].append(line)
    return steps


def fits(printed: str, shown: list[str]) -> bool:
    """Tell whether what was printed is what is shown; `...` stands for anything, outer white space for nothing."""
    wanted = "\n".join(line.strip() for line in shown)
    pattern = ".*?".join(re.escape(part) for part in wanted.split("..."))
    got = "\n".join(line.strip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, got, re.DOTALL) is not None
