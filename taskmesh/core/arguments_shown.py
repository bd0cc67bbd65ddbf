"""Arguments of a task in a log, where somebody asked for them: cut, in one line, without what looks like a secret."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from taskmesh.core.printable import in_one_line
from taskmesh.core.redact import HIDDEN, redact

#: Characters of one text, and of all arguments together.
ONE_MAX, ALL_MAX = 200, 1000
#: A longer text is not looked through for secrets, but left out.
_LOOKED_AT = 10_000


class _Short(reprlib.Repr):
    """Shows the beginning of what is long, and looks for secrets before it cuts: half an address is none."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = self.maxlong = ONE_MAX
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 10

    def repr_str(self, x: str, level: int) -> str:
        if len(x) > _LOOKED_AT:
            return f"<{len(x):,} characters>"
        return super().repr_str(redact(x), level)

    def repr_bytes(self, x: bytes, _level: int) -> str:
        return f"<{len(x):,} bytes>"

    repr_bytearray = repr_bytes


_short = _Short()


def arguments_shown(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return arguments as they stand in a call: `1, 'a', key=***`."""
    parts = [*map(_one, args), *(f"{name}={_one(value)}" for name, value in kwargs.items())]
    text = in_one_line(redact(", ".join(parts)))
    return text if len(text) <= ALL_MAX else f"{text[:ALL_MAX]}..."


def _one(value: object) -> str:
    try:
        return _short.repr(value)
    except Exception:  # noqa: BLE001 - `repr` is code of the user's, and a log must not fail by it
        return HIDDEN
