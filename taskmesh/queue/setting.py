"""What operators set for queues and tasks, as the data node holds it: weights and rate limits.

It holds instead of what the code or a worker's options say. Children read all of it twice a second; limits themselves
are kept by the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from taskmesh.core import keys
from taskmesh.core.rate import read_rate
from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Session, Steps
from taskmesh.replication.ask import ask, plain

SETTING = load_script("taskmesh.queue", "setting")
#: The rate limit of a task that has none, whatever the code says.
NO_LIMIT = "none"
_WEIGHT, _RATE = "w ", "r "
#: Until when (ms, on the node's clock) somebody said to listen to events: children learn it where they look anyway.
LISTENED_FIELD = "listened"


class Operated(NamedTuple):
    """What is set.

    Attributes:
        weights: Of queues.
        rate_limits: Of tasks, by name: a text such as `100/s`, or `NO_LIMIT`.
        listened_ms: Until when somebody listens to events, on the node's clock; 0 for nobody.
    """

    weights: Mapping[str, int]
    rate_limits: Mapping[str, str]
    listened_ms: int = 0


def put_weight(session: Session, queue: str, weight: int, *, patience_s: float = 10.0) -> Steps[bool]:
    """Have the node say that a queue weighs so much, 0 for what workers say; tell whether that changed anything."""
    value = b"%d" % weight if weight else b""
    return (yield from _put(session, _WEIGHT + queue, value, patience_s))


def put_rate_limit(session: Session, task: str, limit: str, *, patience_s: float = 10.0) -> Steps[bool]:
    """Have the node keep a limit for a task, empty for the code's; tell whether that changed anything.

    Raises:
        ValueError: The text is no limit.
    """
    value = limit
    if limit not in ("", NO_LIMIT):
        rate = read_rate(limit)
        value = f"{rate} {rate.interval_us} {rate.grace_us}"
    return (yield from _put(session, _RATE + task, value.encode(), patience_s))


def operated(session: Session) -> Steps[Operated]:
    """Return all that is set.

    Raises:
        NodeUnavailable, NodeFault: As `plain`.
    """
    return _read((yield from plain(session, b"HGETALL", keys.settings(session.prefix))))


def look_at_operated(session: Session) -> Steps[Operated | None]:
    """Return all that is set, or None when the node does not answer: it is asked again soon."""
    (reply,) = yield [Call(None, session.prefix, (b"HGETALL", keys.settings(session.prefix)))]
    return None if isinstance(reply, (Refused, NoAnswer, NodeError)) else _read(reply)


def _read(words: Sequence[bytes]) -> Operated:
    """Read the node's answer; what is none of ours is passed over, for anybody may have written there."""
    weights: dict[str, int] = {}
    limits: dict[str, str] = {}
    listened_ms = 0
    for at in range(0, len(words), 2):
        field, value = words[at].decode(errors="replace"), words[at + 1].decode(errors="replace")
        kind, name = field[:2], field[2:]
        if kind == _WEIGHT and value.isascii() and value.isdigit() and int(value) > 0:
            weights[name] = int(value)
        elif kind == _RATE:
            limits[name] = value.partition(" ")[0]
        elif field == LISTENED_FIELD and value.isascii() and value.isdigit():
            listened_ms = int(value)
    return Operated(weights, limits, listened_ms)


def _put(session: Session, field: str, value: bytes, patience_s: float) -> Steps[bool]:
    reply = yield from ask(session, SETTING, field.encode(), value, patience_s=patience_s)
    return bool(reply == 1)
