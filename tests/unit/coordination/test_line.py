"""A line, by a machine that does with it whatever processes may do, in any order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from taskmesh.consensus.registers import NOTHING, Change, Delete, Keep, Refuse, Versioned, Write
from taskmesh.coordination.line import (
    EXCLUSIVE,
    PERMIT,
    SHARED,
    WAITERS_MAX,
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
from taskmesh.errors import UsageError


class Register:
    """One register that nobody disturbs."""

    def __init__(self) -> None:
        self.found = NOTHING
        self._version = 0

    @property
    def line(self) -> Line:
        return read_line(self.found.content)

    def change(self, change: Change) -> bytes:
        verdict = change(self.found)
        if isinstance(verdict, Refuse):
            raise verdict.error
        if isinstance(verdict, Write):
            self._version += 1
            self.found = Versioned(self._version, verdict.content)
        elif isinstance(verdict, Delete):
            self._version += 1
            self.found = NOTHING
        else:
            assert isinstance(verdict, Keep)
        return verdict.answer


def entry(number: int, mode: str = EXCLUSIVE, session: int | None = None, delay_ms: int = 0) -> Entry:
    of = number if session is None else session
    return Entry(b"r%07d" % number, b"s%011d" % of, mode, delay_ms, "someone")


class LineMachine(RuleBasedStateMachine):
    """Locks: sessions stand in line, take, leave, die; old tokens are tried as well."""

    modes: tuple[str, ...] = (EXCLUSIVE, SHARED)
    limit = 1

    def __init__(self) -> None:
        super().__init__()
        self.register = Register()
        self.numbers = itertools.count(1)
        self.tokens = itertools.count(1)
        self.drawn: dict[bytes, int] = {}
        self.came: list[bytes] = []
        self.granted: list[int] = []
        self.entries: dict[bytes, Entry] = {}

    def _pick(self, among: tuple[Entry, ...], choice: int) -> Entry | None:
        return among[choice % len(among)] if among else None

    @rule(choice=st.integers(0, 1), delay_ms=st.sampled_from([0, 500]), session=st.integers(0, 3))
    def come(self, choice: int, delay_ms: int, session: int) -> None:
        new = entry(next(self.numbers), self.modes[choice % len(self.modes)], session, delay_ms)
        assert self.register.change(join("lock/x", new, self.limit)) == b"in"
        assert self.register.change(join("lock/x", new, self.limit)) == b"in"
        assert sum(waiter.request == new.request for waiter in self.register.line.waiters) == 1
        self.came.append(new.request)
        self.entries[new.request] = new

    @rule(choice=st.integers(0, 1))
    def come_if_free(self, choice: int) -> None:
        new = entry(next(self.numbers), self.modes[choice % len(self.modes)], 9)
        before = self.register.line
        answer = self.register.change(join("lock/x", new, self.limit, only_if_free=True))
        if answer == b"busy":
            assert self.register.line == before
        else:
            assert self.register.line.may_take(len(before.waiters))
            self.came.append(new.request)

    @rule(choice=st.integers(0, 100))
    def draw(self, choice: int) -> None:
        """Draw a token, which may be used at once, late, or never."""
        waiter = self._pick(self.register.line.waiters, choice)
        if waiter is not None:
            self.drawn[waiter.request] = next(self.tokens)

    @rule(choice=st.integers(0, 100))
    def try_to_take(self, choice: int) -> None:
        waiter = self._pick(self.register.line.waiters, choice)
        if waiter is None or waiter.request not in self.drawn:
            return
        token, line = self.drawn[waiter.request], self.register.line
        at = line.place(waiter.request)
        assert at is not None
        # nobody overtakes one who could not hold beside him
        ahead = [other.mode for other in line.waiters[:at]]
        answer = self.register.change(take(waiter.request, token))
        if answer == b"held":
            if self.modes == (PERMIT,):
                assert len(line.holders) + len(ahead) < self.limit
            else:
                assert not ahead or (waiter.mode == SHARED and set(ahead) == {SHARED})
            assert all(token > before for before in self.granted)
            self.granted.append(token)
            held = self.register.line.holder(waiter.request)
            assert held is not None
            assert held.token == token
        elif answer == b"old":
            assert token <= max(self.granted)
        else:
            assert answer == b"wait"

    @rule(choice=st.integers(0, 100))
    def give_back(self, choice: int) -> None:
        line = self.register.line
        someone = self._pick((*line.holders, *line.waiters), choice)
        if someone is not None:
            was_held = line.holder(someone.request) is not None
            answer = self.register.change(leave(someone.request))
            assert (answer == b"held") == was_held
            assert self.register.change(leave(someone.request)) == b""

    @rule(session=st.integers(0, 3))
    def die(self, session: int) -> None:
        line, dead = self.register.line, b"s%011d" % session
        lost = {holder.request for holder in line.holders if holder.session == dead and holder.delay_ms}
        self.register.change(without_dead({dead}))
        after = self.register.line
        assert all(other.session != dead for other in (*after.holders, *after.waiters))
        assert lost <= {holder.request for holder in after.holders if holder.is_lost}

    @rule(choice=st.integers(0, 100))
    def end_a_delay(self, choice: int) -> None:
        holder = self._pick(self.register.line.holders, choice)
        if holder is not None:
            self.register.change(without_delay(holder.request))
            stays = any(other.request == holder.request for other in self.register.line.holders)
            assert stays != holder.is_lost

    @rule(delay_ms=st.sampled_from([None, 0, 500]))
    def break_open(self, delay_ms: int | None) -> None:
        held = self.register.line.holders
        assert self.register.change(broken(delay_ms)) == (b"%d" % len(held) if held else b"0")
        assert all(holder.is_lost for holder in self.register.line.holders)

    @invariant()
    def holders_may_hold_together(self) -> None:
        holders = self.register.line.holders
        if self.modes == (PERMIT,):
            assert len(holders) <= self.limit
        elif any(holder.mode == EXCLUSIVE for holder in holders):
            assert len(holders) == 1

    @invariant()
    def who_waits_stands_in_the_order_of_coming(self) -> None:
        places = [self.came.index(waiter.request) for waiter in self.register.line.waiters]
        assert places == sorted(places)

    @invariant()
    def somebody_can_go_on(self) -> None:
        line = self.register.line
        if line.waiters and not line.holders:
            assert line.next_in_line()

    @invariant()
    def a_line_of_nobody_is_no_register(self) -> None:
        line = self.register.line
        assert (self.register.found.content is None) == (not line.holders and not line.waiters)


class PermitMachine(LineMachine):
    """The same for a semaphore."""

    modes = (PERMIT,)
    limit = 3


TestLine = LineMachine.TestCase
TestPermits = PermitMachine.TestCase


def held(register: Register, number: int, token: int, mode: str = EXCLUSIVE, **facts: int) -> Entry:
    new = entry(number, mode, **facts)
    register.change(join("lock/x", new, 1))
    assert register.change(take(new.request, token)) == b"held"
    return new


def test_a_token_drawn_before_standing_in_line_is_refused_when_others_had_it_since():
    register = Register()
    held(register, 1, 7, SHARED)
    late = entry(2, SHARED)
    register.change(join("lock/x", late, 1))
    assert register.change(take(late.request, 6)) == b"old"
    assert register.change(take(late.request, 8)) == b"held"


def test_readers_do_not_overtake_a_writer_who_waits():
    register = Register()
    held(register, 1, 1, SHARED)
    writer, reader = entry(2), entry(3, SHARED)
    register.change(join("lock/x", writer, 1))
    register.change(join("lock/x", reader, 1))
    assert register.change(take(reader.request, 2)) == b"wait"
    assert register.line.next_in_line() == ()
    register.change(leave(b"r%07d" % 1))
    assert register.line.next_in_line() == ((writer.session, writer.request),)


def test_all_readers_at_the_front_are_next():
    register = Register()
    held(register, 1, 1)
    for number, mode in ((2, SHARED), (3, SHARED), (4, EXCLUSIVE), (5, SHARED)):
        register.change(join("lock/x", entry(number, mode), 1))
    register.change(leave(b"r%07d" % 1))
    assert [request for _, request in register.line.next_in_line()] == [b"r%07d" % 2, b"r%07d" % 3]


def test_what_was_lost_is_held_by_nobody_until_its_delay_is_over():
    register = Register()
    lost = held(register, 1, 1, delay_ms=500)
    register.change(without_dead({lost.session}))
    register.change(join("lock/x", entry(2), 1))
    assert register.line.next_in_line() == ()
    assert register.line.holder(lost.request) is None
    register.change(without_delay(lost.request))
    assert len(register.line.next_in_line()) == 1


def test_a_semaphore_is_one_for_all():
    register = Register()
    register.change(join("semaphore/x", entry(1, PERMIT), 3))
    with pytest.raises(UsageError, match="semaphore/x is in use with 3 permits, not 4"):
        register.change(join("semaphore/x", entry(2, PERMIT), 4))
    register.change(leave(b"r%07d" % 1))
    assert register.change(join("semaphore/x", entry(2, PERMIT), 4)) == b"in"


def test_a_line_that_is_full_says_so():
    register = Register()
    for number in range(WAITERS_MAX):
        register.change(join("lock/x", Entry(b"r%07d" % number, b"s" * 12, EXCLUSIVE, 9999, "h" * 48), 1))
    assert register.change(join("lock/x", entry(1000), 1)) == b"full"
    assert register.found.content is not None
    assert len(register.found.content) < 64 * 1024
