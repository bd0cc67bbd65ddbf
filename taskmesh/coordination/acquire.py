"""Getting hold of something for which there may be a line, waiting for it, and giving it back.

Who waits is told when it may be his turn, and looks by himself now and then, since that may get lost. Only the first in
line watches those who hold; each of the others watches the one ahead of him. So what a line costs does not grow with
the square of its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from taskmesh.consensus.registers import Change, Changed, Delete, Verdict, Versioned, Write
from taskmesh.coordination.ending import silent_among
from taskmesh.coordination.lease import silent_s
from taskmesh.coordination.line import (
    LOST,
    Entry,
    Line,
    broken,
    join,
    leave,
    read_line,
    take,
    without_dead,
    without_delay,
)
from taskmesh.coordination.means import Means, Nap, Tell, WaitingSteps
from taskmesh.coordination.session import Watch
from taskmesh.coordination.token import next_token
from taskmesh.core.steps import GroupSteps, Pause
from taskmesh.errors import AgreementError, ChangeUnknown, NodeUnavailable

#: How often the first in line looks by himself, and at least the others.
LOOK_S_FIRST, LOOK_S_MAX = 1.0, 5.0
#: For how long a change is made again of which it is not known whether it was made, and after which pause at most.
AGAIN_S_MAX, AGAIN_S = 5.0, 0.05


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to hold.

    Attributes:
        register: Name of the register.
        entry: Who.
        limit: How many permits there are.
        look_s: How often one who is not first in line looks by himself.
    """

    register: str
    entry: Entry
    limit: int = 1
    look_s: float = LOOK_S_MAX


@dataclass(frozen=True, slots=True)
class Taken:
    """It is held.

    Attributes:
        token: Greater than each that was given for it before.
        waited: Whether that took more than asking for it.
    """

    token: int
    waited: bool


class Gone(Exception):
    """The one who waited was taken out of the line: its session was declared dead."""


def acquire(means: Means, wish: Wish, until_s: float | None) -> WaitingSteps[Taken | None]:
    """Get hold of something; None if that did not succeed in time.

    Args:
        means: Of this process.
        wish: What.
        until_s: Until when to wait, by the clock of `means`; None for as long as it takes.

    Raises:
        Gone: The session was declared dead.
        UsageError: Others use it with another number of permits.
        AgreementError: No majority of the acceptors answers. Leave the line: the wish may stand in it.
    """
    waited = False
    while (line := (yield from _stand_in_line(means, wish, until_s))) is None:
        if _is_over(means, until_s):
            return None
        waited = True
        yield _nap(means, wish, until_s, LOOK_S_FIRST)
    watch = Watch()
    while True:
        try:
            token, look_s = yield from _try(means, wish, watch, line)
        except (AgreementError, NodeUnavailable):
            if _is_over(means, until_s):
                raise
            # it was in line, and still is: acceptors come back, and so does the node that counts its starts
            token, look_s = None, LOOK_S_FIRST
        if token is not None:
            return Taken(token, waited)
        line = None
        if _is_over(means, until_s):
            yield from give_back(means, wish.register, wish.entry.request)
            return None
        waited = True
        if look_s:
            yield _nap(means, wish, until_s, look_s)


def _is_over(means: Means, until_s: float | None) -> bool:
    return until_s is not None and means.now_s() >= until_s


def _nap(means: Means, wish: Wish, until_s: float | None, look_s: float) -> Nap:
    seconds = means.chance.uniform(look_s / 2, look_s)
    if until_s is not None:
        seconds = min(seconds, max(0.0, until_s - means.now_s()))
    return Nap(seconds, wish.entry.request)


def _stand_in_line(means: Means, wish: Wish, until_s: float | None) -> GroupSteps[Line | None]:
    """Stand in line, and return it as it is then; None if there is no room in it."""
    # who does not wait at all must not be found in line by others
    change = join(wish.register, wish.entry, wish.limit, only_if_free=_is_over(means, until_s))
    changed = yield from _changed(means, wish.register, change)
    return read_line(changed.content) if changed.answer == b"in" else None


def _changed(
    means: Means,
    register: str,
    change: Change,
    *,
    sticky: bool = True,
    in_doubt: Callable[[], None] | None = None,
) -> GroupSteps[Changed]:
    """Change a line. Every change of one names its wish, and may so be made again where it is not known whether it was.

    Where many are in a hurry, a register forgets what one of them did before he hears of it.

    Raises:
        ChangeRejected, ChangeUnknown: The acceptors do not answer.
    """
    give_up_s = means.now_s() + AGAIN_S_MAX
    while True:
        try:
            return (yield from means.registers.change(register, change, means.operation(), sticky=sticky))
        except ChangeUnknown:
            if means.now_s() >= give_up_s:
                raise
            if in_doubt is not None:
                in_doubt()
            yield Pause(means.chance.uniform(0, AGAIN_S))


def _try(means: Means, wish: Wish, watch: Watch, line: Line | None) -> WaitingSteps[tuple[int | None, float]]:
    """Take it if it is this one's turn; else see that those in front are alive.

    Args:
        means: Of this process.
        wish: What.
        watch: What was seen of others.
        line: As it is; None to read it.

    Returns:
        Its token, or None and in how many seconds to look again.
    """
    request = wish.entry.request
    if line is None:
        found = yield from means.registers.read(wish.register)
        line = read_line(found.content)
    held = line.holder(request)
    if held is not None:
        return held.token, 0.0
    at = line.place(request)
    if at is None:
        raise Gone
    if line.may_take(at):
        return (yield from _take(means, wish)), 0.0
    yield from _look_at_those_in_front(means, wish, watch, line, at)
    return None, wish.look_s if _before(line, at) is not None else LOOK_S_FIRST


def _take(means: Means, wish: Wish) -> WaitingSteps[int | None]:
    while True:
        token = yield from next_token(means)
        change = take(wish.entry.request, token)
        changed = yield from _changed(means, wish.register, change)
        if changed.answer == b"gone":
            raise Gone
        if changed.answer != b"old":
            # else another who holds beside this one drew a later one, and was faster
            return token if changed.answer == b"held" else None


def _before(line: Line, at: int) -> Entry | None:
    """Return who waits just ahead and is of another process; a process need not watch itself."""
    own = line.waiters[at].session
    return next((entry for entry in reversed(line.waiters[:at]) if entry.session != own), None)


def _look_at_those_in_front(
    means: Means, wish: Wish, watch: Watch, line: Line, at: int
) -> WaitingSteps[None]:
    before = _before(line, at)
    in_front = [before] if before is not None else list(line.holders)
    sessions = sorted({entry.session for entry in in_front} - {LOST, wish.entry.session})
    lost = [entry for entry in in_front if entry.is_lost]
    watch.keep_only({*sessions, *(entry.request for entry in lost)})
    dead = yield from silent_among(means, watch, sessions)
    if dead:
        yield from _change_and_tell(means, wish.register, without_dead(set(dead)))
    now_s = means.now_s()
    for entry in lost:
        delay_s = silent_s(entry.delay_ms / 1000)
        if watch.unchanged_s(entry.request, 0, now_s) >= delay_s:
            yield from _change_and_tell(means, wish.register, without_delay(entry.request))


def _change_and_tell(
    means: Means,
    register: str,
    change: Change,
    *,
    sticky: bool = False,
    in_doubt: Callable[[], None] | None = None,
) -> WaitingSteps[Changed]:
    changed = yield from _changed(means, register, change, sticky=sticky, in_doubt=in_doubt)
    whom = read_line(changed.content).next_in_line()
    if whom:
        yield Tell(whom)
    return changed


def give_back(means: Means, register: str, request: bytes) -> WaitingSteps[bool]:
    """Hold it no more, or wait no more, and tell whose turn it is. May be repeated.

    Returns:
        Whether it was held until now: nobody else had it in between.

    Raises:
        AgreementError: It may still be held; do it again.
    """
    latest, was_held = b"", False

    def change(found: Versioned) -> Verdict:
        nonlocal latest
        verdict = leave(request)(found)
        latest = verdict.answer if isinstance(verdict, (Write, Delete)) else b""
        return verdict

    def in_doubt() -> None:
        nonlocal was_held
        # it stood so when it was sent, and may have been given back by that: whoever asks again finds nothing
        was_held = was_held or latest == b"held"

    # who had it is likely to want it again
    changed = yield from _change_and_tell(means, register, change, sticky=True, in_doubt=in_doubt)
    return was_held or changed.answer == b"held"


def break_open(means: Means, register: str, delay_ms: int | None) -> WaitingSteps[int]:
    """Take it away from all who hold it, and return how many did.

    Raises:
        AgreementError: It may still be held.
    """
    changed = yield from _change_and_tell(means, register, broken(delay_ms))
    return int(changed.answer)


def look(means: Means, registers: list[str]) -> GroupSteps[dict[str, Line]]:
    """Return some lines, as they are now.

    Raises:
        NoMajority: Too few acceptors answered.
    """
    found = yield from means.registers.read_many(registers)
    return {name: read_line(found[name].content) for name in registers}
