"""Operations that were on their way when their configuration ended, and whose register was not taken over."""

from __future__ import annotations

from typing import Any

import pytest

from taskmesh.consensus.reconfigure import drop_previous, reconfigure
from taskmesh.consensus.registers import Delete, Keep, Operation, Registers, Verdict, Versioned, Write
from taskmesh.errors import ChangeUnknown
from tests.simulation.agreement.stage import Stage, append

ALL = "abc"


@pytest.fixture
def stage() -> Stage:
    return Stage(ALL)


def remove(found: Versioned) -> Verdict:
    """Delete the register; say whether it was there."""
    return Keep(b"nothing") if found.content is None else Delete(b"deleted")


class Sender:
    """One whose change is sent, and who hears of it only when all is over."""

    def __init__(self, stage: Stage, change: Any, reaches: str, heard: str = "") -> None:
        self.stage, self.change = stage, change
        self.registers = stage.registers()
        self.operation = Operation(b"lost %d" % stage.random.getrandbits(40))
        talk = stage.talk(self.registers.change("r", change, self.operation)).until("accept", heard or ALL)
        stage.now_s += self.registers.patience_s
        with pytest.raises(ChangeUnknown, match="done or not: "):
            talk.heard("", reaches=reaches)

    def again(self, heard: str = ALL) -> Any:
        """Repeat it."""
        return self.stage.talk(self.registers.change("r", self.change, self.operation)).end(heard)


def move(stage: Stage, heard: str = ALL, *, word: bytes = b"m") -> Registers:
    """Go over to another configuration of the same acceptors; each of them hears that the one before has ended."""
    registers = stage.registers()
    members = stage.configuration().members
    moving = stage.talk(reconfigure(registers, members, Operation(word))).until("seal", heard)
    moving.heard(heard, reaches=ALL).end(heard)
    return registers


def test_what_reached_nobody_is_done_now(stage: Stage) -> None:
    """Of a register that never was."""
    sender = Sender(stage, append(b"x"), reaches="")
    move(stage)
    assert sender.again().content == b" x"
    assert stage.read(ALL) == b" x"


def test_what_reached_one_that_was_not_asked_is_done_once(stage: Stage) -> None:
    """The acceptor that knows of it was silent when all was taken over, and tells of it when it is asked again."""
    sender = Sender(stage, append(b"x"), reaches="a")
    move(stage, "bc")
    assert sender.again().content == b" x"
    assert stage.read(ALL) == b" x"


def test_what_was_taken_over_is_known(stage: Stage) -> None:
    sender = Sender(stage, append(b"x"), reaches="a")
    move(stage, "ab")
    assert sender.again().content == b" x"


def test_a_deletion_that_was_done_is_told_with_its_answer(stage: Stage) -> None:
    stage.append(b"x", ALL)
    sender = Sender(stage, remove, reaches=ALL)
    move(stage)
    told = sender.again()
    assert (told.content, told.answer) == (None, b"deleted")


def test_so_it_is_where_the_register_is_written_anew_already(stage: Stage) -> None:
    """It must not delete what came after it."""
    stage.append(b"x", ALL)
    sender = Sender(stage, remove, reaches=ALL)
    move(stage)
    stage.append(b"new", ALL)
    assert sender.again().answer == b"deleted"
    assert stage.read(ALL) == b" new"


def test_a_write_that_others_deleted_is_not_done_again(stage: Stage) -> None:
    sender = Sender(stage, append(b"x"), reaches=ALL)
    stage.talk(stage.registers().delete("r", Operation(b"d"))).end(ALL)
    move(stage)
    assert sender.again().answer == b""
    assert stage.read(ALL) is None


def test_what_found_a_deleted_register_and_reached_nobody_is_done_now(stage: Stage) -> None:
    stage.append(b"x", ALL)
    stage.talk(stage.registers().delete("r", Operation(b"d"))).end(ALL)
    sender = Sender(stage, append(b"y"), reaches="")
    move(stage)
    assert sender.again().content == b" y"
    assert stage.read(ALL) == b" y"


def test_what_is_dropped_is_not_guessed(stage: Stage) -> None:
    sender = Sender(stage, append(b"x"), reaches=ALL)
    stage.talk(stage.registers().delete("r", Operation(b"d"))).end(ALL)
    stage.talk(drop_previous(move(stage))).end(ALL)
    with pytest.raises(ChangeUnknown, match="no longer remembered"):
        sender.again()
    assert stage.read(ALL) is None


def test_what_was_sent_two_configurations_ago_is_not_guessed(stage: Stage) -> None:
    """The one before knows nothing of it."""
    sender = Sender(stage, append(b"x"), reaches=ALL)
    stage.talk(stage.registers().delete("r", Operation(b"d"))).end(ALL)
    move(stage)
    move(stage, word=b"n")
    with pytest.raises(ChangeUnknown, match="no longer remembered"):
        sender.again()
    assert stage.read(ALL) is None


def test_a_deletion_that_only_some_heard_of_is_not_said_to_be_done(stage: Stage) -> None:
    """What it deleted was not sure to be there either."""
    Sender(stage, append(b"x"), reaches="a")
    deleting = Sender(stage, remove, reaches="a", heard="ab")
    move(stage, "bc")
    with pytest.raises(ChangeUnknown, match="no longer remembered"):
        deleting.again()


def test_more_than_is_remembered_is_not_guessed(stage: Stage) -> None:
    sender = Sender(stage, append(b"x"), reaches="")
    for at in range(40):
        stage.append(b"%d" % at, ALL)
    stage.talk(stage.registers().delete("r", Operation(b"d"))).end(ALL)
    move(stage)
    with pytest.raises(ChangeUnknown, match="no longer remembered"):
        sender.again()


def test_one_that_goes_on_is_still_not_known_to_be_done_or_not(stage: Stage) -> None:
    """What reached one acceptor before may be taken over late by somebody who has slept."""
    sender = Sender(stage, append(b"x"), reaches="a")
    move(stage, "bc")
    talk = stage.talk(sender.registers.change("r", sender.change, sender.operation)).until("accept", "ab")
    stage.now_s += sender.registers.patience_s
    with pytest.raises(ChangeUnknown, match="done or not: "):
        talk.heard("")


def test_whoever_finds_nothing_to_do_any_more_makes_sure_of_it(stage: Stage) -> None:
    """Else what reached one acceptor before could be taken over after it was said that nothing was done."""
    tries: list[int] = []

    def only_at_first(found: Versioned) -> Verdict:
        tries.append(found.version)
        return Write(b"x") if len(tries) == 1 else Keep(b"too late")

    sender = Sender(stage, only_at_first, reaches="a")
    move(stage, "bc")
    assert sender.again().answer == b"too late"
    assert all(each.configurations[2].registers[b"r"].value for each in stage.acceptors.values())


def test_what_is_taken_over_late_is_compared_with_the_first_time() -> None:
    operation = Operation(b"o")
    operation.sent(3, chosen=True)
    operation.outlives(2**32)
    operation.outlives(2**33)
    assert operation.certainly_before(2**33 + 1) == 2**33
    assert operation.certainly_before(40) == 3
