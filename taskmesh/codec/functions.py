"""Functions by value: pickled once, stored by content hash, verified before they are loaded.

A worker gets the hash from a signed envelope and the blob from a node. The blob is signed on its own, and
its content must have that hash: a node, or whoever writes to it, can neither change nor exchange a function.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from taskmesh.codec.pickling import CLOUDPICKLE, MESSAGE_SIZE_MAX, dump
from taskmesh.codec.signing import Signer
from taskmesh.errors import Malformed, NewerFormat, NotPicklable, PayloadTooLarge

HASH_CHARS: Final = 32
_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


class _Blob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is stored; `python` is "" for what any version can load, since it goes by reference."""

    python: str
    name: str
    pickled: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Blob).decode


def encode_function(function: Callable[..., Any], *, max_size: int = MESSAGE_SIZE_MAX) -> tuple[str, bytes]:
    """Return `(hash, blob)` of `function`, unsigned: `seal_function` signs it.

    What can be imported elsewhere goes by reference, all else (lambdas, closures, what lives in `__main__`)
    by value with the globals that it uses, as they are now.

    Raises:
        NotPicklable: It is not callable, or holds something that cannot be sent.
        PayloadTooLarge: Its blob has more than `max_size` bytes.
    """
    if not callable(function):
        raise NotPicklable(f"only a callable can be run by a worker, not a {type(function).__qualname__}")
    name = function_name(function)
    try:
        encoding, pickled = dump(function)
    except Exception as error:
        raise NotPicklable(
            f"function {name} cannot be sent by value ({type(error).__name__}: {error}); it, or a global or "
            "outer variable that it uses, is bound to this process: make that inside the function",
        ) from error
    blob = _encode(_Blob(_PYTHON if encoding == CLOUDPICKLE else "", name, pickled))
    if len(blob) > max_size:
        raise PayloadTooLarge(
            f"function {name} has {len(blob)} bytes when pickled with the globals that it uses, and "
            f"max_message_size is {max_size}; pass large data as arguments or by reference",
            size=len(blob),
            limit=max_size,
        )
    return hash_of(blob), blob


def decode_function(blob: bytes) -> Callable[..., Any]:
    """Return the function in a blob that `open_function` has verified.

    Raises:
        NewerFormat: It was pickled by value with another minor version of Python: it suits other workers.
        Malformed: It cannot be unpickled; the cause is attached.
    """
    try:
        content = _decode(blob)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a function of {len(blob)} bytes cannot be read: {error}") from error
    if content.python and content.python != _PYTHON:
        raise NewerFormat(
            f"function {content.name} was sent by value from Python {content.python}, and this worker runs "
            f"{_PYTHON}: bytecode does not pass between them; use the same minor version on both sides",
        )
    try:
        function = pickle.loads(content.pickled)
    except BaseException as error:
        # not Exception: what the function holds may raise anything, and must not end the worker
        raise Malformed(
            f"function {content.name} cannot be loaded here ({type(error).__name__}: {error}); "
            "what it imports must be installed on the workers",
        ) from error
    if not callable(function):
        raise Malformed(f"{content.name} is a {type(function).__qualname__}, which cannot be called")
    return function  # type: ignore[no-any-return]


def seal_function(blob: bytes, signer: Signer) -> bytes:
    """Return the signed wire of `blob`; `signer` is of kind "function"."""
    return signer.sign(blob)


def open_function(
    wire: bytes,
    signer: Signer,
    *,
    expect_hash: str,
    max_size: int = 2 * MESSAGE_SIZE_MAX,
) -> bytes:
    """Return the blob in `wire`, to be given to `decode_function`.

    Args:
        wire: What `seal_function` made.
        signer: A signer of kind "function".
        expect_hash: Hash in the envelope.
        max_size: Longest wire to look at, in bytes.

    Raises:
        TrustError: It must not be loaded; the message says why.
    """
    if len(wire) > max_size:
        raise Malformed(
            f"a function of {len(wire)} bytes is larger than the {max_size} bytes that are accepted here",
            size=len(wire),
            limit=max_size,
        )
    blob = signer.verify(wire)
    found = hash_of(blob)
    if found != expect_hash:
        raise Malformed(f"the function stored as {expect_hash} has the hash {found}")
    return blob


def hash_of(blob: bytes) -> str:
    """Return the name under which `blob` is stored: 128 bits of SHA-256 in hexadecimal digits."""
    return hashlib.sha256(blob).hexdigest()[:HASH_CHARS]


def function_name(function: Callable[..., Any]) -> str:
    """Return `module.qualname` of a callable, for people to read."""
    named = function if hasattr(function, "__qualname__") else type(function)
    # methods of built-in types have no module
    return f"{getattr(named, '__module__', None) or 'builtins'}.{named.__qualname__}"
