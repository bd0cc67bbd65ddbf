"""The defect bank of locks and files: one rule taken away each, which the histories must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from msgspec.msgpack import encode
from msgspec.structs import replace

from taskmesh.client.sessions import Sessions
from taskmesh.consensus.registers import Change, Keep, Refuse, Verdict, Versioned, Write
from taskmesh.coordination import file_state, line, session, token
from taskmesh.coordination.lease import MARGIN_S, RHO
from taskmesh.coordination.line import read_line
from tests.simulation.coordination.files import files
from tests.simulation.coordination.lines import elections, semaphores
from tests.simulation.coordination.world import CoordinationWorld, Kind

CLIENT, COORDINATION = "taskmesh.client", "taskmesh.coordination"
#: Kinds of trouble.
STOPS = {"faults": 8, "pause": 3.0, "partition": 1.0, "changes": 3, "long_s": 25.0}
DEATHS = {"faults": 6, "crash": 3.0, "changes": 3, "long_s": 25.0}
MOVES = {"faults": 8, "reconfigure": 3.0, "spare": 2, "acceptors": 3, "partition": 0.0, "long_s": 12.0}


@dataclass(frozen=True)
class Defect:
    """One rule taken away.

    Attributes:
        name: What is wrong.
        kind: The histories in which it must show.
        wrong: What is put in place of what.
        rates: The trouble in which it must show, where it differs from what seeds draw.
        seeds: Within so many it must be found.
    """

    name: str
    kind: Callable[[CoordinationWorld], Kind]
    wrong: Mapping[str, Any]
    rates: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 400

    def run(self, seed: int) -> None:
        """Run one seed; raises if something is found."""
        with ExitStack() as stack:
            for place, wrong in self.wrong.items():
                stack.enter_context(mock.patch(place, wrong))
            CoordinationWorld(seed, self.kind, rates=self.rates).run()


# -- leases -------------------------------------------------------------------------------


def too_soon(ttl_s: float) -> float:
    return ttl_s * 0.4


def too_long(renewed_s: float, ttl_s: float) -> float:
    return renewed_s + ttl_s * (1 + RHO) + 4 * MARGIN_S


_renew = Sessions.renew


def not_raised(found: Versioned) -> Verdict:
    return Keep(b"dead" if found.content is None else b"alive")


def renewed_before_it_is(self: Sessions, means: Any, live: Any) -> Any:
    live.renewed_s = means.now_s()
    return (yield from _renew(self, means, live))


# -- lines --------------------------------------------------------------------------------

_take, _next_token = line.take, token.next_token


def one_too_many(waiting: line.Line, at: int) -> bool:
    return len(waiting.holders) + at <= waiting.limit


def with_an_old_token(request: bytes, number: int) -> Change:
    take = _take(request, 10**9)

    def change(found: Versioned) -> Verdict:
        verdict = take(found)
        if not isinstance(verdict, Write):
            return verdict
        taken = read_line(verdict.content)
        holders = [replace(entry, token=7) if entry.request == request else entry for entry in taken.holders]
        return Write(encode(replace(taken, holders=tuple(holders), last_token=0)), verdict.answer)

    return change


def not_agreed_upon(means: Any) -> Any:
    found = yield from means.registers.read(token.COUNTER)
    number: int = int(found.content or b"0") + 1
    if means.chance.random() < 0.5:
        number = yield from _next_token(means)
    return number


def never_given_back(request: bytes) -> Change:
    return lambda _: Keep()


# -- files --------------------------------------------------------------------------------

_written = file_state.written


def whatever_the_version(
    path: str, found: Versioned, if_version: int | None, fence: int | None
) -> Refuse | None:
    return None


def instance_again(*args: Any, instance: int, **kwargs: Any) -> Change:
    return _written(*args, instance=min(instance, 1), **kwargs)


def whoever_owns_it(dead: bytes) -> Change:
    def change(found: Versioned) -> Verdict:
        state = file_state.read_file_state(found)
        return Keep() if state.data is None else file_state._removed(state, None)

    return change


def the_session_only(means: Any, dead: bytes, state: session.SessionState) -> Any:
    yield from means.registers.delete(session.register_of(dead), means.operation())


DEFECTS = (
    Defect(
        "a permit: others declare dead who has been silent for less than half a lease",
        semaphores,
        {f"{COORDINATION}.session.silent_s": too_soon},
        STOPS,
    ),
    Defect("one permit too many", semaphores, {f"{COORDINATION}.line.Line.may_take": one_too_many}),
    Defect(
        "a permit: a token is given twice", semaphores, {f"{COORDINATION}.acquire.take": with_an_old_token}
    ),
    Defect(
        "a permit that is given back stays held",
        semaphores,
        {f"{COORDINATION}.acquire.leave": never_given_back},
    ),
    Defect(
        "a leader relies on its lease for longer than others wait",
        elections,
        {f"{CLIENT}.sessions.safe_until_s": too_long},
        STOPS,
    ),
    Defect(
        "a leader relies on a renewal before it is agreed upon",
        elections,
        {f"{CLIENT}.sessions.Sessions.renew": renewed_before_it_is},
        STOPS,
    ),
    Defect(
        "a token is counted and not agreed upon",
        elections,
        {f"{COORDINATION}.acquire.next_token": not_agreed_upon},
    ),
    Defect(
        "a file is written whatever its version",
        files,
        {f"{COORDINATION}.file_state._refusal": whatever_the_version},
    ),
    Defect(
        "a file that is made again has the number of before",
        files,
        {f"{COORDINATION}.file.written": instance_again},
    ),
    Defect(
        "a file vanishes whoever owns it now",
        files,
        {
            f"{COORDINATION}.ending.orphaned": whoever_owns_it,
            f"{COORDINATION}.file.orphaned": whoever_owns_it,
        },
        DEATHS,
    ),
    Defect(
        "the owner of a file does not raise its counter",
        files,
        {f"{COORDINATION}.session.kept_alive": not_raised},
    ),
    Defect(
        "files of a session that is dead stay",
        files,
        {f"{COORDINATION}.ending.bury": the_session_only},
        DEATHS,
    ),
    Defect(
        "a watcher does not mind that other acceptors took over",
        files,
        {f"{COORDINATION}.file.anew": lambda *_: False},
        MOVES,
    ),
)
