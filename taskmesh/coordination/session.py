"""Sessions: who is alive, told by a counter that its process raises, and that others watch on clocks of their own.

A process counts from before it sends; whoever watches it, from after he has seen. So while clocks go at nearly the same
rate, its lease is over here before it is over there. No clock is compared with another. What clocks cannot promise,
that a process which was stopped does not act on a lease that is over, tokens must.

A session that was declared dead never comes back: its process learns of it when it next raises the counter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from taskmesh.consensus.registers import Change, Delete, Keep, Verdict, Versioned, Write
from taskmesh.coordination.content import Content
from taskmesh.coordination.lease import silent_s
from taskmesh.coordination.means import Means
from taskmesh.core.steps import GroupSteps

#: A lease is renewed after this part of it, and is in jeopardy after the second.
RENEW_PART, LATE_PART = 1 / 3, 2 / 3
#: Files that vanish with one session: each is named in it.
FILES_MAX = 200
PREFIX = "session/"


class SessionState(msgspec.Struct, array_like=True, frozen=True):
    """What the register of a session holds.

    Attributes:
        counter: Raised by its process; nobody else changes a session that lives, except that he declares it dead.
        ttl_ms: How long it lives without that.
        owner: Who it is, for people.
        dead: Whether it was declared dead; then it only waits for its files to be removed.
        files: Registers of the files that vanish with it.
    """

    counter: int
    ttl_ms: int
    owner: str
    dead: bool = False
    files: tuple[str, ...] = ()

    @property
    def ttl_s(self) -> float:
        """The lease in seconds."""
        return self.ttl_ms / 1000


_CONTENT = Content(SessionState, "a session")


def register_of(session: bytes) -> str:
    """Return the name of a session's register."""
    return PREFIX + session.hex()


def session_of(register: str) -> bytes:
    """Return the session that a register is about."""
    return bytes.fromhex(register.removeprefix(PREFIX))


def read_state(found: Versioned) -> SessionState | None:
    """Return what a session's register holds; None if there is no such session, any more or yet.

    Raises:
        Malformed: It cannot be read.
    """
    return None if found.content is None else _CONTENT.unpack(found.content)


# -- what becomes of the register -------------------------------------------------------


def begun(ttl_s: float, owner: str) -> Change:
    """Begin a session. Its id is random: nobody else had it."""
    state = SessionState(1, round(ttl_s * 1000), owner)
    return lambda found: Keep() if found.content is not None else Write(_CONTENT.pack(state))


def _changed_by_owner(found: Versioned, **changes: object) -> Verdict:
    state = read_state(found)
    if state is None or state.dead:
        return Keep(b"dead")
    new = msgspec.structs.replace(state, counter=state.counter + 1, **changes)
    return Write(_CONTENT.pack(new), answer=b"alive")


def kept_alive(found: Versioned) -> Verdict:
    """Raise the counter; the answer is `alive` or `dead`."""
    return _changed_by_owner(found)


def with_file(register: str) -> Change:
    """Have a file vanish with the session; the answer is `alive`, `dead` or `full`."""

    def change(found: Versioned) -> Verdict:
        state = read_state(found)
        files = state.files if state is not None else ()
        if register not in files and len(files) >= FILES_MAX:
            return Keep(b"full")
        return _changed_by_owner(found, files=(*(name for name in files if name != register), register))

    return change


def without_file(register: str) -> Change:
    """Have a file no longer vanish with the session."""

    def change(found: Versioned) -> Verdict:
        state = read_state(found)
        files = state.files if state is not None else ()
        return _changed_by_owner(found, files=tuple(name for name in files if name != register))

    return change


def declared_dead(counter: int | None) -> Change:
    """Declare a session dead that is silent, or end one's own.

    Args:
        counter: At which it was seen for all that time: if it has been raised since, it lives. None for one's own.
    """

    def change(found: Versioned) -> Verdict:
        state = read_state(found)
        if state is None:
            return Keep(b"dead")
        if state.dead:
            return Keep(b"dead")
        if counter is not None and state.counter != counter:
            return Keep(b"alive")
        if not state.files:
            return Delete(b"dead")
        return Write(_CONTENT.pack(msgspec.structs.replace(state, dead=True)), answer=b"dead")

    return change


# -- conversations ------------------------------------------------------------------------


def begin(means: Means, session: bytes, ttl_s: float, owner: str) -> GroupSteps[None]:
    """Begin a session.

    Raises:
        ChangeRejected, ChangeUnknown: It may not exist; take another.
    """
    yield from means.registers.change(register_of(session), begun(ttl_s, owner), means.operation())


def keep_alive(means: Means, session: bytes) -> GroupSteps[bool]:
    """Raise a session's counter; False if it was declared dead.

    Raises:
        ChangeRejected, ChangeUnknown: It may not have been raised.
    """
    # nobody else changes it: so the next time takes one phase
    changed = yield from means.registers.change(
        register_of(session), kept_alive, means.operation(), sticky=True
    )
    return changed.answer != b"dead"


# -- watching others ----------------------------------------------------------------------


@dataclass(slots=True)
class Watch:
    """Since when something of others has been seen unchanged. Belongs to one who waits, or to one who sweeps.

    Attributes:
        seen: For each thing, how it was first seen as it is now, and when.
    """

    seen: dict[bytes, tuple[int, float]] = field(default_factory=dict)

    def unchanged_s(self, thing: bytes, how: int, now_s: float) -> float:
        """Note how a thing is seen now, and return for how long it has been seen so.

        Args:
            thing: Its id.
            how: A number that changes when it does.
            now_s: The clock after it was read.
        """
        before, since_s = self.seen.get(thing, (how, now_s))
        if before != how:
            since_s = now_s
        self.seen[thing] = (how, since_s)
        return now_s - since_s

    def is_silent(self, session: bytes, state: SessionState, now_s: float) -> bool:
        """Note a session's state, and tell whether it has been silent long enough to be declared dead."""
        return self.unchanged_s(session, state.counter, now_s) >= silent_s(state.ttl_s)

    def keep_only(self, things: set[bytes]) -> None:
        """Forget everything else: what is not looked at is not seen."""
        for thing in self.seen.keys() - things:
            del self.seen[thing]
