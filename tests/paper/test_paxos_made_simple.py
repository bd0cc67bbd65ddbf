"""What "Paxos Made Simple" (Lamport, 2001) promises or asks for, section by section, in the terms of our registers.

Where we leave the paper, `docs/divergence.md` says why.
"""

from __future__ import annotations

import pytest

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.ballot import Ballot
from taskmesh.consensus.registers import Keep, Operation
from taskmesh.errors import ChangeUnknown, NoMajority
from tests.simulation.agreement.stage import Stage, append

VALUE = (b"digest of v", b"v")


@pytest.fixture
def stage() -> Stage:
    return Stage("abc")


@pytest.fixture
def acceptor() -> Acceptor:
    """One acceptor of a configuration, alone."""
    alone = Acceptor(b"run", b"i", b"run")
    alone.init(b"i", 1, b"i@a|")
    return alone


def prepare(acceptor: Acceptor, n: int) -> bytes:
    return acceptor.prepare(b"i", 1, b"r", Ballot(n, 1))[0]


def accept(acceptor: Acceptor, n: int, digest: bytes, value: bytes) -> bytes:
    return acceptor.accept(b"i", 1, b"r", Ballot(n, 1), digest, value, promise_next=False)[0]


class Test2_1TheProblem:  # noqa: N801
    """Safety, as the section lists it. A register goes from value to value; each is chosen as the paper has it."""

    def test_only_a_value_that_has_been_proposed_may_be_chosen(self, stage: Stage) -> None:
        stage.append(b"proposed")
        assert stage.read() == b" proposed"

    def test_only_a_single_value_is_chosen(self, stage: Stage) -> None:
        """Of two that begin from the same value, one is chosen; the other begins again from that one."""
        one = stage.talk(stage.registers().change("r", append(b"1"), Operation(b"a1"))).until("accept", "abc")
        other = stage.talk(stage.registers().change("r", append(b"2"), Operation(b"a2"))).until(
            "accept", "abc"
        )
        assert other.end("abc").content == b" 2"
        assert one.end("abc").content == b" 2 1"

    def test_nobody_learns_that_a_value_is_chosen_unless_it_is(self, stage: Stage) -> None:
        """A value that one acceptor has accepted is chosen before it is told, or not told."""
        talk = stage.talk(stage.registers().change("r", append(b"x"), Operation(b"ax"))).until(
            "accept", "abc"
        )
        talk.heard("", reaches="a")
        assert stage.read("ab") == b" x"
        assert [stage.acceptors[each].configurations[1].registers[b"r"].value != b"" for each in "ab"] == [
            True,
            True,
        ]


class Test2_2ChoosingAValue:  # noqa: N801
    """P1 and P2, which each say what an acceptor or a proposer must do."""

    def test_p1_an_acceptor_must_accept_the_first_proposal_that_it_receives(self, acceptor: Acceptor) -> None:
        assert accept(acceptor, 1, *VALUE) == b"ACCEPTED"

    def test_p1a_it_accepts_a_proposal_unless_it_has_responded_to_a_higher_prepare(
        self, acceptor: Acceptor
    ) -> None:
        assert prepare(acceptor, 5) == b"PROMISED"
        assert accept(acceptor, 4, *VALUE) == b"CONFLICT"
        assert accept(acceptor, 5, *VALUE) == b"ACCEPTED"

    def test_p2c_a_proposal_has_the_value_of_the_highest_that_a_majority_accepted(self, stage: Stage) -> None:
        """Here: it descends from that value. The lower of two partial ones is given up."""
        low = stage.talk(stage.registers().change("r", append(b"low"), Operation(b"alow"))).until(
            "accept", "ab"
        )
        low.heard("", reaches="a")
        high = stage.talk(stage.registers().change("r", append(b"high"), Operation(b"ahigh"))).until(
            "accept", "bc"
        )
        high.heard("", reaches="c")
        stage.append(b"next", "abc")
        assert stage.read() == b" high next"

    def test_phase_1b_a_prepare_is_answered_with_the_highest_proposal_that_was_accepted(
        self, acceptor: Acceptor
    ) -> None:
        accept(acceptor, 3, b"digest of w", b"w")
        accept(acceptor, 4, *VALUE)
        told = acceptor.prepare(b"i", 1, b"r", Ballot(9, 1))
        assert told == [b"PROMISED", b"4", b"1", *VALUE]

    def test_a_prepare_that_was_answered_by_a_higher_one_is_refused(self, acceptor: Acceptor) -> None:
        """The paper lets an acceptor ignore it; here it is told the higher number, as the section advises."""
        prepare(acceptor, 5)
        assert acceptor.prepare(b"i", 1, b"r", Ballot(3, 1)) == [b"CONFLICT", b"5", b"1"]

    def test_a_proposer_may_abandon_a_proposal_at_any_time(self, stage: Stage) -> None:
        for at in range(5):
            left = stage.talk(stage.registers().change("r", append(b"?"), Operation(b"a%d" % at)))
            for _ in range(at % 3):
                left.heard("a")
        stage.append(b"x", "bc")
        assert (stage.read("bc") or b"").endswith(b" x")


class Test2_3LearningAChosenValue:  # noqa: N801
    """Learners ask acceptors; there is nobody who tells them."""

    def test_a_learner_hears_of_it_from_a_majority(self, stage: Stage) -> None:
        stage.append(b"x", "ab")
        assert stage.read("bc") == b" x"

    def test_whether_it_is_chosen_may_be_impossible_to_know_and_then_a_proposal_finds_out(
        self, stage: Stage
    ) -> None:
        """Accepted by a and b; b has failed. a has it and c has not: only a proposal can tell."""
        stage.append(b"x", "ab")
        reading = stage.talk(stage.registers().read("r")).until("prepare", "ac")
        assert not reading.ended
        assert reading.end("ac").content == b" x"


class Test2_4Progress:  # noqa: N801
    def test_two_proposers_can_keep_each_other_from_it(self, stage: Stage) -> None:
        """Each prepares before the other's accept arrives; pauses of random length end that."""
        one = stage.talk(stage.registers().change("r", append(b"1"), Operation(b"a1")))
        other = stage.talk(stage.registers().change("r", append(b"2"), Operation(b"a2")))
        for _ in range(5):
            one.until("accept", "abc")
            other.until("prepare", "abc").until("accept", "abc")
            one.heard("abc").until("accept", "abc")
            other.heard("abc")
            assert not one.ended
            assert not other.ended
        began_s = stage.now_s
        assert began_s > 0
        assert other.end("abc").content == b" 2"
        assert one.end("abc").content == b" 2 1"

    def test_a_distinguished_proposer_needs_no_more_than_a_majority(self, stage: Stage) -> None:
        registers = stage.registers()
        for at in range(3):
            talk = stage.talk(registers.change("r", append(b"%d" % at), Operation(b"a%d" % at), sticky=True))
            assert talk.end("ab").version == at + 1

    def test_without_a_majority_there_is_none(self, stage: Stage) -> None:
        with pytest.raises(NoMajority):
            stage.append(b"x", "a")


class Test2_5TheImplementation:  # noqa: N801
    def test_an_acceptor_remembers_promise_and_accepted_proposal_over_restarts(
        self, acceptor: Acceptor
    ) -> None:
        """With its disk it is the same; until somebody says that the disk is whole, it is silent."""
        accept(acceptor, 3, *VALUE)
        prepare(acceptor, 9)
        acceptor.run = b"another run"
        assert prepare(acceptor, 10) == b"NOTADMITTED"
        acceptor.admit(b"i", b"run", 3, b"", b"another run")
        assert prepare(acceptor, 9) == b"CONFLICT"
        assert acceptor.peek(b"i", 1, [b"r"]) == [b"ACCEPTED", b"3", b"1", *VALUE]

    def test_no_two_proposals_have_the_same_number(self, stage: Stage) -> None:
        """Not of two proposers, nor of one that has lost its memory: bits are drawn for each."""
        ballots = set()
        for _ in range(200):
            registers = stage.registers()
            ballots.add(registers._next_ballot("r"))
        assert len(ballots) == 200

    def test_an_acceptor_answers_only_after_it_has_remembered(self, stage: Stage) -> None:
        """On a server that is one step: it flushes its file before the answer goes out (`docs/guides`)."""
        talk = stage.talk(stage.registers().change("r", append(b"x"), Operation(b"ax"))).until(
            "accept", "abc"
        )
        talk.heard("", reaches="abc")
        # nobody heard it, and all know it
        assert stage.read() == b" x"


class Test3ImplementingAStateMachine:
    """Each register is one machine; its commands are changes, and there is no log of them."""

    def test_commands_happen_in_one_order_for_all(self, stage: Stage) -> None:
        for at in range(4):
            stage.append(b"%d" % at, "ab" if at % 2 else "bc")
        assert stage.read("ac") == b" 0 1 2 3"

    def test_a_command_that_is_proposed_again_is_one_command(self, stage: Stage) -> None:
        """The paper leaves that to the machine; here the value remembers the last operations."""
        registers = stage.registers()
        registers.patience_s = 0.0
        operation = Operation(b"aonce")
        talk = stage.talk(registers.change("r", append(b"once"), operation)).until("accept", "abc")
        with pytest.raises(ChangeUnknown):
            talk.heard("", reaches="abc")
        assert stage.talk(stage.registers().change("r", append(b"once"), operation)).end("abc").version == 1
        assert stage.read() == b" once"

    def test_phase_1_can_be_done_ahead(self, stage: Stage) -> None:
        """The paper's leader does it for all later instances, this one for its next change of the same register."""
        registers = stage.registers()
        stage.talk(registers.change("r", append(b"1"), Operation(b"a1"), sticky=True)).end("abc")
        assert (
            stage.talk(registers.change("r", append(b"2"), Operation(b"a2"), sticky=True)).script == "accept"
        )

    def test_a_no_op_fills_what_is_undecided(self, stage: Stage) -> None:
        """A change that changes nothing chooses what stands there."""
        left = stage.talk(stage.registers().change("r", append(b"x"), Operation(b"ax"))).until(
            "accept", "abc"
        )
        left.heard("", reaches="a")
        found = stage.talk(stage.registers().change("r", lambda _: Keep(), Operation(b""))).end("ab")
        assert found.content == b" x"
        assert stage.read("bc") == b" x"
