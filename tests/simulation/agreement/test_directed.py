"""Schedules in which one rule matters, and what else of the registers shows best step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.ballot import N_MAX, NONE, Ballot
from taskmesh.consensus.founding import found
from taskmesh.consensus.listing import anew, changes, names
from taskmesh.consensus.reconfigure import completed, drop_previous, reconfigure
from taskmesh.consensus.registers import (
    NOTHING,
    Changed,
    Delete,
    Keep,
    Operation,
    Refuse,
    Registers,
    Versioned,
    Write,
)
from taskmesh.errors import AgreementError, ChangeUnknown, NoMajority, UsageError, VersionConflict
from tests.simulation.agreement import directed
from tests.simulation.agreement.stage import PREFIX, Stage, append

SCHEDULES = [
    directed.nothing_done_is_told_only_when_it_is_sure,
    directed.what_is_taken_over_meanwhile_is_not_missed,
    directed.two_who_take_over_do_not_differ,
    directed.what_was_deleted_stays_so,
    directed.what_was_dropped_is_not_taken_for_nothing,
    directed.one_that_forgot_does_not_vote_again,
    directed.a_change_does_not_happen_twice,
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.__name__)
def test_schedule(schedule: Callable[[type[Acceptor]], None]) -> None:
    schedule(Acceptor)


@pytest.fixture
def stage() -> Stage:
    return Stage("abc", "def")


def change(stage: Stage, registers: Registers, verdict: object, *, sticky: bool = False) -> Changed:
    operation = Operation(b"%d" % stage.random.getrandbits(60))
    steps = registers.change("r", lambda _: verdict, operation, sticky=sticky)  # type: ignore[arg-type, return-value]
    result: Changed = stage.talk(steps).end("abc")
    return result


# -- reading and changing -------------------------------------------------------------------


def test_a_register_is_written_read_and_deleted(stage: Stage) -> None:
    registers = stage.registers()
    assert stage.talk(registers.read("r")).end("abc") == NOTHING == Versioned(0, None)
    assert change(stage, registers, Write(b"x", b"wrote")) == Changed(1, b"x", b"wrote")
    assert change(stage, registers, Keep(b"kept")) == Changed(1, b"x", b"kept")
    assert stage.talk(registers.read("r")).end("abc") == Versioned(1, b"x")
    assert change(stage, registers, Delete(b"gone")) == Changed(2, None, b"gone")
    # that it was, nobody needs to know: versions go on all the same
    assert stage.talk(registers.read("r")).end("abc") == NOTHING
    assert change(stage, registers, Write(b"y")).version == 3


def test_a_version_is_compared(stage: Stage) -> None:
    registers = stage.registers()
    end = lambda steps: stage.talk(steps).end("abc")  # noqa: E731
    assert end(registers.compare_and_set("r", b"x", 0, Operation(b"1"))).version == 1
    with pytest.raises(VersionConflict, match="register r is at version 1, not at version 0") as caught:
        end(registers.compare_and_set("r", b"y", 0, Operation(b"2")))
    assert caught.value.version == 1
    with pytest.raises(VersionConflict):
        end(registers.delete("r", Operation(b"3"), if_version=7))
    end(registers.delete("r", Operation(b"4"), if_version=1))
    with pytest.raises(VersionConflict, match="is not there"):
        end(registers.compare_and_set("r", b"y", 1, Operation(b"5")))
    # what was deleted can be made again by who knows only that it is not there
    assert end(registers.compare_and_set("r", b"y", 0, Operation(b"6"))).version == 3
    assert end(registers.delete("none", Operation(b"7"))) == Changed(0, None, b"")


def test_an_error_of_the_change_is_raised_when_it_is_sure(stage: Stage) -> None:
    with pytest.raises(UsageError, match="no"):
        change(stage, stage.registers(), Refuse(UsageError("no")))


def test_an_operation_that_is_repeated_is_done_once(stage: Stage) -> None:
    """By whichever process, and answered as before."""
    operation = Operation(b"once")
    lost = stage.talk(stage.registers().change("r", lambda _: Write(b"1", b"did"), operation))
    lost.until("accept", "abc")
    lost.heard("", reaches="abc")
    stage.append(b"2", "abc")
    again = stage.registers().change("r", lambda _: Write(b"never"), Operation(b"once"))
    assert stage.talk(again).end("abc") == Changed(1, b"1 2", b"did")


def test_what_was_sent_too_long_ago_is_not_guessed(stage: Stage) -> None:
    operation = Operation(b"old")
    lost = stage.talk(stage.registers().change("r", append(b"old"), operation))
    lost.until("accept", "abc")
    for at in range(32):
        stage.append(b"%d" % at, "abc")
    with pytest.raises(ChangeUnknown, match="no longer remembered"):
        lost.heard("").end("abc")


def test_who_is_overtaken_often_is_not_told_that_nobody_remembers(stage: Stage) -> None:
    """Each time it finds a chosen value without its change, it knows that what it sent before is dead."""
    lost = stage.talk(stage.registers().change("r", append(b"slow"), Operation(b"slow")))
    for round_ in range(4):
        lost.until("accept", "abc")
        for at in range(20):
            stage.append(b"%d.%d" % (round_, at), "abc")
        lost.heard("abc")
    lost.end("abc")
    assert (stage.read("abc") or b"").endswith(b" slow")


def test_a_read_costs_no_write_where_all_agree(stage: Stage) -> None:
    stage.append(b"x", "abc")
    before = [acceptor.count for acceptor in stage.acceptors.values()]
    assert stage.read("abc") == b" x"
    assert [acceptor.count for acceptor in stage.acceptors.values()] == before


def test_the_next_change_of_the_same_process_takes_one_phase(stage: Stage) -> None:
    registers = stage.registers()
    change(stage, registers, Write(b"1"), sticky=True)
    talk = stage.talk(registers.change("r", append(b"2"), Operation(b"2"), sticky=True))
    assert talk.script == "accept"
    assert talk.end("abc").content == b"1 2"
    stage.append(b"other", "abc")
    # overtaken: it begins again, and finds what is there
    talk = stage.talk(registers.change("r", append(b"3"), Operation(b"3"), sticky=True))
    assert talk.end("abc").content == b"1 2 other 3"


def test_a_held_promise_is_asked_for_whether_it_holds(stage: Stage) -> None:
    """A leader that only looks must not be told that it is still the leader."""
    registers = stage.registers()
    change(stage, registers, Write(b"mine"), sticky=True)
    stage.talk(stage.registers().change("r", lambda _: Write(b"theirs"), Operation(b"t"))).end("abc")
    assert change(stage, registers, Keep(), sticky=True).content == b"theirs"


# -- failures -------------------------------------------------------------------------------


def test_nothing_sent_is_certainly_nothing_done(stage: Stage) -> None:
    registers = stage.registers()
    stage.talk(registers.read("r")).end("abc")
    registers.patience_s = 0.0
    with pytest.raises(NoMajority, match=r"no majority of the acceptors agreed within 0 s: b: silent"):
        stage.talk(registers.change("r", append(b"x"), Operation(b"x"))).heard("a")


def test_what_was_sent_is_not_said_to_be_not_done(stage: Stage) -> None:
    """Also where afterwards no configuration can be found."""
    registers = stage.registers()
    registers.patience_s = 0.0
    talk = stage.talk(registers.change("r", append(b"x"), Operation(b"x")))
    talk.until("accept", "abc")
    for address in "abc":
        instance = stage.acceptors[address].instance
        stage.acceptors[address].seal(instance, 1)
    with pytest.raises(ChangeUnknown, match="read what is there before you say it again"):
        talk.heard("abc").heard("")


def test_a_register_far_ahead_does_not_spoil_the_others(stage: Stage) -> None:
    for address in "abc":
        acceptor = stage.acceptors[address]
        acceptor.prepare(acceptor.instance, 1, b"wild", Ballot(2**32, 1))
        acceptor.prepare(acceptor.instance, 1, b"wild", Ballot(2**33, 1))
    registers = stage.registers()
    wild = registers.change("wild", append(b"x"), Operation(b"x"))
    assert stage.talk(wild).end("abc").version == 1
    assert stage.talk(registers.change("tame", append(b"y"), Operation(b"y"))).end("abc").version == 1


def test_no_ballot_is_left(stage: Stage) -> None:
    registers = stage.registers()
    registers._n = N_MAX
    with pytest.raises(AgreementError, match="no ballot is left"):
        stage.talk(registers.change("r", append(b"x"), Operation(b"x"))).end("abc")


# -- listing --------------------------------------------------------------------------------


def test_names_are_those_that_exist(stage: Stage) -> None:
    registers = stage.registers()
    for name in ("a/1", "a/2", "b/1", "a/3"):
        stage.talk(registers.change(name, append(b"x"), Operation(name.encode()))).end("abc")
    stage.talk(registers.delete("a/2", Operation(b"d"))).end("abc")
    assert stage.talk(names(registers, "a/")).end("abc") == ["a/1", "a/3"]
    assert stage.talk(names(registers, "")).end("bc") == ["a/1", "a/3", "b/1"]


def test_changes_are_told_whichever_majority_is_asked(stage: Stage) -> None:
    registers = stage.registers()
    stage.append(b"x", "ab")
    told, since = stage.talk(changes(registers, {})).end("bc")
    assert told == {"r"}
    told, since = stage.talk(changes(registers, since)).end("bc")
    assert told == set()
    stage.talk(registers.change("s", append(b"y"), Operation(b"y"))).end("ab")
    told, since = stage.talk(changes(registers, since)).end("bc")
    assert told == {"s"}


def test_what_was_left_behind_is_known_by_a_new_beginning(stage: Stage) -> None:
    registers = stage.registers()
    stage.append(b"x", "abc")
    _, since = stage.talk(changes(registers, {})).end("abc")
    stage.talk(registers.delete("r", Operation(b"d"))).end("abc")
    stage.talk(reconfigure(registers, [stage.member(each) for each in "def"], Operation(b"m"))).end("abcdef")
    told, until = stage.talk(changes(registers, since)).end("def")
    assert told == set()
    assert anew(since, until)
    assert not anew({}, until)
    assert not anew(until, until)


# -- other acceptors ------------------------------------------------------------------------


def test_new_acceptors_that_are_not_there_are_not_decided_for(stage: Stage) -> None:
    """Once decided for, there is no way back."""
    stage.append(b"x", "abc")
    members = [stage.member(each) for each in "def"]
    with pytest.raises(NoMajority, match=r"1 of 3 new acceptors are there, and 2 must be: missing are .*@e"):
        stage.talk(reconfigure(stage.registers(), members, Operation(b"m"))).end("abcd")
    stage.append(b"y", "abc")
    assert stage.read("abc") == b" x y"


def test_a_move_that_is_repeated_is_made_once(stage: Stage) -> None:
    """Also when others have moved on in the meantime."""
    registers, operation = stage.registers(), Operation(b"m")
    members = [stage.member(each) for each in "def"]
    first = stage.talk(reconfigure(registers, members, operation)).end("abcdef")
    assert first.number == 2
    assert stage.talk(reconfigure(stage.registers(), members, Operation(b"m"))).end("abcdef") == first
    back = [stage.member(each) for each in "abc"]
    second = stage.talk(reconfigure(stage.registers(), back, Operation(b"n"))).end("abcdef")
    assert second.number == 3
    assert stage.talk(reconfigure(stage.registers(), members, Operation(b"m"))).end("abcdef") == second


@pytest.mark.parametrize("steps", range(1, 14))
def test_a_move_is_finished_by_whoever_comes(stage: Stage, steps: int) -> None:
    """Wherever it was left."""
    stage.append(b"x", "abc")
    members = [stage.member(each) for each in "def"]
    left = stage.talk(reconfigure(stage.registers(), members, Operation(b"m")))
    for _ in range(steps):
        if not left.ended:
            left.heard("abcdef")
    stage.append(b"y")
    assert stage.read() == b" x y"
    if left.ended or stage.acceptors["a"].configurations[1].sealed:
        assert stage.talk(completed(stage.registers())).end("abcdef").number == 2


def test_a_configuration_that_is_open_at_one_member_only_is_gone_to(stage: Stage) -> None:
    """Whoever opened it stopped there; the one before is not even sealed."""
    stage.append(b"x", "abc")
    left = stage.talk(reconfigure(stage.registers(), [stage.member(each) for each in "def"], Operation(b"m")))
    left.until("accept", "abcdef").heard("abcdef")
    assert left.script == "init"
    for call in left.on_the_way()[:1]:
        stage.deliver(call)
    assert stage.acceptors["d"].latest == 2
    come = stage.registers()
    come.chain.addresses.append("d")
    assert stage.talk(come.read("r")).end("abdef").content == b" x"
    assert stage.read() == b" x"


def test_who_was_left_behind_in_a_configuration_that_was_not_complete_goes_on(stage: Stage) -> None:
    """It can take over nothing any more: that was done by others, who went on."""
    stage.append(b"x", "abc")
    moving = stage.talk(
        reconfigure(stage.registers(), [stage.member(each) for each in "def"], Operation(b"m"))
    )
    moving.until("export", "abcdef")
    left = stage.registers()
    stage.talk(left.chain.follow()).end("abcdef")
    moving.end("abcdef")
    operator = stage.registers()
    stage.talk(drop_previous(operator)).end("abcdef")
    stage.talk(reconfigure(operator, [stage.member(each) for each in "abc"], Operation(b"n"))).end("abcdef")
    assert stage.talk(completed(left)).end("abcdef").number == 3


def test_many_registers_are_taken_over_in_few_rounds(stage: Stage) -> None:
    """More than `end` has patience for, if each took a round; what one round must not carry is split."""
    registers = stage.registers()
    names = [f"r{at}" for at in range(250)]
    for at, name in enumerate(names):
        content = b"x" * (40_000 if at % 50 == 0 else 100)
        stage.talk(
            registers.change(name, lambda _, content=content: Write(content), Operation(name.encode()))
        ).end("abc")
    members = [stage.member(each) for each in "def"]
    stage.talk(reconfigure(stage.registers(), members, Operation(b"m"))).end("abcdef")
    found = stage.talk(stage.registers().read_many(names)).end("abcdef")
    assert {len(each.content or b"") for each in found.values()} == {100, 40_000}
    assert all(stage.acceptors["d"].configurations[2].registers[name.encode()].value for name in names)


def test_one_that_somebody_else_is_about_to_change_is_taken_over_alone(stage: Stage) -> None:
    """It stands against the promise that is asked for with many; the others do not mind."""
    registers = stage.registers()
    for name in ("r", "s"):
        stage.talk(registers.change(name, append(b"x"), Operation(name.encode()))).end("abc")
    members = [stage.member(each) for each in "def"]
    moving = stage.talk(reconfigure(stage.registers(), members, Operation(b"m")))
    moving.until("accept", "abcdef", b"r")
    assert moving.script == "accept_all"
    for address in "def":
        acceptor = stage.acceptors[address]
        assert acceptor.prepare(acceptor.instance, 2, b"r", Ballot(1000, 1))[0] == b"PROMISED"
    moving.heard("abcdef")
    accepted = {
        name: each.accepted for name, each in stage.acceptors["d"].configurations[2].registers.items()
    }
    assert accepted[b"r"] == NONE < accepted[b"s"]
    moving.end("abcdef")
    assert stage.read() == b" x"
    assert stage.acceptors["d"].configurations[2].registers[b"r"].accepted > Ballot(1000, 1)


def test_where_acceptors_were_is_forgotten_when_all_is_taken_over(stage: Stage) -> None:
    registers = stage.registers()
    for members in ("def", "dea"):
        there = [stage.member(each) for each in members]
        stage.talk(reconfigure(registers, there, Operation(members.encode()))).end("abcdef")
        assert sorted(registers.chain.addresses) == sorted(members)
        assert sorted(registers.chain.places()) == sorted(members)
    late = stage.registers()
    moving = stage.talk(reconfigure(registers, [stage.member(each) for each in "bcf"], Operation(b"n")))
    moving.until("export", "abcdef")
    stage.talk(late.read("r")).end("abcdef")
    # what was not taken over yet is still needed
    assert set(late.chain.places()) == set("abcdef")


def test_the_first_configuration_is_not_made_while_an_acceptor_is_started_anew() -> None:
    stage = Stage("abc")
    stage.acceptors = {address: Acceptor(b"run of " + address.encode()) for address in "abc"}
    new = iter(["one", "two", "three"])
    founding = stage.talk(found(PREFIX, ["a", "b", "c"], lambda: next(new), lambda _: ""))
    founding.heard("abc")
    stage.acceptors["c"].run = b"another run"
    with pytest.raises(NoMajority, match="begin again"):
        founding.end("abc")
    assert all(acceptor.latest == 0 for acceptor in stage.acceptors.values())


def test_what_is_behind_can_be_dropped(stage: Stage) -> None:
    stage.append(b"x", "abc")
    registers = stage.registers()
    stage.talk(reconfigure(registers, [stage.member(each) for each in "abd"], Operation(b"m"))).end("abcd")
    assert stage.talk(drop_previous(registers)).end("abcd") == 3
    assert stage.acceptors["c"].configurations[1].registers == {}
    assert stage.read("abd") == b" x"
