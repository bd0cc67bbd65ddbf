"""Figures of many files to totals. Pure; the order in which files are added makes no difference."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import asdict, dataclass

from taskmesh.cli.demo.analysis import FileFigures, FunctionFigures


@dataclass(frozen=True, slots=True)
class Failure:
    """A file without figures: what was raised, and at which line where that is known."""

    file: str
    error: str
    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all files; equal for equal work, however it was distributed."""

    analysed: int = 0
    failed: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    branch_points: int = 0
    imports: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the sums by name."""
        return asdict(self)


class Tally:
    """Adds up what comes in, file by file."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()
        self._modules: Counter[str] = Counter()
        self._functions: list[tuple[str, FunctionFigures]] = []
        self._failures: list[Failure] = []

    def add(self, file: str, figures: FileFigures) -> None:
        """Count a file that was analysed."""
        self._sums["analysed"] += 1
        for name in ("lines", "functions", "classes", "branch_points", "imports"):
            self._sums[name] += getattr(figures, name)
        self._modules.update(figures.modules)
        self._functions += [(file, function) for function in figures.most_complex]

    def fail(self, file: str, error: BaseException) -> None:
        """Count a file that could not be analysed."""
        self._sums["failed"] += 1
        self._failures.append(failure(file, error))

    @property
    def totals(self) -> Totals:
        """The sums so far."""
        return Totals(**self._sums)

    @property
    def failures(self) -> list[Failure]:
        """What failed, by file name."""
        return sorted(self._failures, key=lambda failed: failed.file)

    def most_complex(self, count: int = 10) -> list[tuple[str, FunctionFigures]]:
        """Return the most complex functions with their files. Good for `count` up to what a file reports."""
        return heapq.nsmallest(count, self._functions, key=_most_complex_first)

    def most_imported(self, count: int = 10) -> list[tuple[str, int]]:
        """Return the modules that most files import, with the number of these files."""
        return heapq.nsmallest(count, self._modules.items(), key=lambda entry: (-entry[1], entry[0]))


def _most_complex_first(entry: tuple[str, FunctionFigures]) -> tuple[int, str, int]:
    file, function = entry
    return -function.complexity, file, function.line


def failure(file: str, error: BaseException) -> Failure:
    """Describe why `file` has no figures."""
    if isinstance(error, SyntaxError):
        return Failure(file, type(error).__name__, error.msg or "no message", error.lineno or None)
    if isinstance(error, OSError) and error.strerror:
        # Its text would repeat the file's name.
        return Failure(file, type(error).__name__, error.strerror, None)
    return Failure(file, type(error).__name__, str(error) or _UNSAID.get(type(error), "no message"), None)


_UNSAID: dict[type[BaseException], str] = {
    MemoryError: "nested too deeply for the parser, or out of memory",  # the parser raises it without a text
}
