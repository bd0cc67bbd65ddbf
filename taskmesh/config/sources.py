"""Where settings come from, strongest first: arguments, variables, a file.

The file is the nearest one, walking up from the current folder: a `taskmesh.toml`, or a `pyproject.toml`
with a `[tool.taskmesh]` table. Where a folder has both, `taskmesh.toml` counts. One file is read, never two.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from taskmesh.errors import ConfigError

VARIABLE_PREFIX = "TASKMESH_"
# Variables which are read elsewhere and are no settings of a mesh.
OTHER_VARIABLES = frozenset(
    {
        "TASKMESH_EMBEDDED_IDLE_S",
        "TASKMESH_PRIVATE_NODE",
        "TASKMESH_SEED",
        "TASKMESH_SERVER_BINARY",
        "TASKMESH_START_METHOD",
        "TASKMESH_STATE_DIR",
    }
)
OTHER_VARIABLE_PREFIXES = ("TASKMESH_TEST_", "TASKMESH_BENCH_")


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was given.

    Attributes:
        name: The setting's name, as it was written but in lower case for a variable.
        value: What was given, not yet read.
        source: Where, in words for people.
        rank: 0 argument, 1 variable, 2 file; the lowest counts.
        folder: What a relative path is relative to.
    """

    name: str
    value: Any
    source: str
    rank: int
    folder: str


def absolute(cwd: str | os.PathLike[str]) -> str:
    """Return the whole path of a folder; empty if it is the current one and that has been deleted."""
    try:
        return os.path.abspath(os.fspath(cwd))
    except FileNotFoundError:
        return ""


def from_arguments(arguments: Mapping[str, Any], folder: str) -> Iterator[Given]:
    """Yield the arguments that were given; None means not given."""
    for name, value in arguments.items():
        if value is not None:
            yield Given(name, value, "argument", 0, folder)


def from_variables(environ: Mapping[str, str], folder: str) -> Iterator[Given]:
    """Yield the `TASKMESH_*` variables that are set; an empty one counts as not set."""
    for variable, value in environ.items():
        if variable.startswith(VARIABLE_PREFIX) and value.strip() and not _is_not_ours(variable):
            yield Given(variable[len(VARIABLE_PREFIX) :].lower(), value, variable, 1, folder)


def _is_not_ours(variable: str) -> bool:
    if variable in OTHER_VARIABLES or variable.startswith(OTHER_VARIABLE_PREFIXES):
        return True
    # Kubernetes sets these in every container beside a Service whose name begins with "taskmesh".
    words = variable.split("_")
    return (
        words[-2:] in (["SERVICE", "HOST"], ["SERVICE", "PORT"])
        or "_SERVICE_PORT_" in variable
        or words[-1] == "PORT"
        or any(word == "PORT" and after.isdigit() for word, after in pairwise(words))
    )


def from_file(cwd: str, file: str | None = None) -> Iterator[Given]:
    """Yield what the nearest settings file says, or what `file` says.

    Args:
        cwd: The folder from which the search starts; none is found from an empty one.
        file: The file to read instead.

    Raises:
        ConfigError: The file is not there, is not TOML, or could have been put there by anyone.
    """
    path, section, table = _nearest(cwd) if file is None else (file, _section_of(file), None)
    if not path:
        return
    if table is None:
        table = _table(path, section) or {}
    shown = os.path.relpath(path, cwd) if cwd else path
    for name, value in table.items():
        place = f"{shown} [{section}] {name}" if section else f"{shown} {name}"
        yield Given(name, value, place, 2, os.path.dirname(os.path.abspath(path)))


def _section_of(path: str) -> str:
    return "tool.taskmesh" if os.path.basename(path) == "pyproject.toml" else ""


def _nearest(cwd: str) -> tuple[str, str, dict[str, Any] | None]:
    folder = cwd
    while folder:
        for name in ("taskmesh.toml", "pyproject.toml"):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                section = _section_of(path)
                table = _table(path, section)
                if table is not None:
                    return path, section, table
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    return "", "", None


def _table(path: str, section: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
            status = os.fstat(file.fileno())
    except OSError as error:
        raise ConfigError(f"cannot read the settings in {path}: {error.strerror}", source=path) from error
    if section and b"taskmesh" not in content:
        return None  # most pyproject.toml files: spares reading them as TOML
    import tomllib

    try:
        table: Any = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # also what is not UTF-8, or nested without end
        raise ConfigError(f"{path} is not TOML: {error}", source=path) from error
    for word in section.split(".") if section else ():
        table = table.get(word) if isinstance(table, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError(f"[{section}] in {path} must be a table, not {table!r}", source=path)
    _check_owner(path, status)
    return table


def _check_owner(path: str, status: os.stat_result) -> None:
    # In a folder such as /tmp anybody could leave a file that sends this account's tasks to a node of theirs.
    if status.st_uid in (0, os.getuid()):
        return
    folder = os.stat(os.path.dirname(os.path.abspath(path)))
    if (status.st_mode | folder.st_mode) & stat.S_IWOTH:
        raise ConfigError(
            f"{path} is not used: it belongs to another user ({status.st_uid}), in a place where anyone "
            "may write; remove it, or run from another folder",
            source=path,
        )
