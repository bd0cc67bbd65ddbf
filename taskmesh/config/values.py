"""How the value of a setting is read, whatever source it came from.

A reader takes a value as it stands in an argument, in a TOML file or (always as text) in a variable and
returns what `Settings` holds. What it cannot take is a `ValueError` whose text says what is expected: the
caller adds the name, the value and the source.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from taskmesh.core.lines import queue_name

Reader = Callable[[Any], Any]

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_UNITS_BYTES = {
    "": 1, "b": 1,
    "kb": 1000, "mb": 1000**2, "gb": 1000**3,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}  # fmt: skip
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
MEMORY_BYTES_MIN, MEMORY_BYTES_MAX = 16 << 20, 1 << 40
WEIGHT_MAX = 1000
PORT_MAX = 65_535


class NotOneOf(ValueError):
    """The value is none of a few words; `choices` holds them."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        super().__init__("expected one of " + ", ".join(choices))
        self.choices = choices


def duration(at_least: float, at_most: float) -> Reader:
    """Return a reader of seconds: a number, a timedelta or a text such as `90`, `1h` or `1h30m`."""

    def read(value: Any) -> float:
        seconds = _seconds(value)
        if not at_least <= seconds <= at_most:
            raise ValueError(f"expected {at_least:g} to {_most(at_most)}")
        return seconds

    return read


def _most(seconds: float) -> str:
    """Return a bound as people write it; nobody reads 3.1536e+08."""
    days = f" ({seconds / 86_400:.4g} days)" if seconds >= 2 * 86_400 else ""
    return f"{seconds:.15g} seconds{days}"


def _seconds(value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # a whole number beyond 1.8e308; it is out of every bounds as this is
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        seconds = 0.0
        rest = value.strip().lower().replace(" ", "")
        if _is_number(rest):
            return float(rest)
        while rest:
            number, unit, rest = _leading_amount(rest)
            if not _is_number(number) or unit not in _UNITS_S:
                break
            seconds += float(number) * _UNITS_S[unit]
        else:
            if value.strip():
                return seconds
    raise ValueError("expected seconds, a timedelta, or a text such as '90s', '1h' or '7d'")


def _is_number(text: str) -> bool:
    return text.count(".") <= 1 and text.replace(".", "", 1).isdigit() and text.isascii()


def _leading_amount(text: str) -> tuple[str, str, str]:
    """Split `1h30m` into `1`, `h` and `30m`."""
    digits = len(text) - len(text.lstrip("0123456789."))
    letters = len(text) - digits - len(text[digits:].lstrip("abcdefghijklmnopqrstuvwxyz"))
    return text[:digits], text[digits : digits + letters], text[digits + letters :]


def size(at_least: int, at_most: int) -> Reader:
    """Return a reader of bytes: a whole number or a text such as `65536`, `64KiB` or `16 MB`."""

    def read(value: Any) -> int:
        octets = _octets(value)
        if not at_least <= octets <= at_most:
            raise ValueError(f"expected {at_least} to {at_most} bytes")
        return octets

    return read


def limit_of_memory(value: Any) -> int:
    """Read how much memory a process may hold; 0 for no limit.

    A bare number is in bytes. Celery's is in KiB, and would be so small that it is refused.
    """
    octets = _octets(value)
    if octets and not MEMORY_BYTES_MIN <= octets <= MEMORY_BYTES_MAX:
        raise ValueError(
            "expected 0, or 16 MiB to 1 TiB, such as '200MB'; a bare number is in bytes, not KiB"
        )
    return octets


def _octets(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        number, unit, rest = _leading_amount(value.strip().lower().replace(" ", ""))
        if _is_number(number) and unit in _UNITS_BYTES and not rest:
            octets = float(number) * _UNITS_BYTES[unit]
            if octets < math.inf:
                return int(octets)
    raise ValueError("expected a number of bytes, or a text such as '64KiB' or '16 MiB'")


def whole(at_least: int, at_most: int) -> Reader:
    """Return a reader of a whole number."""

    def read(value: Any) -> int:
        text = value.strip() if isinstance(value, str) else value
        number = int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text
        if isinstance(number, bool) or not isinstance(number, int) or not at_least <= number <= at_most:
            raise ValueError(f"expected a whole number from {at_least} to {at_most}")
        return number

    return read


def one_of(*choices: str) -> Reader:
    """Return a reader of one word out of a few, in any case; it is kept as it stands in `choices`."""
    by_lower = {choice.lower(): choice for choice in choices}

    def read(value: Any) -> str:
        if isinstance(value, str) and value.strip().lower() in by_lower:
            return by_lower[value.strip().lower()]
        raise NotOneOf(choices)

    return read


def flag(value: Any) -> bool:
    """Read yes or no."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE + _FALSE:
        return value.strip().lower() in _TRUE
    raise ValueError("expected true or false")


def names(value: Any) -> tuple[str, ...]:
    """Read a list of texts; one text holds several, separated by commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(part, str) for part in value):
        parts = sorted(value) if isinstance(value, (set, frozenset)) else value
        return tuple(part.strip() for part in parts)
    raise ValueError("expected a list of texts")


def modules(value: Any) -> tuple[str, ...]:
    """Read names of modules."""
    found = names(value)
    wrong = [name for name in found if not all(part.isidentifier() for part in name.split("."))]
    if wrong:
        raise ValueError(f"expected names of modules, such as 'shop.tasks'; {wrong[0]!r} is none")
    return found


def weighted_queues(given: Iterable[Any]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Read the queues of a worker, such as `mail=3` and `default`, and the weights of those that have one."""
    weights: dict[str, int] = {}
    queues: dict[str, None] = {}
    for item in given:
        name, mark, weight = item.partition("=") if isinstance(item, str) else (item, "", "")
        queue = queue_name(name.strip() if mark else name)
        queues[queue] = None
        if mark:
            weights[queue] = _weight(weight)
    return tuple(queues), weights


def _weight(text: str) -> int:
    try:
        weight: int = whole(1, WEIGHT_MAX)(text)
    except ValueError:
        raise ValueError(f"a weight is a whole number from 1 to {WEIGHT_MAX}, such as mail=3") from None
    return weight


def routes(value: Any) -> tuple[tuple[str, str], ...]:
    """Read which queue the tasks of each pattern go to: a table, or a text such as `mail.*=mail,*.report=slow`."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {pattern.strip(): queue.strip() for pattern, _, queue in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise ValueError("expected patterns of task names and their queues, such as {'mail.*': 'mail'}")
    try:
        return tuple((pattern, queue_name(queue)) for pattern, queue in value.items())
    except ValueError as error:
        raise ValueError(f"expected patterns of task names and their queues; {error}") from None


def app_path(value: Any) -> str:
    """Read where an app is: `package.module:attribute`."""
    if isinstance(value, str):
        module, _, attribute = value.strip().partition(":")
        if all(part.isidentifier() for part in [*module.split("."), *(attribute or "app").split(".")]):
            return value.strip()
    raise ValueError("expected module:attribute, such as 'shop.tasks:mesh'")


def file_path(value: Any) -> str:
    """Read the path of a file; `~` is the home folder."""
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        if isinstance(path, str) and path.strip():
            return os.path.expanduser(path)
    raise ValueError("expected the path of a file")


def probes(value: Any) -> str:
    """Read where probes are served: host and port, joined by a colon, or nothing for nowhere.

    A port alone is this host's own, for others do not reach it; a colon in front of it stands for all addresses.
    """
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if text.lower() == "off":
        return ""
    host, colon, port = text.rpartition(":")
    is_host = not set(host) & set("/@ ") and (":" not in host or host[:1] + host[-1:] == "[]")
    if not is_host or not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise ValueError(
            "expected HOST:PORT, :PORT for all addresses, PORT for this host alone, or off, such as ':8484'"
        )
    return f"{host if colon else '127.0.0.1'}:{int(port)}"


def secret(value: Any) -> str | bytes:
    """Read a key as it was given; what its text means is known where keys are made."""
    if isinstance(value, (str, bytes)) and value.strip():
        return value
    raise ValueError("expected the text of a key (`taskmesh key new` makes one)")
