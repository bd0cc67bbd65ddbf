"""A line: who holds something, and who waits for it, in the order in which they came. All of it in one register.

A lock is a line, and so are a semaphore and an election. Nobody overtakes: what waits ahead counts as if it held
already. Whoever is next takes it himself: nobody is given what he may not be alive to use.
"""

from __future__ import annotations

import msgspec

from taskmesh.consensus.registers import Change, Delete, Keep, Refuse, Verdict, Versioned, Write
from taskmesh.coordination.content import Content
from taskmesh.errors import UsageError

EXCLUSIVE, SHARED, PERMIT = "exclusive", "shared", "permit"
#: A line is one register: so many fit in it with certainty. Who comes then tries again until there is room.
WAITERS_MAX = 400
OWNER_LENGTH_MAX = 48
#: Stands for the session of a holder that was lost: it holds until its lock-delay is over.
LOST = b""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One who holds or waits.

    Attributes:
        request: Random id of this wish to hold.
        session: Of its process; `LOST` for a holder that was lost, and stands for its lock-delay only.
        mode: `EXCLUSIVE`, `SHARED` or `PERMIT`.
        delay_ms: For how long others must not have it after this one was lost.
        owner: Who it is, for people.
        token: Of a holder; 0 of one who waits.
    """

    request: bytes
    session: bytes
    mode: str
    delay_ms: int
    owner: str
    token: int = 0

    @property
    def is_lost(self) -> bool:
        """Whether its process was lost."""
        return self.session == LOST


class Line(msgspec.Struct, array_like=True, frozen=True):
    """What the register holds.

    Attributes:
        holders: They hold.
        waiters: They wait, the longest first.
        last_token: The greatest that was given.
        limit: How many permits there are.
    """

    holders: tuple[Entry, ...] = ()
    waiters: tuple[Entry, ...] = ()
    last_token: int = 0
    limit: int = 1

    def holder(self, request: bytes) -> Entry | None:
        """Return one who holds it, and was not lost."""
        return next((entry for entry in self.holders if entry.request == request and not entry.is_lost), None)

    def place(self, request: bytes) -> int | None:
        """Return how many wait ahead of one who waits; None if it does not wait."""
        return next((at for at, entry in enumerate(self.waiters) if entry.request == request), None)

    def may_take(self, at: int) -> bool:
        """Tell whether the one who waits there may take it: as if all ahead of him held it already."""
        mode = self.waiters[at].mode
        ahead = self.holders + self.waiters[:at]
        if mode == PERMIT:
            return len(ahead) < self.limit
        return not ahead if mode == EXCLUSIVE else all(entry.mode == SHARED for entry in ahead)

    def next_in_line(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return session and request of those who may take it now."""
        result = []
        for at, entry in enumerate(self.waiters):
            if not self.may_take(at):
                break
            result.append((entry.session, entry.request))
        return tuple(result)


_CONTENT = Content(Line, "the line for a lock")


def read_line(content: bytes | None) -> Line:
    """Return what a register holds.

    Raises:
        Malformed: It cannot be read.
    """
    return Line() if content is None else _CONTENT.unpack(content)


def _become(line: Line, answer: bytes = b"") -> Verdict:
    """A line of nobody is no register: there may be one for each order of a shop."""
    return Write(_CONTENT.pack(line), answer) if line.holders or line.waiters else Delete(answer)


def _with(line: Line, **changes: object) -> Line:
    return msgspec.structs.replace(line, **changes)


def join(name: str, entry: Entry, limit: int, *, only_if_free: bool = False) -> Change:
    """Stand in line; the answer is `in`, `full`, or `busy` where it stands in line only if it may take it at once.

    Args:
        name: Of the register, for people.
        entry: Who.
        limit: How many permits there are.
        only_if_free: Not to wait.

    Raises:
        UsageError: Others use it with another number of permits.
    """

    def change(found: Versioned) -> Verdict:
        line = read_line(found.content)
        if line.holder(entry.request) is not None or line.place(entry.request) is not None:
            return Keep(b"in")
        if found.content is not None and line.limit != limit:
            return Refuse(
                UsageError(
                    f"{name} is in use with {line.limit} permits, not {limit}: all must name the same number"
                )
            )
        if len(line.waiters) >= WAITERS_MAX:
            return Keep(b"full")
        new = _with(line, waiters=(*line.waiters, entry), limit=limit)
        if only_if_free and not new.may_take(len(new.waiters) - 1):
            return Keep(b"busy")
        return Write(_CONTENT.pack(new), b"in")

    return change


def take(request: bytes, token: int) -> Change:
    """Take it; the answer is `held`, `wait`, `gone` for one who is not in line, or `old` where the token is.

    Args:
        request: Of one who waits.
        token: Drawn after it stood in line: so it is greater than every one that was given before.
    """

    def change(found: Versioned) -> Verdict:
        line = read_line(found.content)
        if line.holder(request) is not None:
            return Keep(b"held")
        at = line.place(request)
        if at is None:
            return Keep(b"gone")
        if not line.may_take(at):
            return Keep(b"wait")
        if token <= line.last_token:
            return Keep(b"old")
        holder = msgspec.structs.replace(line.waiters[at], token=token)
        waiters = line.waiters[:at] + line.waiters[at + 1 :]
        return Write(
            _CONTENT.pack(_with(line, holders=(*line.holders, holder), waiters=waiters, last_token=token)),
            b"held",
        )

    return change


def leave(request: bytes) -> Change:
    """Hold it no more, or wait no more; the answer is `held` if it was held until now."""

    def change(found: Versioned) -> Verdict:
        line = read_line(found.content)
        was_held = line.holder(request) is not None
        if not was_held and line.place(request) is None:
            return Keep()
        left = _with(
            line,
            holders=tuple(entry for entry in line.holders if entry.request != request or entry.is_lost),
            waiters=tuple(entry for entry in line.waiters if entry.request != request),
        )
        return _become(left, b"held" if was_held else b"")

    return change


def _lost(entry: Entry, delay_ms: int | None = None) -> list[Entry]:
    delay_ms = entry.delay_ms if delay_ms is None else delay_ms
    return [msgspec.structs.replace(entry, session=LOST, delay_ms=delay_ms)] if delay_ms else []


def without_dead(sessions: set[bytes]) -> Change:
    """Remove what belongs to sessions that are dead; what they held is free after its lock-delay."""

    def change(found: Versioned) -> Verdict:
        line = read_line(found.content)
        holders: list[Entry] = []
        for entry in line.holders:
            holders += _lost(entry) if entry.session in sessions else [entry]
        waiters = tuple(entry for entry in line.waiters if entry.session not in sessions)
        left = _with(line, holders=tuple(holders), waiters=waiters)
        return Keep() if left == line else _become(left)

    return change


def without_delay(request: bytes) -> Change:
    """Remove a holder that was lost, after its lock-delay."""

    def change(found: Versioned) -> Verdict:
        line = read_line(found.content)
        left = _with(
            line,
            holders=tuple(entry for entry in line.holders if entry.request != request or not entry.is_lost),
        )
        return Keep() if left == line else _become(left)

    return change


def broken(delay_ms: int | None) -> Change:
    """Take it away from all who hold it, also from those who were lost; the answer says from how many.

    Args:
        delay_ms: How long nobody is to have it, since the holders do not know yet; None for the lock-delay of each.
    """

    def change(found: Versioned) -> Verdict:
        line = read_line(found.content)
        holders: list[Entry] = []
        for entry in line.holders:
            holders += [] if entry.is_lost else _lost(entry, delay_ms)
        left = _with(line, holders=tuple(holders))
        return Keep(b"0") if left == line else _become(left, b"%d" % len(line.holders))

    return change
