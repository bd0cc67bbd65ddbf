"""The modules in which the tasks of a mesh stand beside that of the mesh itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from taskmesh.errors import ConfigError, UsageError

Packages: TypeAlias = Sequence[str] | Callable[[], Sequence[str]]


class Discovery:
    """Imports them when they are needed: by a worker when it starts, by a caller when a name is not known."""

    def __init__(self, modules: Sequence[str]) -> None:
        """Prepare.

        Args:
            modules: Those of the setting `include`.
        """
        self._modules = list(modules)
        self._packages: list[tuple[Packages, str | None]] = []

    def add(self, packages: Packages, related_name: str | None) -> None:
        """Have a module of each package imported, where it has one.

        Args:
            packages: Names of packages, or what returns them, called when they are needed.
            related_name: Name of the module in each; None for the packages themselves.

        Raises:
            UsageError: These are no names.
        """
        if isinstance(packages, str) or not (callable(packages) or _are_names(packages)):
            raise UsageError(f"autodiscover_tasks: packages={packages!r}: expected a list of names")
        self._packages.append((packages, related_name))

    def run(self, more: Sequence[str] = ()) -> None:
        """Import all of them; what is imported already is not run again.

        Args:
            more: Modules beside those.

        Raises:
            ConfigError: A module or a package does not exist.
            Whatever a module raises; a note says which it was.
        """
        for module in self._modules:
            _import(module, "include")
        for module in more:
            _import(module, "import_tasks")
        for given, related_name in self._packages:
            packages = given() if callable(given) else given
            for package in packages:
                _import(package, "autodiscover_tasks")
                if related_name is not None:
                    _import(f"{package}.{related_name}", "autodiscover_tasks", may_miss=True)


def _import(module: str, source: str, *, may_miss: bool = False) -> None:
    if not _is_name(module):
        raise UsageError(f"{source}: {module!r} is no name of a module; give one such as 'shop.tasks'")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            error.add_note(f"while importing {module!r}, which {source} names")
            raise
        if not (may_miss and module == error.name):
            raise ConfigError(
                f"{source} names the module {module!r}, and there is no module {error.name!r}; is it misspelled, or "
                "not on sys.path (--path)?",
                setting=source,
                value=module,
            ) from error
    except Exception as error:
        error.add_note(f"while importing {module!r}, which {source} names")
        raise


def _is_name(module: object) -> bool:
    return isinstance(module, str) and all(part.isidentifier() for part in module.split("."))


def _are_names(packages: Any) -> bool:
    return isinstance(packages, Sequence) and all(isinstance(package, str) for package in packages)
