"""What happens in a mesh, told to whoever listens: one line of text per event, so that scripts can tell it as well.

An event is for people and their tools. It is not signed, so nothing may be decided by it: anybody who can write into
the node can make one up. What is read is bounded, and what is no event is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from taskmesh.core.printable import in_one_line

SENT: Final = "sent"
STARTED: Final = "started"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
RETRIED: Final = "retried"
REVOKED: Final = "revoked"
EXPIRED: Final = "expired"
PARKED: Final = "parked"
CRASHED: Final = "crashed"
DEAD: Final = "dead"
WORKER_UP: Final = "worker-up"
WORKER_DOWN: Final = "worker-down"
LEADER: Final = "leader"
VIEW: Final = "view"
GAP: Final = "gap"

#: All kinds, in the order in which a message and a mesh meet them. A newer TaskMesh may tell of more.
KINDS: Final = (
    SENT,
    STARTED,
    SUCCEEDED,
    FAILED,
    RETRIED,
    REVOKED,
    EXPIRED,
    PARKED,
    CRASHED,
    DEAD,
    WORKER_UP,
    WORKER_DOWN,
    LEADER,
    VIEW,
    GAP,
)
#: What a commit's letter tells of a run: the kind, and what is said of it besides.
KIND_OF: Final = {
    "K": (SUCCEEDED, ""),
    "F": (FAILED, ""),
    "Y": (RETRIED, ""),
    "Z": (RETRIED, "later, not counted as an attempt"),
    "Q": (RETRIED, "at the end of its line, not counted as an attempt"),
    "V": (REVOKED, ""),
    "X": (EXPIRED, ""),
    "S": (PARKED, "no worker of this build knows it"),
    "D": (DEAD, ""),
}

#: Bytes of one notice that are looked at, characters of one event, and of each of its texts when it is told.
NOTICE_BYTES_MAX = 4 * 1024 * 1024
LINE_MAX = 2000
TEXT_MAX = 300
_FIELDS = 9


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: One of `KINDS`.
        at_ms: When, on the clock of the nodes, in milliseconds since 1970.
        id: Of the message; of a worker its incarnation; empty for what is about neither.
        task: Name of the task; empty where nobody could say it.
        queue: Of the message.
        worker: Name of the worker, or of who leads.
        attempt: Which run of the message it was, from 1; 0 where that means nothing.
        seconds: How long the run took; None for what is no end of a run.
        detail: In a few words, for people: never arguments, results or messages of exceptions.
    """

    kind: str
    at_ms: int
    id: str = ""
    task: str = ""
    queue: str = ""
    worker: str = ""
    attempt: int = 0
    seconds: float | None = None
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the event for programs, without what it does not say."""
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        said = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        return {"kind": said.pop("kind"), "at": at} | {
            name: value
            for name, value in said.items()
            if name != "at_ms" and not (name == "attempt" and not value)
        }


def encode_events(events: Iterable[Event]) -> bytes:
    """Return events as one notice."""
    return "\n".join(map(_line, events)).encode(errors="replace")


def _line(event: Event) -> str:
    took = "" if event.seconds is None else f"{max(0.0, event.seconds) * 1000:.3f}"
    texts = event.id, event.task, event.queue, event.worker
    said = [_told(text) for text in texts]
    return "\t".join(
        (event.kind, str(event.at_ms), *said, str(event.attempt or ""), took, _told(event.detail))
    )


def _told(text: str) -> str:
    return in_one_line(text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…")


def decode_events(notice: bytes) -> list[Event]:
    """Return the events in a notice; what is none is passed over."""
    lines = notice[:NOTICE_BYTES_MAX].decode(errors="replace").split("\n")
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: str) -> Event | None:
    if len(line) > LINE_MAX:
        return None
    words = line.split("\t")
    if len(words) != _FIELDS or words[0] not in KINDS:
        return None
    kind, at, task_id, task, queue, worker, attempt, took, detail = words
    try:
        at_ms, runs = int(at), int(attempt or 0)
        seconds = float(took) / 1000 if took else None
    except ValueError:
        return None
    if not 0 <= at_ms < 2**47 or not 0 <= runs < 2**31 or not (seconds is None or 0 <= seconds < 2**40):
        return None
    return Event(
        kind,
        at_ms,
        in_one_line(task_id),
        in_one_line(task),
        in_one_line(queue),
        in_one_line(worker),
        runs,
        seconds,
        in_one_line(detail),
    )
