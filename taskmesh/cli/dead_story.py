"""The story of a dead letter: what was asked, what became of it, and what of that can be trusted.

Only what carries a valid signature is told as a fact. Arguments are pickles: loading them runs code, so they are
shown only on demand, and only where the signature is fine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskmesh.app import TaskMesh
from taskmesh.cli.output import as_arguments, as_iso, as_plain, as_size, as_time, facts, visible
from taskmesh.codec.envelope import Envelope, decode_envelope
from taskmesh.codec.outcome import Outcome, decode_outcome
from taskmesh.codec.pickling import decode_call
from taskmesh.core.record import Record
from taskmesh.errors import TaskMeshError, TrustError

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Bytes of a message that cannot be verified that are shown on a terminal.
RAW_SHOWN = 256


@dataclass(frozen=True, slots=True)
class Story:
    """A record, and what of it can be trusted.

    Attributes:
        id: Its id.
        record: The record; only what follows is signed.
        outcome: How it ended; None where that cannot be verified.
        outcome_problem: Why not.
        envelope: What was asked; None where that cannot be verified.
        envelope_problem: Why not.
    """

    id: str
    record: Record
    outcome: Outcome | None
    outcome_problem: str
    envelope: Envelope | None
    envelope_problem: str

    @property
    def task(self) -> str:
        """Name of the task, where that is certain."""
        return self.envelope.task if self.envelope is not None else ""

    @property
    def reason(self) -> str:
        """Why it was given up."""
        if self.outcome is None:
            return f"the reason itself cannot be verified: {self.outcome_problem}"
        error = self.outcome.error
        return self.outcome.reason or (f"{error.type_name}: {error.text}" if error is not None else "")

    @property
    def raw(self) -> bytes:
        """The message as it came, where it cannot be verified."""
        if self.envelope is not None:
            return b""
        return self.record.envelope or (self.outcome.raw if self.outcome is not None else b"")


def story_of(mesh: TaskMesh, task_id: str, record: Record) -> Story:
    """Verify a record; nothing is unpickled."""
    outcome, outcome_problem = None, "it has been removed"
    if record.outcome:
        try:
            outcome = decode_outcome(record.outcome, mesh.link.results, expect_id=task_id)
        except TrustError as error:
            outcome_problem = str(error)
    envelope, envelope_problem = None, "it has been removed"
    if record.envelope:
        try:
            envelope = decode_envelope(record.envelope, mesh.link.messages, expect_id=task_id)
        except TrustError as error:
            envelope_problem = str(error)
    return Story(
        task_id,
        record,
        outcome,
        "" if outcome is not None else outcome_problem,
        envelope,
        "" if envelope is not None else envelope_problem,
    )


def arguments_of(mesh: TaskMesh, story: Story) -> tuple[str, str]:
    """Unpickle the arguments of a verified message, and return them as `f(...)` would show them, or the problem.

    Returns:
        Text and problem, of which one is empty.
    """
    envelope = story.envelope
    if envelope is None:
        return "", "the message cannot be verified, so its arguments are not unpickled"
    try:
        args, kwargs = decode_call(
            envelope.encoding, envelope.body, envelope.clear_size, mesh.settings.max_message_size
        )
    except TaskMeshError as error:
        return "", str(error)
    return as_arguments(args, kwargs), ""


def as_document(story: Story) -> dict[str, Any]:
    """Return a story for programs; the raw bytes in full, as hexadecimal digits."""
    record, outcome, envelope = story.record, story.outcome, story.envelope
    document: dict[str, Any] = {
        "id": story.id,
        "state": record.state.value,
        "task": story.task or None,
        "queue": record.queue,
        "reason": story.reason,
        "worker": outcome.worker if outcome is not None else None,
        "attempt": record.attempt,
        "crashes": record.crashes,
        "created": as_iso(record.created_ms),
        "ended": as_iso(record.moment_ms),
        "verified": {"message": envelope is not None, "outcome": outcome is not None},
    }
    if envelope is not None:
        document |= {
            "by_value": envelope.function or None,
            "headers": as_plain(envelope.headers or {}),
            "extras": as_plain(envelope.extras or {}),
            "sender": envelope.sender,
            "size_bytes": len(record.envelope),
        }
    else:
        document |= {
            "problem": story.envelope_problem,
            "raw_bytes": len(story.raw),
            "raw_hex": story.raw.hex(),
        }
    if outcome is not None and outcome.attempts:
        document["attempts"] = [
            {
                "number": past.number,
                "worker": past.worker,
                "started": as_iso(past.started_ms),
                "finished": as_iso(past.finished_ms),
                "error": past.error.type_name if past.error is not None else None,
                "text": past.error.text if past.error is not None else "",
            }
            for past in outcome.attempts
        ]
    if outcome is not None and outcome.error is not None:
        document["traceback"] = outcome.error.traceback
    return document


def as_tables(story: Story) -> list[RenderableType]:
    """Return a story for people."""
    record, outcome, envelope = story.record, story.outcome, story.envelope
    pairs: list[tuple[str, object]] = [
        ("state", record.state.value),
        ("reason", story.reason),
        ("task", story.task or "not known: the message cannot be verified"),
        ("queue", record.queue),
        ("worker", outcome.worker if outcome is not None else None),
        ("attempt", record.attempt),
        ("crashes", record.crashes),
        ("sent", as_time(record.created_ms)),
        ("ended", as_time(record.moment_ms)),
    ]
    if envelope is not None:
        pairs.append(("sender", envelope.sender))
        pairs.append(("size", as_size(len(record.envelope))))
        if envelope.function:
            pairs.append(("function", f"sent by value, {envelope.function}"))
        pairs += [(f"header {name}", value) for name, value in (envelope.headers or {}).items()]
        retry_of = (envelope.extras or {}).get("retry_of")
        if retry_of:
            pairs.append(("retry of", retry_of))
    else:
        pairs.append(("problem", story.envelope_problem))
        pairs.append(("raw", f"{as_size(len(story.raw))}, of which the first are"))
    for past in outcome.attempts if outcome is not None else ():
        error = (
            f"{past.error.type_name}: {past.error.text}"
            if past.error is not None
            else "asked to be tried again"
        )
        pairs.append((f"attempt {past.number}", f"{as_time(past.finished_ms)} on {past.worker}: {error}"))
    parts: list[RenderableType] = [facts(f"dead letter {story.id}", pairs)]
    if story.raw:
        parts += ["", visible(_dump(story.raw[:RAW_SHOWN]))]
    if outcome is not None and outcome.error is not None:
        parts += ["", visible(outcome.error.traceback.rstrip())]
    return parts


def _dump(raw: bytes) -> str:
    lines = []
    for at in range(0, len(raw), 16):
        part = raw[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:04x}  {part.hex(' '):<47}  {text}")
    return "\n".join(lines)
