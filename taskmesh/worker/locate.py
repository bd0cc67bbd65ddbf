"""Where an app is: from `module:attribute` to the object, and back."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol, TypeVar

from taskmesh.config.sources import absolute
from taskmesh.core.naming import main_name
from taskmesh.errors import AppNotFound

T = TypeVar("T")

_MAIN = "__main__"
#: Modules of a package in which its app is looked for when only the package is named.
USUAL = ("app", "mesh", "tasks")


class Made(Protocol):
    """An app, as far as it tells where it is from."""

    @property
    def made_in(self) -> str:
        """Name of the module that made it."""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Its tasks by name."""


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
        path: `module:attribute`, or `module` if it holds exactly one app, or a package if it does, or a module in it
            where apps usually stand.
        kind: The class of the app.

    Raises:
        AppNotFound: The message says what was looked for, where, and what there is instead.
    """
    module_name, attribute = split_path(path)
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppNotFound(f"app {path!r} is not of the form module:attribute, for example app:mesh")
    with importing(path):
        module = _imported(path, module_name, kind)
        if not attribute:
            return _only_app(path, module, kind)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            names = [f"{module_name}:{name}" for name in _apps_in(module, kind)]
            hint = f"; it has {', '.join(names)}" if names else ""
            raise AppNotFound(f"app {path!r}: module {module_name} has no attribute {attribute!r}{hint}")
        value = getattr(value, part)
    if not isinstance(value, kind):
        raise AppNotFound(f"app {path!r} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def _imported(path: str, module_name: str, kind: type[object]) -> ModuleType:
    """Import the module of an app, or say what there is instead."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        parent, _, last = module_name.rpartition(".")
        if isinstance(getattr(sys.modules.get(parent), last, None), kind):
            hint = f"did you mean {parent}:{last}? What follows the module stands after a colon"
        else:
            here = absolute(".") or "the current folder, which has been deleted,"
            hint = (
                f"there is no module {error.name!r} in {here} or on sys.path; start the command in the folder that "
                "holds it, or give --path"
            )
        raise AppNotFound(f"app {path!r}: {hint}") from error


def _only_app(path: str, module: ModuleType, kind: type[T]) -> T:
    """Return the one app of a module; of a package that has none, that of a module in which apps usually stand."""
    name = module.__name__
    inner = [f"{name}.{part}" for part in USUAL] if hasattr(module, "__path__") else []
    looked_in = [name]
    for place in [name, *inner]:
        if place != name:
            if find_spec(place) is None:
                continue
            module = importlib.import_module(place)
            looked_in.append(place)
        found = _apps_in(module, kind)
        if len({id(value) for value in found.values()}) == 1:
            return next(iter(found.values()))
        if found:
            names = ", ".join(f"{place}:{attribute}" for attribute in found)
            raise AppNotFound(
                f"app {path!r}: say which one, as module:attribute; module {place} has: {names}"
            )
    raise AppNotFound(
        f"app {path!r}: say where it is, as module:attribute; there is no {kind.__name__} in {', '.join(looked_in)}"
    )


def _apps_in(module: ModuleType, kind: type[T]) -> dict[str, T]:
    """Return the apps of a module by their names, in order."""
    return {name: value for name, value in sorted(vars(module).items()) if isinstance(value, kind)}


def worker_command(
    app: Made, mesh: str, queue: str, *, has_names: bool, included: Collection[str] = ()
) -> str:
    """Return the command that starts a worker for a queue, as advice for the person who needs one.

    Args:
        app: The mesh.
        mesh: Its name.
        queue: The queue.
        has_names: Whether some of its tasks are known by name: a worker has to import the app to know them.
        included: Modules that a worker imports by itself.
    """
    path = path_of(app)
    if path:
        # whether the app's own import brings these along, nobody can tell; to name one twice does no harm
        beside = ",".join(module for module in task_modules(app, path) if module not in included)
        return f"taskmesh worker {path}{f' -I {beside}' if beside else ''} -Q {queue}"
    if not has_names:
        return f"taskmesh worker --mesh {mesh} -Q {queue}"
    return (
        f"taskmesh worker FILE.py:ATTRIBUTE -Q {queue} (this mesh is no attribute of a module yet: make it one, so "
        "that a worker can import it and knows its tasks)"
    )


def path_of(app: Made) -> str:
    """Return the `module:attribute` under which other processes find an app; empty if they cannot.

    Modules that only use it hold it as well. What counts is, in this order: the main script, if tasks stand there,
    which no worker would know otherwise; the module that made it; one in which its tasks stand; any that can be
    imported without running the main script.
    """
    places = _places_of(app)
    tasks = app.tasks.values()
    of_tasks = {_MAIN if task.main else task.__module__ for task in tasks if not task.by_value}
    wanted = [_MAIN] if _MAIN in of_tasks else []
    wanted += [app.made_in, *sorted(of_tasks), *(name for name in places if name != _MAIN), _MAIN]
    return next((places[name] for name in wanted if name in places), "")


def task_modules(app: Made, path: str) -> tuple[str, ...]:
    """Return the modules beside its own in which an app's tasks stand: what a worker needs to know them all.

    Args:
        app: The app.
        path: `module:attribute`, under which the worker imports it; empty if it cannot.
    """
    if not path:
        return ()
    own = path.partition(":")[0]
    found = {task.__module__ for task in app.tasks.values() if not task.by_value and not task.main}
    return tuple(sorted(name for name in found - {own} if _can_be_imported(name)))


def _can_be_imported(name: str) -> bool:
    return PathFinder.find_spec(name.partition(".")[0]) is not None


def _places_of(app: object) -> dict[str, str]:
    """Return the modules that hold an app, each with the path that leads to it there."""
    main = sys.modules.get(_MAIN)
    places: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if module is None or name.startswith(("taskmesh.app", "_pytest")):
            continue
        if module is main and name != _MAIN:
            continue  # the main script, under the name by which others import it
        importable = main_name() if name == _MAIN else name
        if importable is None:
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app and attribute.isidentifier():
                places[name] = f"{importable}:{attribute}"
                break
    return places
