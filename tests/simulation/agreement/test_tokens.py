"""Tokens, drawn from a register that others change all the time."""

from __future__ import annotations

import pytest

from taskmesh.consensus.registers import OPERATIONS_MAX, Operation
from taskmesh.coordination.means import Means
from taskmesh.coordination.token import next_token
from taskmesh.errors import ChangeUnknown
from tests.simulation.agreement.stage import Stage


def means(stage: Stage) -> Means:
    """Return what another process brings along."""
    return Means(
        stage.registers(),
        lambda: Operation(b"%d" % stage.random.getrandbits(60)),
        lambda: stage.now_s,
        stage.random,
    )


def test_who_is_overtaken_more_often_than_is_remembered_draws_another() -> None:
    """Whether the first one was drawn nobody knows any more, and it does not matter."""
    stage = Stage("abc")
    others = means(stage)
    drawing = stage.talk(next_token(means(stage))).until("accept", "abc")
    drawing.heard("", reaches="a")
    for _ in range(OPERATIONS_MAX + 8):
        last = stage.talk(next_token(others)).end("abc")
    assert drawing.end("abc") == last + 1


def test_it_is_said_when_none_can_be_drawn() -> None:
    stage = Stage("abc")
    own = means(stage)
    drawing = stage.talk(next_token(own))
    drawing.until("accept", "abc")
    stage.now_s += own.registers.patience_s
    # it is tried once more, with a wish of its own
    drawing.heard("").until("accept", "abc")
    stage.now_s += own.registers.patience_s
    with pytest.raises(ChangeUnknown):
        drawing.heard("")
