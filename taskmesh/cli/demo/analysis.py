"""One source file to figures: lines, functions, classes, branch points, imports. Pure.

The complexity of a function is McCabe's: one, plus one for each point where the path through it may part.
As such points count `if`, `elif` and conditional expressions, loops, `except`, `assert`, each `and` and
`or`, the loops and conditions of comprehensions, and each `case` but one that takes anything. What stands
in a lambda or a comprehension counts for the function around it; a nested function counts by itself, and so
do the methods of a class inside a function.

The walk keeps its own stack: source may nest deeper than Python's recursion limit allows.
"""

from __future__ import annotations

import ast
import heapq
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

MOST_COMPLEX_KEPT = 10
"""Functions reported per file: enough for the ten most complex of all files, and small on the wire."""


@dataclass(frozen=True, slots=True)
class FunctionFigures:
    """One function: its dotted name within the file, its line (from 1) and its complexity (from 1)."""

    name: str
    line: int
    complexity: int


@dataclass(frozen=True, slots=True)
class FileFigures:
    """What one file holds.

    Attributes:
        lines: All lines, blank ones and comments included.
        functions: `def` and `async def`, methods included; lambdas are not.
        classes: `class` statements.
        branch_points: All points where the path may part, also those outside of functions.
        imports: Modules named by import statements, each time one is named; relative ones included.
        modules: Top-level names of the absolute imports, each once, sorted.
        most_complex: At most `MOST_COMPLEX_KEPT` functions, the most complex first, then by line.
    """

    lines: int
    functions: int
    classes: int
    branch_points: int
    imports: int
    modules: tuple[str, ...]
    most_complex: tuple[FunctionFigures, ...]


def analyse_source(source: bytes, file: str) -> FileFigures:
    """Parse `source` and return its figures.

    Args:
        source: The file's bytes; the coding cookie is honoured.
        file: The name that a SyntaxError shall carry.

    Raises:
        SyntaxError: Not this Python's syntax, or not decodable, with file and line.
        ValueError: The source contains null bytes (a SyntaxError from Python 3.12 on).
        RecursionError, MemoryError: Nested too deeply for the parser.
    """
    with warnings.catch_warnings():
        # `"\d"` and `x is 1` warn while they are parsed; under `-W error` they would even fail.
        warnings.simplefilter("ignore")
        tree = ast.parse(source, file)
    survey = _Survey()
    survey.walk(tree)
    return FileFigures(
        lines=len(source.splitlines()),
        functions=len(survey.functions),
        classes=survey.classes,
        branch_points=survey.branch_points,
        imports=survey.imports,
        modules=tuple(sorted(survey.modules)),
        most_complex=survey.most_complex(),
    )


def branch_points(node: ast.AST) -> int:
    """Return how many paths part at `node` itself, its children not counted."""
    match node:
        case ast.If() | ast.IfExp() | ast.Assert() | ast.ExceptHandler():
            return 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 1
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.match_case():
            return 0 if _always_matches(node) else 1
        case _:
            return 0


def _always_matches(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


@dataclass(slots=True)
class _Function:
    name: str
    line: int
    complexity: int = 1


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a node stands: the dotted prefix of names, and the function that its branch points count for."""

    prefix: str
    function: _Function | None


# Nodes without children of interest, which are most of a tree; to skip them halves the time of the walk.
_NOTHING_TO_COUNT = {ast.Name, ast.Constant, ast.Load, ast.Store, ast.Del, ast.Pass, ast.alias}


class _Survey:
    """Counts while it walks a tree."""

    def __init__(self) -> None:
        self.functions: list[_Function] = []
        self.modules: set[str] = set()
        self.classes = self.imports = self.branch_points = 0

    def walk(self, tree: ast.AST) -> None:
        stack = [(tree, _Scope("", None))]
        while stack:
            node, scope = stack.pop()
            self._count(node, scope)
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    stack += self._inside_function(node, scope)
                case ast.ClassDef():
                    stack += self._inside_class(node, scope)
                case _:
                    stack += [
                        (child, scope)
                        for child in ast.iter_child_nodes(node)
                        if type(child) not in _NOTHING_TO_COUNT
                    ]

    def most_complex(self) -> tuple[FunctionFigures, ...]:
        first = heapq.nsmallest(
            MOST_COMPLEX_KEPT, self.functions, key=lambda one: (-one.complexity, one.line)
        )
        return tuple(FunctionFigures(one.name, one.line, one.complexity) for one in first)

    def _count(self, node: ast.AST, scope: _Scope) -> None:
        points = branch_points(node)
        if points:
            self.branch_points += points
            if scope.function is not None:
                scope.function.complexity += points
        elif isinstance(node, ast.Import):
            self.imports += len(node.names)
            self.modules.update(_top_level(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            self.imports += 1
            if node.module is not None and not node.level:
                self.modules.add(_top_level(node.module))

    def _inside_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope
    ) -> Iterator[tuple[ast.AST, _Scope]]:
        function = _Function(scope.prefix + node.name, node.lineno)
        self.functions.append(function)
        inner = _Scope(function.name + ".", function)
        own_body = set(map(id, node.body))
        for child in ast.iter_child_nodes(node):
            # Decorators and defaults run in the scope around, when the `def` itself is executed.
            yield child, inner if id(child) in own_body else scope

    def _inside_class(self, node: ast.ClassDef, scope: _Scope) -> Iterator[tuple[ast.AST, _Scope]]:
        self.classes += 1
        inner = _Scope(f"{scope.prefix}{node.name}.", scope.function)
        own_body = set(map(id, node.body))
        for child in ast.iter_child_nodes(node):
            yield child, inner if id(child) in own_body else scope


def _top_level(module: str) -> str:
    return module.partition(".")[0]
