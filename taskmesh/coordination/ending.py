"""How sessions end: by their process, or declared dead by somebody who watched; and what vanishes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskmesh.consensus.listing import changes
from taskmesh.consensus.registers import Versioned
from taskmesh.coordination.file_state import orphaned
from taskmesh.coordination.means import Means
from taskmesh.coordination.session import (
    PREFIX,
    SessionState,
    Watch,
    declared_dead,
    read_state,
    register_of,
    session_of,
)
from taskmesh.core.steps import GroupSteps


def end(means: Means, session: bytes) -> GroupSteps[None]:
    """End a session of this process.

    Raises:
        ChangeRejected, ChangeUnknown: It may live; others will declare it dead in time.
    """
    yield from declare_dead(means, session, None)


def declare_dead(means: Means, session: bytes, counter: int | None) -> GroupSteps[bool]:
    """Declare a session dead, and remove what vanishes with it; False if it lives after all.

    Args:
        means: Of this process.
        session: Which.
        counter: At which it was seen for all that time; None for a session of one's own.

    Raises:
        ChangeRejected, ChangeUnknown: It may live; or some of its files may still be there.
    """
    name = register_of(session)
    changed = yield from means.registers.change(name, declared_dead(counter), means.operation())
    if changed.answer != b"dead":
        return False
    state = read_state(Versioned(changed.version, changed.content))
    if state is not None:
        yield from bury(means, session, state)
    return True


def bury(means: Means, session: bytes, state: SessionState) -> GroupSteps[None]:
    """Remove the files of a session that was declared dead, then the session. Whoever meets one may do it.

    Raises:
        ChangeRejected, ChangeUnknown: Something may still be there.
    """
    for register in state.files:
        yield from means.registers.change(register, orphaned(session), means.operation())
    yield from means.registers.delete(register_of(session), means.operation())


def silent_among(means: Means, watch: Watch, sessions: list[bytes]) -> GroupSteps[list[bytes]]:
    """Look at sessions, and return those that are dead: that do not exist any more, or are declared dead by this.

    Raises:
        AgreementError: It could not be found out now.
    """
    found = yield from means.registers.read_many([register_of(session) for session in sessions])
    now_s = means.now_s()
    dead = []
    for session in sessions:
        state = read_state(found[register_of(session)])
        if state is not None and state.dead:
            yield from bury(means, session, state)
            state = None
        is_dead = state is None
        if state is not None and watch.is_silent(session, state, now_s):
            is_dead = yield from declare_dead(means, session, state.counter)
        if is_dead:
            dead.append(session)
    return dead


@dataclass(slots=True)
class Sweep:
    """Finds sessions of processes that are no more and that nobody waits for. Belongs to one who sweeps now and then.

    What changed since the last time is alive, and need not be read.

    Attributes:
        watch: Those that were read.
        since: Up to what registers have been heard of.
        known: Sessions that may exist.
    """

    watch: Watch = field(default_factory=Watch)
    since: Mapping[str, int] = field(default_factory=dict)
    known: set[bytes] = field(default_factory=set)

    def run(self, means: Means, own: set[bytes]) -> GroupSteps[list[bytes]]:
        """Declare dead who has been silent, and return them.

        Args:
            means: Of this process.
            own: Sessions of this process.

        Raises:
            AgreementError: It could not be found out now.
        """
        told, since = yield from changes(means.registers, self.since, PREFIX)
        changed = {session_of(name) for name in told}
        first = not self.since
        self.since = since
        quiet = sorted((self.known | changed if first else self.known - changed) - own)
        self.known = (self.known | changed) - own
        dead = yield from silent_among(means, self.watch, quiet)
        self.known -= set(dead)
        self.watch.keep_only(self.known)
        return dead
