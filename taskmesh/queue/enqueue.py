"""Enqueue: record messages and put them in line.

The sender makes the id, so sending again is harmless: a known id is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from taskmesh.core.record import REMEMBER_S
from taskmesh.core.script import load_script
from taskmesh.core.steps import NoAnswer, NodeError, Pause, Refused, Reply, Session, Steps
from taskmesh.errors import NodeUnavailable
from taskmesh.replication.ask import RETRY_DELAY_S_MAX, RETRY_DELAY_S_MIN
from taskmesh.replication.join import refresh
from taskmesh.replication.routed import Parts

ENQUEUE = load_script("taskmesh.queue", "enqueue")
#: The same, for a leader.
FENCED = load_script("taskmesh.queue", "enqueue", fenced=True)
#: Messages in one call of the script; Lua's stack takes some 8,000 values.
GROUP_MAX = 250
#: Bytes in one call of the script, so that one sender cannot hold the node for long.
CALL_BYTES_MAX = 1 << 20
#: Calls under way at once in one round trip.
CALLS_AT_ONCE = 8
#: Where the sequence key stands among the keys of a message, see `message_keys`.
SEQUENCE = 6


class NewMessage:
    """A message to be recorded.

    Attributes:
        task_id: Its id.
        record: The whole record, see `core.record`.
        slot: 4 hex digits.
        queue: The queue's name.
        priority: One digit.
        due_ms: When it may be claimed, digits; empty for now.
        function: Content hash of a function sent by value; empty for none.
        created_ms: When the sender made it.
        expires_ms: Until when it may begin, digits; empty for ever.
        keys: Its keys as the script takes them, see `message_keys`; None for none.
    """

    __slots__ = (
        "created_ms",
        "due_ms",
        "expires_ms",
        "function",
        "keys",
        "priority",
        "queue",
        "record",
        "slot",
        "task_id",
    )

    def __init__(
        self,
        task_id: bytes,
        record: bytes,
        slot: bytes,
        queue: bytes,
        created_ms: int,
        priority: bytes = b"4",
        due_ms: bytes = b"",
        function: bytes = b"",
        expires_ms: bytes = b"",
        keys: tuple[bytes, ...] | None = None,
    ) -> None:
        self.task_id = task_id
        self.record = record
        self.slot = slot
        self.queue = queue
        self.created_ms = created_ms
        self.priority = priority
        self.due_ms = due_ms
        self.function = function
        self.expires_ms = expires_ms
        self.keys = keys


def message_keys(
    *,
    unique: bytes = b"",
    until_started: bool = False,
    ttl_ms: bytes = b"",
    idempotency: bytes = b"",
    given_for: bytes = b"",
    task: bytes = b"",
    sequence: bytes = b"",
    instead: bytes = b"",
) -> tuple[bytes, ...]:
    """Return the keys of a message.

    Args:
        unique: Digest of its unique key, 32 hex digits; empty for none.
        until_started: Whether it is held until the message is claimed, rather than until it is final.
        ttl_ms: How long it is held at most, digits; empty for ever.
        idempotency: Digest of its idempotency key, 32 hex digits; empty for none.
        given_for: Digest of task and arguments, 32 hex digits.
        task: Name of the task in hex digits, for the error of another.
        sequence: Digest of its sequence key, 32 hex digits; empty for none.
        instead: Id of the message in whose place it is sent, which has ended: an idempotency key that leads there
            does not stand in the way, and leads to the new one from then on.
    """
    return unique, b"s" if until_started else b"f", ttl_ms, idempotency, given_for, task, sequence, instead


@dataclass(slots=True)
class Sent:
    """What became of each message: accepted (and of those, known before), rejected, unknown, or a duplicate.

    Attributes:
        accepted: Ids that are recorded.
        known: Of these, those that were before.
        rejected: Ids that certainly are not, with the reason for each.
        unknown: Ids that may be.
        duplicates: Ids that are not recorded, with the id of the message that stands for each.
        resent: Ids of which an earlier try got no answer: if one of these is known, it may be by that.
        conflicts: Of those that are rejected: whose idempotency key was given for another, with its id and task.
        full: Whether the node's memory is.
    """

    accepted: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    duplicates: dict[str, str] = field(default_factory=dict)
    resent: set[str] = field(default_factory=set)
    conflicts: dict[str, tuple[str, str]] = field(default_factory=dict)
    full: bool = False


def _key(message: NewMessage) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    return (
        message.slot,
        message.queue,
        message.priority,
        message.due_ms,
        message.expires_ms,
        message.function,
    )


def _group(
    messages: Sequence[NewMessage], blobs: dict[bytes, bytes]
) -> Iterable[tuple[list[NewMessage], list[bytes]]]:
    """Yield calls: the messages of each, and its arguments, neighbours of one kind as one group."""
    at, count = 0, len(messages)
    while at < count:
        inside: list[NewMessage] = []
        args: list[bytes] = []
        size = 0
        carried: set[bytes] = set()
        while at < count and len(inside) < GROUP_MAX and size < CALL_BYTES_MAX:
            kind = _key(messages[at])
            keys = messages[at].keys
            group: list[bytes] = []
            started = len(inside)
            while at < count and len(inside) < GROUP_MAX and size < CALL_BYTES_MAX:
                message = messages[at]
                if _key(message) != kind or (group and (keys is not None or message.keys is not None)):
                    break
                group += (message.task_id, message.record)
                size += len(message.record)
                inside.append(message)
                at += 1
            function = kind[5]
            blob = b"" if function in carried else blobs.get(function, b"")
            carried.add(function)
            args += (
                kind[0],
                kind[1],
                kind[2],
                kind[3],
                kind[4],
                function,
                blob,
                *((b"K", *keys) if keys is not None else (b"%d" % (len(inside) - started),)),
                *group,
            )
        yield inside, args


def enqueue_one(session: Session, message: NewMessage) -> Steps[bytes | NodeError | Refused | NoAnswer]:
    """Make the single call that sends one message; the caller falls back to `enqueue` unless it is accepted.

    Returns:
        The script's answer, see `read_answer`; a single letter, `a` or `k`, unless another message stands for this
        one. Or what went wrong.
    """
    (reply,) = yield [
        session.call(
            ENQUEUE,
            message.slot,
            message.queue,
            message.priority,
            message.due_ms,
            message.expires_ms,
            message.function,
            b"",
            *((b"1",) if message.keys is None else (b"K", *message.keys)),
            message.task_id,
            message.record,
        )
    ]
    outcome: bytes | NodeError | Refused | NoAnswer = reply
    return outcome


def enqueue(
    session: Session,
    messages: Sequence[NewMessage],
    functions: dict[bytes, bytes] | None = None,
    *,
    patience_s: float = 10.0,
    sent_before: bool = False,
    token: int | None = None,
) -> Steps[Sent]:
    """Record messages, some hundreds in a call and several calls in a round trip.

    Args:
        session: Where.
        messages: Any number, of any mix of slots and queues; grouped as they come.
        functions: Content hash -> signed function, for messages sent by value; carried only when the node
            lacks it.
        patience_s: How long to go on repeating what got no answer.
        sent_before: An earlier call that got no answer carried these: what fails now is unknown, not rejected.
        token: Of the leader who sends; None for anybody else. Messages of an old leader are rejected, `STALETOKEN`.

    Returns:
        What became of each. Raises nothing about the node: the caller decides.
    """
    script, fence = (ENQUEUE, ()) if token is None else (FENCED, (b"%d" % token,))
    result = Sent()
    oldest_ms = session.now_ms() - REMEMBER_S * 1000
    fresh = []
    for message in messages:
        if message.created_ms < oldest_ms:
            result.rejected[message.task_id.decode()] = (
                f"its id is more than {REMEMBER_S // 60} minutes old, so it may have been forgotten: use a new id"
            )
        else:
            fresh.append(message)
    blobs: dict[bytes, bytes] = {}
    waiting = list(_group(fresh, blobs))
    # what is repeated must not be overtaken where the order counts
    at_once = (
        1 if any(message.keys is not None and message.keys[SEQUENCE] for message in fresh) else CALLS_AT_ONCE
    )
    maybe: set[bytes] = {message.task_id for message in fresh} if sent_before else set()
    give_up_ms = session.now_ms() + int(patience_s * 1000)
    delay_s = RETRY_DELAY_S_MIN
    while waiting:
        now, waiting = waiting[:at_once], waiting[at_once:]
        replies = yield [session.call(script, *fence, *args) for _, args in now]
        again: list[tuple[list[NewMessage], list[bytes]]] = []
        stale = False
        pause = False
        for inside, args, reply in _answers(now, replies):
            if isinstance(reply, bytes):
                read_answer(result, inside, reply)
                continue
            if isinstance(reply, NodeError):
                if reply.text.startswith("STALEVIEW"):
                    stale = True
                    again.append((inside, args))
                elif reply.text.startswith("NEEDFUNCTION") and _lacking(reply.text) in (functions or {}):
                    blobs.update(functions or {})
                    again.extend(_group(inside, blobs))
                else:
                    result.full = result.full or reply.text.startswith("OOM")
                    # refused as a whole now; an earlier try without an answer may still have recorded it
                    _give_up(result, inside, maybe, reply.text)
                continue
            if isinstance(reply, NoAnswer):
                maybe.update(message.task_id for message in inside)
            if session.now_ms() >= give_up_ms:
                _give_up(result, inside, maybe, reply.reason)
                continue
            pause = True
            again.append((inside, args))
        if stale:
            try:
                yield from refresh(session)
            except NodeUnavailable as error:
                _give_up(
                    result,
                    [message for inside, _ in (*again, *waiting) for message in inside],
                    maybe,
                    str(error),
                )
                break
        if pause:
            yield Pause(delay_s)
            delay_s = min(delay_s * 2, RETRY_DELAY_S_MAX)
        waiting = again + waiting
    result.resent = {task_id.decode() for task_id in maybe}
    return result


def _answers(
    calls: Sequence[tuple[list[NewMessage], list[bytes]]], replies: Sequence[Reply]
) -> Iterable[tuple[list[NewMessage], list[bytes], Reply]]:
    """Yield what was answered to which messages; where nodes fared differently, part by part."""
    for (inside, args), reply in zip(calls, replies, strict=True):
        if not isinstance(reply, Parts):
            yield inside, args, reply
            continue
        for places, part in reply.parts:
            # some of what fitted into one call fit into one call
            for some, words in _group([inside[place] for place in places], {}):
                yield some, words, part


def _give_up(result: Sent, messages: Iterable[NewMessage], maybe: set[bytes], reason: str) -> None:
    for message in messages:
        where = result.unknown if message.task_id in maybe else result.rejected
        where[message.task_id.decode()] = reason


def _lacking(text: str) -> bytes:
    return text.rpartition(" ")[2].encode()


def answer_to(message: NewMessage, answer: bytes) -> Sent:
    """Return what the script's answer to a single message says."""
    sent = Sent()
    read_answer(sent, [message], answer)
    return sent


def read_answer(result: Sent, inside: Sequence[NewMessage], answer: bytes) -> None:
    """Note what the script answered to a call with these messages."""
    verdicts, _, told = answer.partition(b"\n")
    ids = [message.task_id.decode() for message in inside]
    if told:
        ids = _turned_away(result, ids, verdicts, told.split(b"\n"))
        verdicts = verdicts.replace(b"d", b"").replace(b"c", b"")
    result.accepted += ids
    if b"k" in verdicts:
        result.known += [task_id for task_id, verdict in zip(ids, verdicts, strict=True) if verdict == 0x6B]


def _turned_away(result: Sent, ids: list[str], verdicts: bytes, told: list[bytes]) -> list[str]:
    """Note the messages that are not recorded for their keys, and return the ids of the others."""
    others = []
    firsts = iter(told)
    for task_id, verdict in zip(ids, verdicts, strict=True):
        if verdict not in b"dc":
            others.append(task_id)
            continue
        first, _, task = next(firsts).decode().partition(" ")
        if verdict == ord("d"):
            result.duplicates[task_id] = first
        else:
            name = bytes.fromhex(task).decode()
            result.conflicts[task_id] = first, name
            result.rejected[task_id] = (
                f"its idempotency_key was given for another call: message {first} to task {name}"
            )
    return others
