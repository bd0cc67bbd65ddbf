"""Schedules in which one rule matters, told step by step: for what takes random search too much luck.

Each raises `AssertionError` (or what the room itself raises) when the rule is missing.
"""

from __future__ import annotations

from typing import Any

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.reconfigure import drop_previous, reconfigure
from taskmesh.consensus.registers import Change, Operation, Refuse, Verdict, Versioned
from taskmesh.errors import VersionConflict
from tests.simulation.agreement.stage import Stage, append


def compare(version: int, word: bytes) -> Change:
    """Return a change that appends a word to a version and to no other."""

    def write(found: Versioned) -> Verdict:
        if found.version != version:
            return Refuse(VersionConflict(f"at {found.version}", register="r", version=found.version))
        return append(word)(found)

    return write


def partial(stage: Stage, word: bytes, prepared: str, accepted: str) -> Any:
    """Have a process append a word that only some acceptors accept, and stop there."""
    talk = stage.talk(stage.registers().change("r", append(word), Operation(b"a" + word)))
    talk.until("accept", prepared)
    talk.heard("", reaches=accepted)
    return talk


def nothing_done_is_told_only_when_it_is_sure(acceptor: type[Acceptor]) -> None:
    """A change was sent to a value that only some had accepted; tried again it finds the one before, and a conflict.

    "Certainly not done" must not be said while what was sent can still be chosen.
    """
    stage = Stage("abc", acceptor=acceptor)
    stage.append(b"x")
    partial(stage, b"p", "ab", "c")
    talk = stage.talk(stage.registers().change("r", compare(2, b"q"), Operation(b"aq")))
    talk.until("accept", "bc")
    talk.heard("", reaches="c")
    told = "unknown"
    try:
        talk.end("ab")
    except VersionConflict:
        told = "certainly not done"
    stage.append(b"y", "bc")
    content = stage.read()
    assert not (told == "certainly not done" and b"q" in (content or b"")), content


def what_is_taken_over_meanwhile_is_not_missed(acceptor: type[Acceptor]) -> None:
    """A register is looked for before it is taken over; then all is taken over. It was there all the time."""
    stage = Stage("abc", "def", acceptor)
    stage.append(b"x")
    operator, reader = stage.registers(), stage.registers()
    moving = stage.talk(reconfigure(operator, [stage.member(each) for each in "def"], Operation(b"m")))
    moving.until("export", "abcdef")
    reading = stage.talk(reader.read("r"))
    reading.until("peek", "abcdef", b"r")
    reading.heard("def")
    moving.end("abcdef")
    assert reading.end("abcdef").content == b" x"


def two_who_take_over_do_not_differ(acceptor: type[Acceptor]) -> None:
    """Two operators read different majorities: one sees a value that only some had accepted."""
    stage = Stage("abc", "def", acceptor)
    stage.append(b"x")
    partial(stage, b"p", "ab", "c")
    members = [stage.member(each) for each in "def"]
    one = stage.talk(reconfigure(stage.registers(), members, Operation(b"m1")))
    one.until("export", "abcdef")
    other = stage.talk(reconfigure(stage.registers(), members, Operation(b"m2")))
    other.until("export", "abcdef")
    for talk, old in ((one, "ab"), (other, "bc")):
        # up to the moment before it writes
        talk.until("accept", old + "def", b"r")
    one.heard("de", reaches="de")
    seen = one.end("abdef") and stage.read("abde")
    if not other.ended:
        other.heard("f", reaches="f")
        other.end("bcdef")
    assert seen == b" x"
    assert stage.read("abcef") == b" x"


def what_was_deleted_stays_so(acceptor: type[Acceptor]) -> None:
    """Only one acceptor knows of a deletion, and an operator hears of it; somebody else heard the others."""
    stage = Stage("abc", "def", acceptor)
    stage.append(b"x")
    deleting = stage.talk(stage.registers().delete("r", Operation(b"d1")))
    deleting.until("accept", "abc")
    deleting.heard("", reaches="a")
    members = [stage.member(each) for each in "def"]
    moving = stage.talk(reconfigure(stage.registers(), members, Operation(b"m")))
    moving.until("export", "abdef")
    changing = stage.talk(stage.registers().change("r", append(b"y"), Operation(b"ay")))
    changing.until("accept", "bcdef", b"r")
    moving.end("abdef")
    if stage.read() is None:
        # that is told now; a change that is made later must not find what was before
        assert changing.end("bcdef").content == b" y"
    else:
        assert changing.end("bcdef").content == b" x y"


def what_was_dropped_is_not_taken_for_nothing(acceptor: type[Acceptor]) -> None:
    """Who looks for what was before, after that has been dropped, must not conclude that there was nothing."""
    stage = Stage("abc", "def", acceptor)
    stage.append(b"x")
    operator = stage.registers()
    moving = stage.talk(reconfigure(operator, [stage.member(each) for each in "def"], Operation(b"m")))
    moving.until("export", "abcdef")
    reading = stage.talk(stage.registers().read("r"))
    reading.until("export", "abcdef", b"r")
    moving.end("abcdef")
    stage.talk(drop_previous(operator)).end("abcdef")
    assert reading.end("abcdef").content == b" x"


def one_that_forgot_does_not_vote_again(acceptor: type[Acceptor], *, caught_up: bool = False) -> None:
    """An acceptor forgets a promise, and is caught up with what the others know, without a new configuration.

    P has promises of a and b for a high ballot. a forgets its own. A lower ballot is then chosen by a and c, which the
    other does not see; and P's value, which knows nothing of it, is accepted by all.
    """
    stage = Stage("abc", "d", acceptor)
    stage.append(b"x", "abc")
    high = stage.registers()
    high._n = 100
    changing = stage.talk(high.change("r", append(b"p"), Operation(b"ap")))
    changing.until("accept", "ab")
    if caught_up:
        forgetful, instance = stage.acceptors["a"], stage.member("a").instance.encode()
        forgetful.configurations.clear()
        forgetful.init(instance, 1, stage.configuration().packed())
        known = stage.acceptors["b"].configurations[1].registers[b"r"]
        told = (known.accepted, known.digest, known.value)
        forgetful.accept(instance, 1, b"r", *told, promise_next=False)
        low = stage.registers()
        low._n = 50
        stage.talk(low.change("r", append(b"q"), Operation(b"aq"))).end("ac")
    else:
        # as it should be: it comes back as another, in another configuration
        stage.acceptors["a"] = acceptor(b"run")
        members = [stage.member(each) for each in "bcd"]
        stage.talk(reconfigure(stage.registers(), members, Operation(b"m"))).end("bcd")
        stage.append(b"q", "bcd")
    changing.end("abcd")
    assert b"q" in (stage.read("bcd" if not caught_up else "abc") or b"")


def a_change_does_not_happen_twice(acceptor: type[Acceptor]) -> None:
    """It was made, deleted by somebody, and left behind; then its process, which had no answer, tries again."""
    stage = Stage("abc", "def", acceptor)
    registers = stage.registers()
    operation = Operation(b"aonce")
    changing = stage.talk(registers.change("r", append(b"once"), operation))
    changing.until("accept", "abc")
    late = changing.on_the_way()
    for call in late:
        stage.deliver(call)
    stage.talk(stage.registers().delete("r", Operation(b"d1"))).end("abc")
    members = [stage.member(each) for each in "def"]
    stage.talk(reconfigure(stage.registers(), members, Operation(b"m"))).end("abcdef")
    told = None
    try:
        changing.heard("")
        told = changing.end("abcdef")
    except Exception as error:  # noqa: BLE001 - which error, the caller of this module asks
        told = error
    assert stage.read() is None, told
