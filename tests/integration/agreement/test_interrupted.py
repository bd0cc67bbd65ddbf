"""A signal whose handler raises, Ctrl-C for one, in the midst of speaking with acceptors."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator

import pytest

from taskmesh.core.steps import Call, Round
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.group_driver import GroupDriver
from tests.patience import LONG_S

ROUNDS = 400


class Interrupted(Exception):
    """What the handler raises."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[float], None]]:
    """Have the handler raise after so many seconds; 0 for never."""

    def raises(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, raises)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_after_an_interruption_each_answer_is_that_to_what_was_asked(make_acceptors, interrupt):
    """Wherever it happens: an answer that is taken for that of another call could give a lock to two."""
    (server,) = make_acceptors(1)
    driver = GroupDriver(lambda _: NodeAddress(server.url), answer_timeout_s=LONG_S, connect_timeout_s=LONG_S)
    chance = random.Random(1)

    def ask(word: bytes) -> list[object]:
        return driver.perform(Round([Call(None, b"", (b"ECHO", word), node="a")], lambda _: False))

    ask(b"connects")
    count = 0
    for number in range(ROUNDS):
        try:
            interrupt(chance.uniform(1e-6, 4e-4))
            ask(b"interrupted %d" % number)
            interrupt(0)
        except Interrupted:
            count += 1
        assert ask(b"%d" % number) == [b"%d" % number]
    assert count > ROUNDS / 20, "hardly any was interrupted"
    driver.close()
