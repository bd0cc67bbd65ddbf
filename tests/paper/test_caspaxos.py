"""What "CASPaxos: Replicated State Machines without logs" (Rystsov, 2018) promises, section by section.

Where we leave the paper, `docs/divergence.md` says why.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from taskmesh.consensus.reconfigure import completed, reconfigure
from taskmesh.consensus.registers import NOTHING, Delete, Keep, Operation, Refuse, Write
from taskmesh.errors import VersionConflict
from tests.simulation.agreement.stage import Stage, append


@pytest.fixture
def stage() -> Stage:
    return Stage("abc", "def")


class Test2_1TheAlgorithm:  # noqa: N801
    """A client submits a function; the register goes from f(old) to f(new)."""

    def test_a_function_of_what_is_there_is_applied(self, stage: Stage) -> None:
        stage.append(b"1", "abc")
        doubled = stage.registers().change(
            "r", lambda found: Write((found.content or b"") * 2), Operation(b"a2")
        )
        assert stage.talk(doubled).end("abc").content == b" 1 1"

    def test_the_identity_reads(self, stage: Stage) -> None:
        stage.append(b"1", "abc")
        read = stage.talk(stage.registers().change("r", lambda _: Keep(), Operation(b""))).end("abc")
        assert (read.version, read.content) == (1, b" 1")

    def test_empty_goes_to_a_first_value_and_others_see_that_one(self, stage: Stage) -> None:
        """With the function "if it is empty, this, else as it is" it is a write-once register, as in Synod."""

        def once(word: bytes) -> object:
            return lambda found: Keep() if found.content is not None else Write(word)

        first = stage.registers().change("r", once(b"first"), Operation(b"a1"))  # type: ignore[arg-type]
        second = stage.registers().change("r", once(b"second"), Operation(b"a2"))  # type: ignore[arg-type]
        assert stage.talk(first).end("abc").content == b"first"
        assert stage.talk(second).end("abc").content == b"first"

    def test_compare_and_set(self, stage: Stage) -> None:
        stage.append(b"1", "abc")
        registers = stage.registers()
        assert stage.talk(registers.compare_and_set("r", b"2", 1, Operation(b"a2"))).end("abc").version == 2
        with pytest.raises(VersionConflict):
            stage.talk(registers.compare_and_set("r", b"3", 1, Operation(b"a3"))).end("abc")

    def test_a_conflict_makes_a_proposer_jump_ahead(self, stage: Stage) -> None:
        """One answer is enough to come from the first number to one that is high enough."""
        for at in range(20):
            stage.append(b"%d" % at, "abc")
        late = stage.talk(stage.registers().change("r", append(b"x"), Operation(b"ax")))
        rounds = 0
        while not late.ended:
            rounds += late.script == "prepare"
            late.heard("abc")
        assert rounds <= 2

    def test_of_two_acknowledged_changes_one_descends_from_the_other(self, stage: Stage) -> None:
        """The paper's theorem, in appendix A; the simulation checks it as A2."""
        contents = [
            stage.append(b"%d" % at, majority).content
            for at, majority in enumerate(("ab", "bc", "ac", "abc"))
        ]
        assert all(later.startswith(earlier) for earlier, later in pairwise(contents))


class Test2_2Optimizations:  # noqa: N801
    def test_2_2_1_one_round_trip_while_the_same_proposer_stays(self, stage: Stage) -> None:
        registers = stage.registers()
        stage.talk(registers.change("r", append(b"1"), Operation(b"a1"), sticky=True)).end("abc")
        second = stage.talk(registers.change("r", append(b"2"), Operation(b"a2"), sticky=True))
        assert second.script == "accept"
        second.heard("abc")
        assert second.ended

    def test_2_2_1_it_is_lost_to_whoever_comes_between(self, stage: Stage) -> None:
        registers = stage.registers()
        stage.talk(registers.change("r", append(b"1"), Operation(b"a1"), sticky=True)).end("abc")
        stage.append(b"between", "abc")
        second = stage.talk(registers.change("r", append(b"2"), Operation(b"a2"), sticky=True))
        assert second.end("abc").content == b" 1 between 2"


class Test2_3ClusterMembershipChange:  # noqa: N801
    """The paper changes the quorums of all proposers, one after the other. Here acceptors know their configuration."""

    @pytest.mark.parametrize("members", ["abcde", "abd", "def", "d"])
    def test_acceptors_are_added_and_removed(self, stage: Stage, members: str) -> None:
        stage.append(b"1", "abc")
        new = [stage.member(each) for each in members]
        configuration = stage.talk(reconfigure(stage.registers(), new, Operation(b"m"))).end("abcdef")
        assert {member.address for member in configuration.members} == set(members)
        assert stage.append(b"2").content == b" 1 2"

    def test_a_proposer_that_was_told_nothing_finds_its_way(self, stage: Stage) -> None:
        """The paper has to reach every proposer; here each producer and worker is one."""
        stage.append(b"1", "abc")
        old = stage.registers()
        stage.talk(old.read("r")).end("abc")
        new = [stage.member(each) for each in "def"]
        stage.talk(reconfigure(stage.registers(), new, Operation(b"m"))).end("abcdef")
        assert stage.talk(old.change("r", append(b"2"), Operation(b"a2"))).end("abcdef").content == b" 1 2"
        assert stage.talk(completed(old)).end("def").number == 2


class Test3_1Deletion:  # noqa: N801
    """The paper writes an empty value, and then removes the register from each acceptor, step by step."""

    def test_a_deleted_register_is_not_there(self, stage: Stage) -> None:
        stage.append(b"1", "abc")
        stage.talk(stage.registers().change("r", lambda _: Delete(), Operation(b"d1"))).end("abc")
        assert stage.read("abc") is None
        assert stage.append(b"2", "abc").content == b" 2"

    def test_it_takes_no_memory_after_the_next_configuration(self, stage: Stage) -> None:
        """Nobody removes it one by one: it is left behind."""
        stage.append(b"1", "abc")
        stage.talk(stage.registers().delete("r", Operation(b"d1"))).end("abc")
        new = [stage.member(each) for each in "def"]
        registers = stage.registers()
        stage.talk(reconfigure(registers, new, Operation(b"m"))).end("abcdef")
        assert all(b"r" not in stage.acceptors[each].configurations[2].registers for each in "def")
        assert stage.talk(registers.read("r")).end("def") == NOTHING

    def test_a_late_message_does_not_bring_it_back(self, stage: Stage) -> None:
        late = stage.talk(stage.registers().change("r", append(b"late"), Operation(b"alate"))).until(
            "accept", "abc"
        )
        calls = late.on_the_way()
        stage.append(b"1", "abc")
        stage.talk(stage.registers().delete("r", Operation(b"d1"))).end("abc")
        new = [stage.member(each) for each in "abd"]
        stage.talk(reconfigure(stage.registers(), new, Operation(b"m"))).end("abcd")
        assert [stage.deliver(call)[0] for call in calls] == [b"SEALED"] * 3
        assert stage.read("abd") is None


def test_a_refused_change_leaves_what_was_there() -> None:
    """The paper's proposer returns an error to its client; what it found it has chosen all the same."""
    stage = Stage("abc")
    stage.append(b"1")
    refusing = stage.registers().change("r", lambda _: Refuse(ValueError("not so")), Operation(b"x"))
    with pytest.raises(ValueError, match="not so"):
        stage.talk(refusing).end("abc")
    assert stage.read() == b" 1"
