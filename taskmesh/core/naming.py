"""Names of functions, as other processes can find them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def is_importable(function: Callable[..., Any]) -> bool:
    """Tell whether a worker can find the function by module and name."""
    qualname = getattr(function, "__qualname__", "<unnamed>")
    if "<" in qualname:
        return False
    return function.__module__ != "__main__" or main_name() is not None


def main_name() -> str | None:
    """Return the name under which others can import what runs as `__main__`; None if they cannot."""
    main = sys.modules.get("__main__")
    if main is None:
        return None
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        name: str = spec.name
        return name
    file = getattr(main, "__file__", None)
    if not file or not file.endswith(".py"):
        return None
    stem: str = file.replace("\\", "/").rpartition("/")[2][:-3]
    return stem if stem.isidentifier() else None


def task_name(function: Callable[..., Any]) -> str:
    """Return the name of the task that a function makes: `module.qualname`."""
    module = function.__module__
    if module == "__main__":
        module = main_name() or module
    return f"{module}.{getattr(function, '__qualname__', type(function).__name__)}"
