"""The public names: what `from taskmesh import ...` offers, and nothing else."""

from __future__ import annotations

import ast
import pkgutil

import taskmesh
from tests.tidy.tree import PACKAGE, python_files, shown

ROOMS = {module.name for module in pkgutil.iter_modules(taskmesh.__path__)}


def test_the_public_names_are_sorted():
    assert list(taskmesh.__all__) == sorted(taskmesh.__all__)
    assert len(set(taskmesh.__all__)) == len(taskmesh.__all__)


def test_every_public_name_leads_to_something():
    for name in taskmesh.__all__:
        assert getattr(taskmesh, name) is not None, name


def test_what_is_there_is_public_or_a_room():
    """`dir()` shows the public names before any was used, and nothing that merely was imported."""
    there = {name for name in dir(taskmesh) if not name.startswith("_")}
    assert there - ROOMS - {"annotations"} == set(taskmesh.__all__) - ROOMS - {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(taskmesh, "no_such_name")


def test_type_checkers_see_the_same_names():
    """Names that are resolved on first use are told to type checkers apart; the two lists must not drift."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    told = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("taskmesh")
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    }
    assert told == set(taskmesh.__all__) - ROOMS - {"__version__"}


def test_no_file_inside_imports_from_the_root():
    """Inside the package import from modules: the root is for users (of whom the demo is one)."""
    guilty = [
        shown(path)
        for path in python_files()
        if PACKAGE / "cli" / "demo" not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module == "taskmesh"
        and {alias.name for alias in node.names} - ROOMS - {"__version__"}
    ]
    assert guilty == []
