"""The files of `--config FILE`: a `[worker]` or `[scheduler]` table whose keys are the command's options."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from taskmesh.cli.seconds import read_seconds
from taskmesh.config.settings import LOG_FORMATS, LOG_LEVELS
from taskmesh.config.values import limit_of_memory, probes
from taskmesh.errors import ConfigError

#: No file of options is larger; a wrong path may name anything.
_OCTETS_MAX = 1 << 20


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text")
    return value


def _log_format(value: Any) -> str:
    given = _text(value)
    if given.lower() not in LOG_FORMATS:
        raise ValueError(f"expected one of {', '.join(LOG_FORMATS)}")
    return given


def _log_level(value: Any) -> str:
    given = _text(value)
    if given.upper() not in LOG_LEVELS:
        raise ValueError(f"expected one of {', '.join(LOG_LEVELS)}")
    return given


def _texts(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if (
        not isinstance(parts, list)
        or not parts
        or not all(isinstance(part, str) and part.strip() for part in parts)
    ):
        raise ValueError('expected a list of texts, such as ["mail", "default"]')
    return tuple(part.strip() for part in parts)


def _pools(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value),)
    if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
        raise ValueError('expected a text or a list of texts, such as ["process:4", "async:500"]')
    return tuple(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a whole number, 1 or more")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004 - told like every other wrong value
    return value


#: Key -> how its value is read. Names are those of the options, with _ for -.
KEYS: Mapping[str, Callable[[Any], Any]] = {
    "app": _text,
    "mesh": _text,
    "path": _texts,
    "broker": _text,
    "concurrency": _count,
    "queues": _texts,
    "strategy": _text,
    "name": _text,
    "log_level": _log_level,
    "log_format": _log_format,
    "burst": _flag,
    "no_scheduler": _flag,
    "include": _texts,
    "autoscale": _text,
    "reload": _flag,
    "reload_dir": _texts,
    "max_tasks_per_child": _count,
    "max_memory_per_child": limit_of_memory,
    "nodes_per_worker": _count,
    "grace": read_seconds,
    "soft_time_limit": read_seconds,
    "time_limit": read_seconds,
    "pool": _pools,
    "probes": probes,
}

#: The same for a scheduler.
SCHEDULER_KEYS: Mapping[str, Callable[[Any], Any]] = {
    name: KEYS[name]
    for name in ("app", "mesh", "path", "broker", "name", "log_level", "log_format", "probes")
}

#: Other names of options, as on the command line -> the key.
ALIASES: Mapping[str, str] = {"loglevel": "log_level", "hostname": "name"}


def _content(path: Path) -> str:
    # not opened before it is known to be a file: a pipe would wait for a writer
    if not stat.S_ISREG(path.stat().st_mode):
        raise ConfigError(
            f"cannot read {path}: it is no regular file; --config takes a TOML file", source=str(path)
        )
    with path.open("rb") as file:
        content = file.read(_OCTETS_MAX + 1)
    if len(content) > _OCTETS_MAX:
        raise ConfigError(
            f"cannot read {path}: it is larger than 1 MiB, and no file of options is; --config takes a TOML file",
            source=str(path),
        )
    return content.decode()


def read_worker_file(path: Path) -> dict[str, Any]:
    """Return the options of a worker in a file, by name.

    Args:
        path: A TOML file. Relative folders in it are relative to its own.

    Raises:
        ConfigError: It cannot be read, or a key or a value is wrong.
    """
    return _read_table(path, "worker", KEYS)


def read_scheduler_file(path: Path) -> dict[str, Any]:
    """Return the options of a scheduler in a file, likewise."""
    return _read_table(path, "scheduler", SCHEDULER_KEYS)


def _read_table(path: Path, kind: str, keys: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    try:
        document = tomllib.loads(_content(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", source=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", source=str(path)) from error
    other = next((name for name in document if name != kind), None)
    if other is not None:
        raise ConfigError(
            f"{path}: [{other}] is unknown; the options of a {kind} stand in [{kind}]", source=str(path)
        )
    table = document.get(kind)
    if not isinstance(table, dict):
        raise ConfigError(f"{path} has no [{kind}] table", source=str(path))
    found = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        name = ALIASES.get(name, name)
        if name not in keys:
            near = get_close_matches(name, keys, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(keys)}"
            raise ConfigError(f"{path}: option {key!r} in [{kind}] is unknown; {hint}", source=str(path))
        if name in found:
            raise ConfigError(f"{path}: {key} in [{kind}] is given twice, as {name} too", source=str(path))
        try:
            found[name] = keys[name](value)
        except ValueError as error:
            raise ConfigError(f"{path}: {key} = {value!r} in [{kind}]: {error}", source=str(path)) from error
    if "app" in found and "mesh" in found:
        raise ConfigError(f"{path}: app and mesh in [{kind}] contradict; give one", source=str(path))
    for folders in {"path", "reload_dir"} & found.keys():
        found[folders] = tuple(str((path.parent / folder).resolve()) for folder in found[folders])
    return found
