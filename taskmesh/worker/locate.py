"""Where an app is: from `module:attribute` to the object, and back."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from taskmesh.core.naming import main_name
from taskmesh.errors import AppNotFound

T = TypeVar("T")


_importing: list[str] = []


def is_importing_app() -> bool:
    """Tell whether a worker's process is importing its app right now."""
    return bool(_importing)


@contextmanager
def importing(path: str) -> Iterator[None]:
    """Say, for the length of the block, that the app is being imported.

    Args:
        path: Of the app.
    """
    _importing.append(path)
    try:
        yield
    finally:
        _importing.pop()


def split_path(path: str) -> tuple[str, str]:
    """Return module and attribute of `module:attribute`; the attribute is empty if not given.

    `app.py` and `src/app.py:mesh` are understood as files in a folder that is to be imported from.
    """
    module, _, attribute = path.partition(":")
    if module.endswith(".py"):
        module = module[:-3].replace(os.sep, ".").lstrip(".")
    return module, attribute


def load_app(path: str, kind: type[T]) -> T:
    """Import a module and return the app in it.

    Args:
        path: `module:attribute`, or `module` if it holds exactly one app.
        kind: The class of the app.

    Raises:
        AppNotFound: The message says what was looked for, where, and what there is instead.
    """
    module_name, attribute = split_path(path)
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppNotFound(f"app {path!r} is not of the form module:attribute, for example app:mesh")
    try:
        with importing(path):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise AppNotFound(
                f"app {path!r}: there is no module {error.name!r} in {Path.cwd()} or on sys.path; start the command "
                "in the folder that holds it, or give --path"
            ) from error
        raise
    if not attribute:
        found = {name: value for name, value in vars(module).items() if isinstance(value, kind)}
        if len({id(value) for value in found.values()}) == 1:
            return next(iter(found.values()))
        names = ", ".join(f"{module_name}:{name}" for name in sorted(found)) or "none"
        raise AppNotFound(
            f"app {path!r}: say which one, as module:attribute; module {module_name} has: {names}"
        )
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            found_names = sorted(name for name, item in vars(module).items() if isinstance(item, kind))
            hint = (
                f"; it has {', '.join(f'{module_name}:{name}' for name in found_names)}"
                if found_names
                else ""
            )
            raise AppNotFound(f"app {path!r}: module {module_name} has no attribute {attribute!r}{hint}")
        value = getattr(value, part)
    if not isinstance(value, kind):
        raise AppNotFound(f"app {path!r} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def worker_command(app: object, mesh: str, queue: str, *, has_names: bool) -> str:
    """Return the command that starts a worker for a queue, as advice for the person who needs one.

    Args:
        app: The mesh.
        mesh: Its name.
        queue: The queue.
        has_names: Whether some of its tasks are known by name: a worker has to import the app to know them.
    """
    path = path_of(app)
    if path:
        return f"taskmesh worker {path} -Q {queue}"
    if not has_names:
        return f"taskmesh worker --mesh {mesh} -Q {queue}"
    return (
        f"taskmesh worker FILE.py:ATTRIBUTE -Q {queue} (this mesh is no attribute of a module yet: make it one, so "
        "that a worker can import it and knows its tasks)"
    )


def path_of(app: object) -> str:
    """Return the `module:attribute` under which other processes find an app; empty if they cannot."""
    for name, module in list(sys.modules.items()):
        if module is None or name.startswith(("taskmesh.app", "_pytest")):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app and attribute.isidentifier():
                if name == "__main__":
                    importable = main_name()
                    if importable is None:
                        continue
                    return f"{importable}:{attribute}"
                return f"{name}:{attribute}"
    return ""
