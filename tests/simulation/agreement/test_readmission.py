"""More is lost than acceptors can make good, and operators go on with what is left: in one way, and with all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from random import Random

import pytest

from taskmesh.consensus.admission import Rules
from taskmesh.consensus.configuration import Configuration, read_configuration
from taskmesh.consensus.readmission import readmit
from taskmesh.consensus.reconfigure import completed, reconfigure
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.core.steps import Call
from taskmesh.errors import AgreementError, ChangeRejected, ChangeUnknown, InvariantBroken, NoMajority
from tests.simulation.agreement.stage import Stage, Talk, append


@pytest.fixture
def stage() -> Stage:
    return Stage("abc", "def")


def empty(stage: Stage, *addresses: str) -> None:
    for address in addresses:
        stage.acceptors[address] = type(stage.acceptors[address])(
            b"another run of " + address.encode() + b"%d" % stage.random.getrandbits(30)
        )


def readmitting(stage: Stage, lost: Collection[str] = (), registers: Registers | None = None) -> Talk:
    registers = registers or stage.registers()
    rules = Rules(lambda _: "", stage.packing)
    steps = readmit(
        registers, rules, lambda: f"n{stage.random.getrandbits(60)}", registers.chain.addresses, lost
    )
    return stage.talk(steps)


def opened(stage: Stage, addresses: Collection[str] = "abcdef") -> dict[int, set[bytes]]:
    """Return as what each configuration was opened: one that is safe, each as one."""
    found: dict[int, set[bytes]] = {}
    for address, acceptor in stage.acceptors.items():
        for number, configuration in acceptor.configurations.items():
            if address in addresses:
                found.setdefault(number, set()).add(configuration.members)
    return found


def decide(stage: Stage) -> Talk:
    """Decide to go over to d, e and f, and return the conversation that is about to open it there."""
    members = [stage.member(each) for each in "def"]
    moving = stage.talk(reconfigure(stage.registers(), members, Operation(b"m")))
    moving.until("accept", "abcdef").heard("abcdef")
    assert moving.script == "init"
    assert opened(stage).keys() == {1}
    return moving


def in_force(stage: Stage, answers: str) -> Configuration:
    result: Configuration = stage.talk(completed(stage.registers())).end(answers)
    return result


def test_what_is_left_goes_on(stage: Stage) -> None:
    stage.append(b"x", "abc")
    empty(stage, "b", "c")
    assert readmitting(stage).end("abc") is True
    assert stage.read("abc") == b" x"
    configuration = in_force(stage, "abc")
    # the number between is that of what a majority may have decided for
    assert (configuration.number, [source.number for source in configuration.sources]) == (3, [1])
    stage.append(b"y", "bc")
    assert stage.read("ab") == b" x y"


def test_nothing_is_changed_where_a_majority_is_there(stage: Stage) -> None:
    stage.append(b"x", "abc")
    assert readmitting(stage).end("ab") is True
    assert opened(stage).keys() == {1}
    empty(stage, "a", "b", "c")
    with pytest.raises(AgreementError, match="--lost c"):
        readmitting(stage).end("ab")
    assert readmitting(stage).end("abc") is False


def test_each_that_does_not_answer_is_to_be_named(stage: Stage) -> None:
    with pytest.raises(AgreementError, match="--lost b --lost c"):
        readmitting(stage).end("a")
    assert readmitting(stage, "bc").end("a") is True
    assert [member.address for member in in_force(stage, "a").members] == ["a"]


@pytest.mark.parametrize("steps", range(20))
def test_two_operators_at_once_go_on_in_one_way(steps: int) -> None:
    """They do not agree on who is lost; whoever comes second finds what the first did, wherever that stands."""
    for others_steps in range(20):
        stage = Stage("abcde")
        stage.append(b"x")
        empty(stage, "c")
        one = readmitting(stage, "de")
        advance(one, steps, "abc")
        empty(stage, "d")
        two = readmitting(stage, "e")
        advance(two, others_steps, "abcd")
        # what they had heard may be old by now: who comes too late is told to try again
        advance(one, 40, "abcd")
        advance(two, 40, "abcd")
        assert readmitting(stage, "e").end("abcd") is True
        assert all(len(members) == 1 for members in opened(stage).values()), opened(stage)
        assert stage.read("abcd") == b" x"
        stage.append(b"y", "abcd")
        assert stage.read("abcd") == b" x y"


def advance(talk: Talk, steps: int, answers: str) -> None:
    for _ in range(steps):
        if not talk.ended:
            try:
                talk.heard(answers)
            except (AgreementError, NoMajority):
                return


def test_what_one_decided_who_was_lost_then_does_not_stand_in_the_way() -> None:
    """Who was first decided at one that is gone; what it sent before arrives late, at some that the second needs."""
    for reached in ("cd", "cde"):
        stage = Stage("abcde")
        stage.append(b"x")
        empty(stage, "c", "d", "e")
        one = readmitting(stage).until("init", "abcde")
        one.heard("a")
        two = readmitting(stage, "a").until("init", "bcde")
        two.heard("b")
        for call in one.on_the_way():
            if call.node in reached:
                stage.deliver(call)
        with contextlib.suppress(AgreementError):
            two.end("bcde")
        assert readmitting(stage, "a").end("bcde") is True
        assert stage.read("bcde") == b" x"
        stage.append(b"y", "bcde")
        assert stage.read("bcde") == b" x y"


@pytest.mark.parametrize("seed", range(150))
def test_operators_come_and_go_while_more_is_lost(seed: int) -> None:
    """Whatever they say is true; each may stop at any step. In the end all that is left counts, once."""
    random = Random(seed)
    size = random.choice([3, 5])
    stage = Stage("abcde"[:size])
    stage.append(b"x")
    alive = set(stage.members)
    talks: list[Talk] = []
    late: list[Call] = []
    survivor = random.choice(sorted(alive))
    for _ in range(random.randrange(20, 120)):
        harmed = random.choice(sorted(alive))
        if random.random() < 0.08 and harmed != survivor:
            if random.random() < 0.5:
                alive.discard(harmed)
            else:
                empty(stage, harmed)
        if len(talks) < 3 and random.random() < 0.2:
            talks.append(readmitting(stage, set(stage.members) - alive))
        if not talks:
            continue
        if late and random.random() < 0.2:
            call = late.pop(random.randrange(len(late)))
            if call.node in alive:
                stage.deliver(call)
        talk = random.choice(talks)
        if talk.ended or random.random() < 0.03:
            talks.remove(talk)
            # what it sent before it stopped comes later
            late += [] if talk.ended else talk.on_the_way()
            continue
        try:
            # who is not heard is not the one that is left to the end: what that never heard of may be lost
            silent = random.choice(sorted(alive)) if random.random() < 0.1 else survivor
            talk.heard("".join(sorted(alive - {silent} | {survivor})))
        except (AgreementError, ChangeRejected, ChangeUnknown):
            talks.remove(talk)
    answers = "".join(sorted(alive))
    for _ in range(20):
        # each time somebody may be met who had begun
        try:
            assert readmitting(stage, set(stage.members) - alive).end(answers) is True
            break
        except AgreementError:
            continue
    assert stage.read(answers) == b" x"
    stage.append(b"y", answers)
    assert stage.read(answers) == b" x y"
    texts = opened(stage, alive)
    assert all(len(members) == 1 for members in texts.values()), texts


def test_who_did_not_see_what_another_went_on_with_looks_again(stage: Stage) -> None:
    """One knows of new members that were decided for, and would go on under a higher number than the other did."""
    stage.append(b"x", "abc")
    moving = stage.talk(
        reconfigure(stage.registers(), [stage.member(each) for each in "def"], Operation(b"m"))
    )
    moving.until("accept", "abcdef", b"root").heard("bcdef")
    moving.until("init", "bcdef")
    stage.deliver(moving.on_the_way()[0])
    empty(stage, "b", "c", "e", "f")
    knows = stage.registers()
    knows.chain.addresses.append("d")
    one = readmitting(stage, registers=knows)
    one.until("init", "abcdef")
    assert readmitting(stage).end("abc") is True
    stage.append(b"y", "abc")
    with contextlib.suppress(AgreementError):
        one.end("abcdef")
    assert stage.read() == b" x y"


def test_who_was_decided_for_and_lost_is_passed_over(stage: Stage) -> None:
    """New members were decided for, and most of them are lost before they were opened: there is a way on."""
    stage.append(b"x", "abc")
    decide(stage)
    stage.append(b"y", "abc")
    with pytest.raises(AgreementError, match="--lost e --lost f"):
        readmitting(stage).end("abcd")
    assert readmitting(stage, "ef").end("abcd") is True
    configuration = in_force(stage, "abcd")
    assert [member.address for member in configuration.members] == ["d"]
    assert stage.read("abcd") == b" x y"
    # a move that nothing is in the way of
    back = [stage.member(each) for each in "abc"]
    assert stage.talk(reconfigure(stage.registers(), back, Operation(b"n"))).end("abcd").members == tuple(
        back
    )
    assert stage.read("abcd") == b" x y"


def test_all_who_were_decided_for_are_lost(stage: Stage) -> None:
    stage.append(b"x", "abc")
    moving = decide(stage)
    stage.deliver(moving.on_the_way()[0])
    assert stage.acceptors["d"].latest == 2
    assert readmitting(stage, "def").end("abc") is True
    assert [member.address for member in in_force(stage, "abc").members] == ["a", "b", "c"]
    stage.append(b"y", "abc")
    assert stage.read("abc") == b" x y"


def test_what_was_decided_for_is_gone_to_where_it_is_there(stage: Stage) -> None:
    stage.append(b"x", "abc")
    decide(stage)
    assert readmitting(stage).end("abcdef") is True
    assert [member.address for member in in_force(stage, "abcdef").members] == ["d", "e", "f"]
    assert stage.read() == b" x"


def test_what_was_not_taken_over_yet_is_not_lost(stage: Stage) -> None:
    """Most of the new members are lost while registers are taken over; the old ones still hold what was not."""
    registers = stage.registers()
    for name in ("p", "q", "r"):
        stage.talk(registers.change(name, append(name.encode()), Operation(name.encode()))).end("abc")
    members = [stage.member(each) for each in "def"]
    moving = stage.talk(reconfigure(stage.registers(), members, Operation(b"m")))
    moving.until("accept", "abcdef", b"q")
    # what was taken over already may have been changed since
    changing = stage.registers()
    changing.chain.addresses.append("d")
    stage.talk(changing.change("p", append(b"later"), Operation(b"later"))).end("abcdef")
    empty(stage, "e", "f")
    care = stage.registers()
    care.chain.addresses.append("d")
    assert readmitting(stage, registers=care).end("abcdef") is True
    found = [stage.talk(stage.registers().read(name)).end("abcdef").content for name in ("p", "q", "r")]
    assert found == [b" p later", b" q", b" r"]
    configuration = in_force(stage, "abcdef")
    assert [source.number for source in configuration.sources] == [2, 1]


def test_old_ones_that_are_lost_while_registers_are_taken_over(stage: Stage) -> None:
    """The new ones are all there, and have nobody to take over from any more."""
    registers = stage.registers()
    for name in ("p", "q"):
        stage.talk(registers.change(name, append(name.encode()), Operation(name.encode()))).end("abc")
    members = [stage.member(each) for each in "def"]
    moving = stage.talk(reconfigure(stage.registers(), members, Operation(b"m")))
    moving.until("accept", "abcdef", b"q")
    empty(stage, "a", "b")
    care = stage.registers()
    care.chain.addresses.append("d")
    with pytest.raises(ChangeRejected):
        stage.talk(completed(care)).end("abcdef")
    assert readmitting(stage, registers=care).end("abcdef") is True
    for name in ("p", "q"):
        reading = stage.registers()
        reading.chain.addresses.append("d")
        assert stage.talk(reading.read(name)).end("abcdef").content == b" " + name.encode()


def test_one_that_was_ended_without_a_decision_goes_on(stage: Stage) -> None:
    """An operator's readmission, of those that were said to be lost, stopped there; and then they came back."""
    stage.append(b"x", "abc")
    stage.acceptors["a"].seal(stage.acceptors["a"].instance, 1)
    with pytest.raises(InvariantBroken):
        stage.talk(completed(stage.registers())).end("abc")
    assert readmitting(stage).end("abc") is True
    assert stage.read("abc") == b" x"


def test_what_a_configuration_that_is_lost_had_left_behind_is_not_taken_for_all(stage: Stage) -> None:
    stage.append(b"x", "abc")
    registers = stage.registers()
    stage.talk(reconfigure(registers, [stage.member(each) for each in "def"], Operation(b"m"))).end("abcdef")
    for address in "abc":
        acceptor = stage.acceptors[address]
        acceptor.drop(acceptor.instance, 1, 9)
    empty(stage, "d", "e", "f")
    with pytest.raises(AgreementError, match="left behind by a later one"):
        readmitting(stage).end("abcdef")


def test_a_readmission_comes_back_as_acceptors_keep_it(stage: Stage) -> None:
    stage.append(b"x", "abc")
    readmitting(stage, "bc").end("a")
    (text,) = opened(stage)[3]
    assert read_configuration(3, text).packed() == text
