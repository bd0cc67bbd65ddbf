"""Files that vanish with their process, where it is not known whether they were written."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

import pytest

from taskmesh.client.files import _delete, _write_ephemeral
from taskmesh.client.sessions import LiveSession
from taskmesh.consensus.registers import NOTHING, Change, Changed, Keep, Operation, Versioned, Write
from taskmesh.coordination.file import Writing
from taskmesh.coordination.file_state import read_file_state
from taskmesh.coordination.means import Means
from taskmesh.coordination.session import begun, read_state, register_of
from taskmesh.errors import ChangeUnknown, NoMajority

SESSION, FILE = b"p" * 8 + b"0001", "file/mine"
Fault = Callable[[], None]


class Registers:
    """Registers that nobody else changes, and that fail as told: before a change of the file, or behind it."""

    def __init__(self) -> None:
        self.values: dict[str, Versioned] = {}
        self.before: list[Exception] = []
        self.behind: list[Exception] = []
        self.meanwhile: list[Callable[[], Any]] = []

    def change(
        self, name: str, change: Change, operation: Operation, *, sticky: bool = False
    ) -> Generator[Any, Any, Changed]:
        yield from ()
        if name == FILE and self.meanwhile:
            self.meanwhile.pop()()
        if name == FILE and self.before:
            raise self.before.pop()
        found = self.values.get(name, NOTHING)
        verdict = change(found)
        if isinstance(verdict, Write):
            self.values[name] = Versioned(found.version + 1, verdict.content)
        elif not isinstance(verdict, Keep):
            self.values[name] = Versioned(found.version + 1, None)
        if name == FILE and self.behind and isinstance(verdict, Write):
            raise self.behind.pop()
        now = self.values.get(name, NOTHING)
        return Changed(now.version, now.content, verdict.answer)


class Process:
    """A process with one session: what clients need of their coordinator."""

    def __init__(self) -> None:
        self.registers: Any = Registers()
        self.means = Means(self.registers, lambda: Operation(b"o"), lambda: 0.0, random.Random(1))
        self.session = LiveSession(SESSION, 6.0, lambda: 0.0)
        self.sessions: Any = self
        _done(self.registers.change(register_of(SESSION), begun(6.0, "me"), Operation(b"o")))

    def use(self, means: Means, ttl_s: float) -> Generator[Any, Any, LiveSession]:
        yield from ()
        self.session.users += 1
        return self.session

    def done(self, session: LiveSession) -> None:
        session.users -= 1

    def owner_of(self, register: str) -> LiveSession | None:
        return self.session if register in self.session.files else None

    def write(self) -> None:
        process: Any = self
        _done(_write_ephemeral(process, self.means, Writing("mine", b"x"), 6.0))

    def delete(self) -> None:
        process: Any = self
        _done(_delete(process, self.means, "mine", None, None))

    def named(self) -> tuple[str, ...]:
        state = read_state(self.registers.values[register_of(SESSION)])
        assert state is not None
        return state.files

    def is_there(self) -> bool:
        return read_file_state(self.registers.values.get(FILE, NOTHING)).data is not None


def _done(steps: Generator[Any, Any, Any]) -> Any:
    try:
        while True:
            # the first thing that it asks for is a token for a new file
            next(steps)
    except StopIteration as stop:
        return stop.value


def test_one_that_was_not_written_is_not_named():
    process = Process()
    process.registers.before = [NoMajority("nobody answers", register=FILE)]
    with pytest.raises(NoMajority):
        process.write()
    assert process.named() == ()
    assert process.session.users == 0


def test_one_that_may_have_been_written_stays_named():
    """A later try that fails for certain says nothing of the one before: the file would outlive its process."""
    process = Process()
    process.registers.behind = [ChangeUnknown("no answer", register=FILE)]
    with pytest.raises(ChangeUnknown):
        process.write()
    process.registers.before = [NoMajority("nobody answers", register=FILE)]
    with pytest.raises(NoMajority):
        process.write()
    assert process.is_there()
    assert process.named() == (FILE,)


def test_one_that_another_thread_writes_stays_named():
    process = Process()
    process.registers.before = [NoMajority("nobody answers", register=FILE)]

    def other_begins() -> None:
        process.session.writers[FILE].add("another thread")

    process.registers.meanwhile = [other_begins]
    with pytest.raises(NoMajority):
        process.write()
    assert process.named() == (FILE,)


def test_one_that_is_deleted_is_not_named():
    process = Process()
    process.write()
    assert process.session.users == 1
    process.delete()
    assert not process.is_there()
    assert process.named() == ()
    assert process.session.users == 0
