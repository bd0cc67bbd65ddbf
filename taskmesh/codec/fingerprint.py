"""Digests of values: equal contents, equal digest, in every process.

A pickle is no such thing: it depends on which equal texts are one object, and the order of a set on the process. So
values are walked here: plain ones by type and content, classes and functions by name, all others by what pickle would
rebuild them from. `1`, `1.0` and `True` differ; a dict's order does not count, a list's does.
"""

from __future__ import annotations

import copyreg
import struct
import sys
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Any

from taskmesh.errors import UsageError

#: Bytes of a digest. Equal ones of different values are not met by chance; a key's sender is trusted anyway.
DIGEST_BYTES = 16
#: Of pickle: the last one that leaves an object's bytes where they are.
_PROTOCOL = 4


def fingerprint(value: object) -> bytes:
    """Return the digest of a value, 16 bytes.

    Raises:
        UsageError: It cannot be told by its contents.
    """
    try:
        return _digest(value, ())
    except RecursionError as error:
        raise UsageError("a value is nested too deeply to be told by its contents") from error


def _digest(value: object, inside: tuple[int, ...]) -> bytes:
    read = _PLAIN.get(type(value))
    if read is not None:
        content: bytes = read(value)
        return blake2b(content, digest_size=DIGEST_BYTES).digest()
    if id(value) in inside:
        raise UsageError(f"a {type(value).__name__} that contains itself cannot be told by its contents")
    inside = (*inside, id(value))
    mark, parts = _parts(value, inside)
    return blake2b(mark + b"".join(parts), digest_size=DIGEST_BYTES).digest()


def _parts(value: Any, inside: tuple[int, ...]) -> tuple[bytes, list[bytes]]:
    kind = type(value)
    if kind is list or kind is tuple:
        return kind.__name__.encode(), [_digest(item, inside) for item in value]
    if kind is dict:
        return b"dict", _pairs(value.items(), inside)
    if kind is set or kind is frozenset:
        return kind.__name__.encode(), sorted(_digest(item, inside) for item in value)
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return b"name", [_name(value).encode()]
    return b"object", _rebuilt_from(value, inside)


def _pairs(items: Any, inside: tuple[int, ...]) -> list[bytes]:
    return sorted(_digest(key, inside) + _digest(item, inside) for key, item in items)


def _rebuilt_from(value: Any, inside: tuple[int, ...]) -> list[bytes]:
    """Return the digests of what pickle would rebuild an object from."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        made: Any = reduce(value) if reduce is not None else value.__reduce_ex__(_PROTOCOL)
    except Exception as error:
        # an object may refuse in any way: threads, sockets, generators
        raise UsageError(f"a {type(value).__qualname__} cannot be told by its contents: {error}") from error
    if isinstance(made, str):
        return [made.encode()]
    function, args, state, items, pairs = [*made, None, None, None][:5]
    return [
        _digest(function, inside),
        _digest(tuple(args), inside),
        _digest(state, inside),
        _digest(list(items) if items is not None else None, inside),
        b"".join(_pairs(pairs, inside)) if pairs is not None else b"",
    ]


def _name(value: Any) -> str:
    """Return where a class or function is found by everybody."""
    module, name = getattr(value, "__module__", None) or "builtins", value.__qualname__
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not value:
        raise UsageError(f"{name} of {module} cannot be told by its contents: it cannot be found by its name")
    return f"{module}.{name}"


def _text(value: str) -> bytes:
    return b"s" + value.encode(errors="surrogatepass")


_PLAIN: dict[type, Any] = {
    type(None): lambda _: b"n",
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: b"i%x" % value,
    float: lambda value: b"d" + struct.pack(">d", value),
    complex: lambda value: b"c" + struct.pack(">dd", value.real, value.imag),
    str: _text,
    bytes: lambda value: b"b" + value,
    bytearray: lambda value: b"a" + value,
    type(...): lambda _: b"e",
}
