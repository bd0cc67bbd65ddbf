"""What was deleted is left behind while acceptors stay the same."""

from __future__ import annotations

import pytest

from taskmesh.consensus.compaction import Compaction
from taskmesh.consensus.listing import anew, changes, names
from taskmesh.consensus.reconfigure import reconfigure
from taskmesh.consensus.registers import Operation, Registers, Write
from tests.simulation.agreement.stage import Stage, append

ALL = "abc"


@pytest.fixture
def stage() -> Stage:
    return Stage(ALL)


def fill(stage: Stage, registers: Registers, *, existing: int, deleted: int) -> None:
    """Write registers; remove some again."""
    for at in range(existing + deleted):
        steps = registers.change(
            f"r{at}",
            lambda _, at=at: Write(b"%d" % at),
            Operation(b"w%d" % at),  # type: ignore[misc]
        )
        stage.talk(steps).end(ALL)
        if at >= existing:
            stage.talk(registers.delete(f"r{at}", Operation(b"d%d" % at))).end(ALL)


def kept(stage: Stage) -> list[int]:
    """Return how many registers the first acceptor keeps, by configuration, the root's included."""
    return [len(each.names) for each in stage.acceptors["a"].configurations.values()]


def test_most_are_deleted_and_go(stage: Stage) -> None:
    registers, other = stage.registers(), stage.registers()
    fill(stage, registers, existing=3, deleted=9)
    _, since = stage.talk(changes(other, {})).end(ALL)
    stage.talk(other.read("r0")).end(ALL)
    changed = stage.talk(Compaction(10).turn(registers, Operation(b"c"))).end(ALL)
    assert changed.number == 2
    assert changed.members == stage.configuration().members
    # of this there are those that exist, and its root
    assert kept(stage)[1] == 4
    # whoever knows nothing of it reads, lists and writes as before
    assert stage.talk(names(other, "r")).end(ALL) == ["r0", "r1", "r2"]
    _, until = stage.talk(changes(other, since)).end(ALL)
    assert anew(since, until)
    assert stage.talk(other.read("r1")).end(ALL).content == b"1"
    assert stage.talk(other.change("r5", append(b"x"), Operation(b"x"))).end(ALL).content == b" x"


def test_what_is_behind_is_dropped_later(stage: Stage) -> None:
    """Not at once: who was changing something meanwhile asks there what became of it."""
    registers, compaction = stage.registers(), Compaction(10)
    fill(stage, registers, existing=3, deleted=9)
    for words, left in ((b"c", 13), (b"d", 0)):
        stage.talk(compaction.turn(registers, Operation(words))).end(ALL)
        assert kept(stage) == [left, 4]


def test_nothing_is_compacted_before_what_is_behind_is_dropped(stage: Stage) -> None:
    """Else nobody would drop it any more."""
    registers = stage.registers()
    fill(stage, registers, existing=1, deleted=9)
    members = stage.configuration().members
    stage.talk(reconfigure(registers, members, Operation(b"m"))).end(ALL)
    fill(stage, registers, existing=1, deleted=9)
    heir, compaction = stage.registers(), Compaction(5)
    assert stage.talk(compaction.turn(heir, Operation(b"1"))).end(ALL) is None
    assert stage.talk(compaction.turn(heir, Operation(b"2"))).end(ALL).number == 3
    stage.talk(compaction.turn(heir, Operation(b"3"))).end(ALL)
    assert kept(stage) == [0, 0, 2]


def test_few_are_left_alone_and_so_are_those_that_exist(stage: Stage) -> None:
    registers = stage.registers()
    fill(stage, registers, existing=6, deleted=5)
    assert stage.talk(Compaction(12).turn(registers, Operation(b"c"))).end(ALL) is None
    compaction = Compaction(10)
    assert stage.talk(compaction.turn(registers, Operation(b"c"))).end(ALL) is None
    # they were counted; until there are twice as many in all, nothing is read
    turn = stage.talk(compaction.turn(registers, Operation(b"c")))
    asked = []
    while not turn.ended:
        asked.append(turn.script)
        turn.heard(ALL)
    assert turn.result is None
    assert "peek" not in asked


def test_nothing_is_done_while_an_acceptor_is_silent(stage: Stage) -> None:
    registers = stage.registers()
    fill(stage, registers, existing=1, deleted=9)
    assert stage.talk(Compaction(5).turn(registers, Operation(b"c"))).end("ab") is None
    assert stage.talk(Compaction(5).turn(registers, Operation(b"c"))).end(ALL).number == 2


@pytest.mark.parametrize("steps", range(1, 30))
def test_whoever_comes_next_finishes_and_tidies(stage: Stage, steps: int) -> None:
    """Wherever the leader that had begun was lost."""
    registers = stage.registers()
    fill(stage, registers, existing=2, deleted=9)
    left = stage.talk(Compaction(10).turn(registers, Operation(b"c")))
    for _ in range(steps):
        if not left.ended:
            left.heard(ALL)
    heir, compaction = stage.registers(), Compaction(10)
    # finished by anybody who looks; seen to by the next leader
    for turn in range(4):
        stage.talk(compaction.turn(heir, Operation(b"h%d" % turn))).end(ALL)
    assert kept(stage) == [0, 3]
    assert stage.talk(names(heir, "r")).end(ALL) == ["r0", "r1"]


def test_another_decision_meanwhile_is_the_one_that_counts() -> None:
    stage = Stage(ALL, "def")
    registers = stage.registers()
    fill(stage, registers, existing=1, deleted=9)
    compacting = stage.talk(Compaction(5).turn(registers, Operation(b"c"))).until("prepare", "abcdef")
    others = [stage.member(each) for each in "def"]
    moved = stage.talk(reconfigure(stage.registers(), others, Operation(b"m"))).end("abcdef")
    assert compacting.end("abcdef") == moved
    assert stage.talk(names(registers, "r")).end("abcdef") == ["r0"]
