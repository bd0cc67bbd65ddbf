"""The definition of a schedule: what its register holds."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from taskmesh.consensus.value import CONTENT_SIZE_MAX
from taskmesh.coordination.content import Content
from taskmesh.coordination.firing import check_schedule_name
from taskmesh.core.naming import check_task_name
from taskmesh.core.printable import shown
from taskmesh.errors import NotPicklable, UsageError

FORMAT: Final = 1
#: Misfire policies: what comes of the firings that were missed.
SKIP, LATEST, ALL = "skip", "latest", "all"
MISFIRE = (SKIP, LATEST, ALL)
#: Overlap policies: what comes of a firing while the message of the last one is not final. SKIP is one of them, too.
ALLOW, BUFFER_ONE = "allow", "buffer-one"
OVERLAP = (ALLOW, SKIP, BUFFER_ONE)
CATCH_UP_MS = 86_400_000
_YEAR_MS = 366 * 86_400_000


class PackedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """What each firing calls.

    Attributes:
        task: Name of the task.
        body: Arguments, as in an envelope.
        encoding: How `body` was made, as in an envelope.
        clear_size: Length of `body` before compression, as in an envelope.
        function: Hash of the function for a task sent by value, else "".
        blob: That function, sealed: it is given to the node with each firing, for it may have been forgotten there.
        options: What the call was given, read: `queue`, `priority`, `expires_s`, ...; plain msgpack values.
        headers: The user's own facts; plain msgpack values.
    """

    task: str
    body: bytes = b""
    encoding: int = 0
    clear_size: int = 0
    function: str = ""
    blob: bytes = b""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    headers: dict[str, Any] | None = None


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule. Its register holds it as a map: fields that this version does not know are passed over.

    Attributes:
        name: Its name; see `firing.check_schedule_name`.
        when: When it fires, as text, see `scheduler/when.py`.
        call: What it calls.
        zone: The time zone of `when`.
        misfire: `skip`, `latest` or `all`: which of the firings are run that were missed.
        catch_up_ms: How old a missed firing may be that is run.
        overlap: `allow`, `skip` or `buffer-one`: what comes of a firing while the last one's message is not final.
        jitter_ms: By how much its messages are delayed at most.
        start_ms: Nothing fires before it; None for any time.
        end_ms: Nothing fires at it or later; None for never.
        paused: Whether it does not fire for now.
        created_ms: When it was made, Unix time.
        since_ms: Firings after it count: when it was made, resumed, or its `when` changed.
        generation: The version of its register at which it got its `when`; it only grows, deletions included.
        declared: Digest of what the app's code last said of it, 16 hex digits; empty if it is not in the code.
        format: Of this struct.
    """

    name: str
    when: str
    call: PackedCall
    zone: str = "UTC"
    misfire: str = LATEST
    catch_up_ms: int = CATCH_UP_MS
    overlap: str = ALLOW
    jitter_ms: int = 0
    start_ms: int | None = None
    end_ms: int | None = None
    paused: bool = False
    created_ms: int = 0
    since_ms: int = 0
    generation: int = 0
    declared: str = ""
    format: int = FORMAT


def check_schedule(schedule: Schedule) -> None:
    """Check what a user gave; `when` and `zone` are checked where they are read.

    Raises:
        UsageError: Something of it cannot be.
    """
    name = check_schedule_name(schedule.name)
    check_task_name(schedule.call.task)
    _one_of(name, "misfire", schedule.misfire, MISFIRE)
    _one_of(name, "overlap", schedule.overlap, OVERLAP)
    for what, length_ms in (("catch_up", schedule.catch_up_ms), ("jitter", schedule.jitter_ms)):
        if not 0 <= length_ms <= _YEAR_MS:
            raise UsageError(f"schedule {name!r}: its {what} is {length_ms / 1000:g} s; expected 0 to a year")
    if schedule.start_ms is not None and schedule.end_ms is not None and schedule.start_ms >= schedule.end_ms:
        raise UsageError(f"schedule {name!r}: its end is not after its start, so it would never fire")


def _one_of(name: str, what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UsageError(
            f"schedule {name!r}: its {what} is {shown(given)}; expected one of {', '.join(known)}"
        )


_CONTENT: Final = Content(Schedule, "the definition of a schedule", FORMAT)


def pack_schedule(schedule: Schedule) -> bytes:
    """Return a definition as its register's content.

    Raises:
        NotPicklable: Options or headers are not plain data.
        UsageError: It is too large for a register.
    """
    try:
        content = _CONTENT.pack(schedule)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotPicklable(
            f"schedule {schedule.name!r}: the options and headers of its call must be plain data: {error}"
        ) from error
    if len(content) > CONTENT_SIZE_MAX:
        call = schedule.call
        raise UsageError(
            f"schedule {schedule.name!r} takes {len(content)} bytes (arguments {len(call.body)}, function "
            f"{len(call.blob)}); at most {CONTENT_SIZE_MAX} fit. Give it a task that workers import, and "
            "arguments that say where the data is"
        )
    return content


def unpack_schedule(content: bytes) -> Schedule:
    """Return the definition that a register holds.

    Raises:
        NewerFormat, Malformed: It cannot be read.
    """
    return _CONTENT.unpack(content)
