"""The first configuration is made by several at once, while disks are lost: there is one, and it is found."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import pytest

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.chain import look
from taskmesh.consensus.founding import found
from taskmesh.consensus.reconfigure import reconfigure
from taskmesh.consensus.registers import Operation
from taskmesh.errors import AgreementError, ChangeUnknown
from tests.simulation.agreement.stage import PREFIX, Stage, append


class Founding(Stage):
    """Acceptors of which nobody has made any yet."""

    def __init__(self, members: str, seed: int) -> None:
        super().__init__(members)
        self.random = Random(seed)
        self.acceptors = {address: Acceptor(b"run of " + address.encode()) for address in members}

    def empty(self, address: str) -> None:
        self.acceptors[address] = Acceptor(b"run %d" % self.random.getrandbits(40))

    def begin(self, word: bytes) -> Any:
        """Begin as a process does: the first configuration is made, if there is none; then a register is changed."""
        looked = yield from look(PREFIX, self.members, len(self.members) // 2 + 1)
        if all(each.latest is None for each in looked.values()):
            new = lambda: f"i{self.random.getrandbits(50)}"  # noqa: E731
            yield from found(PREFIX, list(self.members), new, lambda _: "")
        yield from self.registers().change("r", append(word), Operation(b"a" + word))


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("base", range(20))
def test_disks_are_lost_while_it_is_made(size: int, base: int) -> None:
    """A minority of them: then nothing that was acknowledged is lost, and whoever comes finds the way."""
    for seed in range(base * 20, base * 20 + 20):
        stage = Founding("abcde"[:size], seed)
        random = stage.random
        losses = random.sample(stage.members, size // 2)
        talks = {b"%d" % at: stage.talk(stage.begin(b"%d" % at)) for at in range(3)}
        done: set[bytes] = set()
        while talks:
            if losses and random.random() < 0.04:
                stage.empty(losses.pop())
            word = random.choice(sorted(talks))
            answers = "".join(random.sample(stage.members, random.choice([size - 1, size, size])))
            try:
                talks[word].heard(answers, reaches=stage.members if random.random() < 0.7 else "")
            except (AgreementError, ChangeUnknown):
                del talks[word]
            else:
                if talks[word].ended:
                    done.add(word)
                    del talks[word]
        stage.talk(stage.begin(b"last")).end(stage.members)
        content = stage.read() or b""
        assert done <= set(content.split()), (seed, done, content)


@pytest.mark.parametrize("order", ["abc", "acb", "bca", "cab"])
def test_two_lists_of_members_one_of_which_names_who_is_gone(order: str) -> None:
    """The first whose members were written down loses its disk; its next life is written down before the others."""
    stage = Founding("abc", 1)
    ids = iter(["i1", "i2", "i3", "i0"])
    one = stage.talk(found(PREFIX, list("abc"), lambda: next(ids), lambda _: ""))
    one.until("init", "abc").heard("a")
    stage.empty("a")
    two = stage.talk(found(PREFIX, list("abc"), lambda: next(ids), lambda _: ""))
    two.until("init", "abc").heard("a")
    one.end("abc")
    two.end("abc")
    texts = {each.configurations[1].members for each in stage.acceptors.values()}
    assert len(texts) == 2
    registers = stage.registers()
    registers.chain.addresses[:] = order
    assert stage.talk(registers.change("r", append(b"x"), Operation(b"x"))).end("abc").version == 1
    assert stage.read("abc") == b" x"
    # as a member that is lost: by another instance, in another configuration
    members = [stage.member(address) for address in "abc"]
    assert stage.talk(reconfigure(registers, members, Operation(b"m"))).end("abc").number == 2
    assert stage.read("ab") == b" x"


@pytest.mark.parametrize("looks", [1, 2])
def test_a_look_whose_answers_are_of_different_moments(looks: int) -> None:
    """One acceptor answers before the first configuration is made and used; another, made again, after."""
    stage = Founding("abc", 1)
    ids = iter(["i5", "i6", "i7"])
    one = stage.talk(found(PREFIX, list("abc"), lambda: next(ids), lambda _: ""))
    one.until("init", "abc")
    slow = stage.talk(found(PREFIX, list("abc"), lambda: next(ids), lambda _: ""))
    for _ in range(looks):
        slow.heard("abc")
    late = {call.node: call for call in slow.on_the_way()}
    early = {address: stage.deliver(late[address]) for address in "bc"}
    # opened at a and b, and used there
    one.heard("a").heard("b")
    stage.append(b"x", "ab")
    stage.empty("a")
    stage.acceptors["a"].admit(b"i0", b"", 0, b"", stage.acceptors["a"].run)
    with contextlib.suppress(AgreementError):
        slow.answered({**early, "a": stage.deliver(late["a"])}).end("abc")
    # the one that is left of those where it was used may be away: then nothing is done, or on top of what was
    registers = stage.registers()
    registers.patience_s = 1.0
    done = b" x"
    with contextlib.suppress(AgreementError):
        done = stage.talk(registers.change("r", append(b"y"), Operation(b"y"))).end("ac").content
    assert (stage.read("abc") or b"").startswith(done)
    assert (stage.read("bc") or b"").startswith(done)
    assert done.startswith(b" x")
