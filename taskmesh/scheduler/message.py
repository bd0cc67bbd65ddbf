"""Makes messages of what schedules call. The call is packed already: whoever fires it never unpickles it."""

from __future__ import annotations

from math import ceil

from taskmesh.codec.envelope import Envelope, encode_envelope
from taskmesh.codec.signing import Signer
from taskmesh.coordination.firing import firing_id
from taskmesh.coordination.schedule import PackedCall, Schedule
from taskmesh.core import record
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.core.state import LETTER, State
from taskmesh.core.steps import Session
from taskmesh.queue.enqueue import NewMessage
from taskmesh.scheduler.timetable import due_ms

PENDING, SCHEDULED = LETTER[State.PENDING], LETTER[State.SCHEDULED]


class Maker:
    """Makes messages over one link."""

    def __init__(self, session: Session, signer: Signer, sender: str) -> None:
        """Prepare.

        Args:
            session: Of the mesh; its clock is the node's.
            signer: Signs messages.
            sender: Who sends, for people to read.
        """
        self._session = session
        self._signer = signer
        self._sender = sender

    def firing(self, schedule: Schedule, nominal_ms: int) -> NewMessage:
        """Return the message of a firing; its id follows from schedule and moment."""
        due = due_ms(schedule.name, nominal_ms, schedule.jitter_ms)
        return self.message(firing_id(schedule.name, nominal_ms), schedule.call, due)

    def message(self, task_id: str, call: PackedCall, due: int = 0) -> NewMessage:
        """Return a message.

        Args:
            task_id: Its id.
            call: What is called.
            due: Unix time in ms before which it may not run, besides what the call itself says.
        """
        now_ms = self._session.now_ms()
        options = call.options
        due += ceil(options.get("countdown_s", 0) * 1000) if due else 0
        if not due and options.get("countdown_s"):
            due = now_ms + ceil(options["countdown_s"] * 1000)
        due = due if due > now_ms else 0
        expires_ms = _expires_ms(call, now_ms)
        queue: str = options["queue"]
        extras = {**options.get("extras", {}), **({"due": due} if due else {})}
        envelope = encode_envelope(
            Envelope(
                task_id,
                call.task,
                call.body,
                call.encoding,
                call.function,
                queue,
                call.headers,
                now_ms,
                expires_ms,
                options["result_ttl_s"],
                options.get("ignore_result", False),
                "",
                self._sender,
                extras or None,
                call.clear_size,
            ),
            self._signer,
        )
        slot = b"%04x" % slot_of(routing_of(task_id), self._session.slots)
        keys = options.get("keys")
        return NewMessage(
            task_id.encode(),
            _head(call, slot, now_ms, due) + envelope,
            slot,
            queue.encode(),
            now_ms,
            b"%d" % options.get("priority", 4),
            b"%d" % due if due else b"",
            call.function.encode(),
            b"%d" % expires_ms if expires_ms else b"",
            tuple(keys) if keys else None,
        )


def _expires_ms(call: PackedCall, now_ms: int) -> int:
    options = call.options
    if "expires_at_ms" in options:
        # one that is over already never begins, whatever clock looks at it
        return max(1, int(options["expires_at_ms"]))
    return now_ms + ceil(options["expires_s"] * 1000) if "expires_s" in options else 0


def _head(call: PackedCall, slot: bytes, now_ms: int, due: int) -> bytes:
    options = call.options
    flags = (record.IGNORE_RESULT if options.get("ignore_result") else 0) | (
        record.AT_MOST_ONCE if options.get("at_most_once") else 0
    )
    start, middle, end, names = record.head_parts(
        state=SCHEDULED if due else PENDING,
        queue=options["queue"].encode(),
        channel=b"",
        function=call.function.encode(),
        priority=options.get("priority", 4),
        flags=flags,
        result_ttl_s=options["result_ttl_s"],
    )
    return b"%b%b%b%012x%012x%b%b" % (start, slot, middle, now_ms, due, end, names)
