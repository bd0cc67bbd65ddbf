"""Names of functions, as other processes can find them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from taskmesh.errors import UsageError

TASK_NAME_LENGTH_MAX = 500
#: What the main script is called in the process that runs it, and in one that multiprocessing spawned.
MAIN = ("__main__", "__mp_main__")


def is_importable(function: Callable[..., Any]) -> bool:
    """Tell whether a worker can find the function by module and name."""
    qualname = getattr(function, "__qualname__", "<unnamed>")
    return "<" not in qualname and module_name(function) not in MAIN


def module_name(function: Callable[..., Any]) -> str:
    """Return the name under which others import the function's module; `__main__` if they cannot."""
    module: str = getattr(function, "__module__", None) or "builtins"
    if module in MAIN:
        # A spawned process runs the script before it stands in sys.modules: so ask the function itself.
        return main_name(getattr(function, "__globals__", None)) or "__main__"
    return module


def main_name(namespace: Mapping[str, Any] | None = None) -> str | None:
    """Return the name under which others can import the main script; None if they cannot.

    Args:
        namespace: Global names of the script; those of `__main__` if not given.
    """
    if namespace is None:
        namespace = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    spec = namespace.get("__spec__")
    if spec is not None:
        name: str = spec.name
        return name
    file = namespace.get("__file__")
    if not file or not file.endswith(".py"):
        return None
    stem: str = file.replace("\\", "/").rpartition("/")[2][:-3]
    return stem if stem.isidentifier() else None


def share_main(function: Callable[..., Any]) -> None:
    """Have imports of the main script by its name find the one that runs, not run it a second time.

    What workers send home of it, an exception say, then is of the class that this process knows.
    """
    module = getattr(function, "__module__", None)
    name = module_name(function)
    if module in MAIN and name not in MAIN and module in sys.modules:
        sys.modules.setdefault(name, sys.modules[module])


def check_task_name(name: object) -> None:
    """Check a name that somebody gives a task.

    Raises:
        UsageError: It cannot travel in a message.
    """
    if (
        isinstance(name, str)
        and 1 <= len(name) <= TASK_NAME_LENGTH_MAX
        and name.encode(errors="replace").decode() == name  # no lone surrogates
    ):
        return
    raise UsageError(
        f"the name of a task is {name!r}: expected a text of 1 to {TASK_NAME_LENGTH_MAX} characters that UTF-8 "
        "can encode"
    )


def task_name(function: Callable[..., Any]) -> str:
    """Return the name of the task that a function makes: `module.qualname`."""
    return f"{module_name(function)}.{getattr(function, '__qualname__', type(function).__name__)}"
