"""Have something happen before a chosen statement of a module's functions.

The functions are compiled anew with a call before each statement. A trace function that raises would do as well, but
then CPython 3.11 now and then runs in a circle for ever, inside the traced frame.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

_TICK = "_tick_of_tests"


class _Ticking(ast.NodeTransformer):
    """Puts a call before each statement inside a function, but for some that are let alone."""

    def __init__(self, let_alone: Callable[[ast.stmt], bool]) -> None:
        self._let_alone = let_alone
        self._depth = 0

    def _inside(self, node: Any) -> Any:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _inside  # noqa: N815 - named by `ast`

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if self._depth and isinstance(statements, list) and not isinstance(node, ast.ClassDef):
                setattr(node, field, list(self._ticked(statements)))
        return node

    def _ticked(self, statements: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement in statements:
            if not self._let_alone(statement):
                call = ast.Expr(ast.Call(ast.Name(_TICK, ast.Load()), [], []))
                yield ast.fix_missing_locations(ast.copy_location(call, statement))
            yield statement


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


@contextmanager
def before_each_statement(
    module: ModuleType, tick: Callable[[], None], *, let_alone: Callable[[ast.stmt], bool]
) -> Iterator[None]:
    """Have `tick` called before each statement in the module's methods, but for those that are let alone."""
    tree = _Ticking(let_alone).visit(ast.parse(inspect.getsource(module)))
    made = {code.co_qualname: code for code in _codes(compile(tree, str(module.__file__), "exec"))}
    changed: list[tuple[FunctionType, CodeType]] = []
    setattr(module, _TICK, tick)
    try:
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__:
                for function in vars(kind).values():
                    if isinstance(function, FunctionType) and function.__qualname__ in made:
                        changed.append((function, function.__code__))
                        function.__code__ = made[function.__qualname__]
        yield
    finally:
        for function, code in changed:
            function.__code__ = code
        delattr(module, _TICK)
