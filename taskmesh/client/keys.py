"""Keys of calls: unique, idempotency and sequence keys. How they are read, and what a message carries of them.

Each is a text of the user. On the node it is a digest of fixed length, so that any text will do; the text itself
travels in the envelope for people. A message with a key lives in the slot that its text leads to, where all others with
this key live as well.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from taskmesh.client.readers import seconds
from taskmesh.codec.fingerprint import DIGEST_BYTES, fingerprint
from taskmesh.core.ids import routing_of
from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.client.options import SendOptions
    from taskmesh.config.arguments import Duration

KEY_LENGTH_MAX = 500
_ttl_s = seconds("unique: ttl", 0.001, 100 * 365 * 86_400.0)

#: A text, or what makes one of the arguments of the call.
KeyText: TypeAlias = str | Callable[..., str]


@dataclass(frozen=True, slots=True)
class Unique:
    """How a task's messages are unique: while one lives, sending another like it returns the handle of the first.

    Attributes:
        key: What makes them alike: True for equal arguments, a text, or a function that makes one of the arguments.
            Messages of different tasks are never alike.
        ttl: How long after sending the key is held at most: seconds, a timedelta or a text such as `10m`; None for as
            long as it takes.
        until: `finished`: until the message has ended, in whatever way; `started`: until it is first taken to be run.
    """

    key: Literal[True] | KeyText = True
    ttl: Duration | None = None
    until: Literal["started", "finished"] = "finished"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.key is not True and not callable(self.key):
            check_key("unique", self.key)
        if self.until not in ("started", "finished"):
            raise UsageError(f"unique: until={self.until!r}: expected 'started' or 'finished'")
        if self.ttl is not None:
            _ttl_s(self.ttl)

    @property
    def ttl_ms(self) -> int | None:
        """How long the key is held at most, in ms; None for as long as it takes."""
        return None if self.ttl is None else max(1, math.ceil(_ttl_s(self.ttl) * 1000))


class CallKeys(NamedTuple):
    """The keys of one message, ready to be sent.

    Attributes:
        routing: Where it lives.
        wire: What the script takes, see `message_keys`.
        told: Its keys for people, for the envelope; with what else it takes to send it again, see `keys_again`.
        given_for: Digest of task and arguments, if it has an idempotency key.
    """

    routing: int
    wire: tuple[bytes, ...]
    told: dict[str, Any]
    given_for: bytes = b""


# -- readers --------------------------------------------------------------------------------


def check_key(name: str, value: object) -> str:
    """Return a key, or raise `UsageError` if it is no text of 1 to 500 characters that UTF-8 can encode."""
    if not isinstance(value, str):
        raise UsageError(f"{name}={value!r}: expected a text")
    if not 1 <= len(value) <= KEY_LENGTH_MAX:
        raise UsageError(f"{name} has {len(value)} characters; it may have 1 to {KEY_LENGTH_MAX}")
    if value.encode(errors="replace").decode() != value:
        raise UsageError(f"{name}={value!r} cannot be encoded as UTF-8")
    return value


def read_unique(value: object) -> Unique | None:
    """Return what `unique=` says: None for no."""
    if value is False:
        return None
    if isinstance(value, Unique):
        return value
    if isinstance(value, Mapping):
        known = [field.name for field in fields(Unique)]
        for name in value:
            if name not in known:
                raise UsageError(f"unique={value!r}: it has no {name!r}; it knows {', '.join(known)}")
        return Unique(**value)
    if value is True or callable(value):
        return Unique(value)
    return Unique(check_key("unique", value))


def read_key(name: str, *, of_arguments: bool) -> Callable[[object], Any]:
    """Return a reader of a key: a text, or also a function of the arguments."""

    def read(value: object) -> Any:
        return value if of_arguments and callable(value) else check_key(name, value)

    return read


# -- of one call ----------------------------------------------------------------------------


def call_keys(
    task: str,
    function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
) -> CallKeys:
    """Return the keys of one call.

    Args:
        task: Name of the task.
        function: The task's function: arguments are told apart by its parameters, however they are passed.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: How the message is sent; it has a key.
        task_id: The id that the caller asked for.

    Raises:
        UsageError: A key cannot be made of these arguments, or the keys would lead to different slots.
    """
    from taskmesh.queue.enqueue import message_keys

    texts: dict[str, str] = {}
    more: dict[str, Any] = {}
    wire: dict[str, Any] = {}
    given_for = b""
    unique = options.unique
    if unique is not None:
        text = texts["unique"] = _unique_text(task, unique, function, args, kwargs)
        more |= {"until": unique.until} if unique.until == "started" else {}
        more |= {"ttl_ms": unique.ttl_ms} if unique.ttl_ms is not None else {}
        wire |= _unique_wire(task, text, until_started=unique.until == "started", ttl_ms=unique.ttl_ms)
    if options.idempotency_key is not None:
        text = texts["idempotency_key"] = options.idempotency_key
        given_for = (
            blake2b(
                f"{len(task)}:{task}".encode() + _arguments(task, "idempotency_key", function, args, kwargs),
                digest_size=DIGEST_BYTES,
            )
            .hexdigest()
            .encode()
        )
        more["given_for"] = given_for.decode()
        wire |= _idempotency_wire(task, text, given_for)
    if options.sequence_key is not None:
        text = texts["sequence_key"] = _text("sequence_key", options.sequence_key, args, kwargs)
        wire["sequence"] = _digest(text)
    return CallKeys(_routing(texts, task_id), message_keys(**wire), texts | more, given_for)


def keys_again(task: str, told: Mapping[str, Any], old_id: str) -> CallKeys:
    """Return the keys of a message that is sent in place of one that has ended, of what the old one's envelope says.

    Args:
        task: Name of the task.
        told: `CallKeys.told` of the old one.
        old_id: Its id: the idempotency key that leads there shall lead to the new one.
    """
    from taskmesh.queue.enqueue import message_keys

    texts = {name: told[name] for name in ("unique", "idempotency_key", "sequence_key") if name in told}
    wire: dict[str, Any] = {"instead": old_id.encode()}
    given_for = told.get("given_for", "").encode()
    if "unique" in texts:
        until_started = told.get("until") == "started"
        wire |= _unique_wire(task, texts["unique"], until_started=until_started, ttl_ms=told.get("ttl_ms"))
    # without it, no call could be told to be the same
    if "idempotency_key" in texts and given_for:
        wire |= _idempotency_wire(task, texts["idempotency_key"], given_for)
    if "sequence_key" in texts:
        wire["sequence"] = _digest(texts["sequence_key"])
    return CallKeys(_routing(texts, None), message_keys(**wire), dict(told), given_for)


def _unique_wire(task: str, text: str, *, until_started: bool, ttl_ms: int | None) -> dict[str, Any]:
    return {
        "unique": _digest(f"{len(task)}:{task}{text}"),
        "until_started": until_started,
        "ttl_ms": b"" if ttl_ms is None else b"%d" % ttl_ms,
    }


def _idempotency_wire(task: str, text: str, given_for: bytes) -> dict[str, bytes]:
    return {"idempotency": _digest(text), "given_for": given_for, "task": task.encode().hex().encode()}


def _routing(texts: Mapping[str, str], task_id: str | None) -> int:
    """Return where the keys lead to.

    Raises:
        UsageError: They lead to different places, so no single node could hold them together.
    """
    named = dict(texts) if task_id is None else {**texts, "task_id": task_id}
    routings = {name: routing_of(text) for name, text in named.items()}
    first, *others = routings
    for other in others:
        if routings[other] != routings[first]:
            raise UsageError(
                f"{first}={named[first]!r} and {other}={named[other]!r} lead to different slots, which no single node "
                "need hold: give one of them, or the same text for both"
            )
    return routings[first]


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest().encode()


def _text(name: str, key: KeyText, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return key if isinstance(key, str) else check_key(f"what {name}= returns", key(*args, **kwargs))


def _unique_text(
    task: str,
    unique: Unique,
    function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str:
    if unique.key is True:
        return _arguments(task, "unique", function, args, kwargs).hex()
    return _text("unique", unique.key, args, kwargs)


def _arguments(
    task: str,
    name: str,
    function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> bytes:
    """Return the digest of the arguments: the same however they are passed, and with defaults said or not."""
    said: Any = args, kwargs
    signature = _signature(function) if function is not None else None
    if signature is not None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            pass  # the call will fail with this very error, on the worker
        else:
            bound.apply_defaults()
            said = bound.args, bound.kwargs
    try:
        return fingerprint(said)
    except UsageError as error:
        raise UsageError(
            f"{name}= of task {task}: {error}; give a text, or a function that makes one of the arguments"
        ) from error


@lru_cache(maxsize=1000)
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        # a bound task is given itself first, which is none of the caller's arguments
        return inspect.signature(function, follow_wrapped=not isinstance(function, partial))
    except (TypeError, ValueError):
        return None  # some built-in functions tell nothing of themselves
