"""Random steps, the same for two acceptors, whose answers are compared one by one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.unit.consensus.acceptors import AnyAcceptor

INSTANCES = (b"i1",) * 24 + (b"i2",)
NAMES = (b"a", b"b", b"c:d", b"", b"root")
MEMBERS = (b"i1@a|",) * 9 + (b"other|",)
#: Around each of these counts ballots are drawn.
COUNTS = (0, 0, 0, 0, 5, 2**32, 2**52 - 3)


class RandomSteps:
    """Draws steps that make sense often enough to go deep."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.number = 1
        self.base = 0

    def ballot(self) -> tuple[bytes, bytes]:
        random = self.random
        base = self.base if random.random() < 0.95 else random.choice(COUNTS)
        return b"%d" % (base + random.randrange(8)), b"%d" % random.randrange(1, 4)

    def draw(self, run: bytes) -> tuple[str, list[bytes]]:
        random = self.random
        instance, name = random.choice(INSTANCES), random.choice(NAMES)
        number = b"%d" % max(1, self.number - (random.random() < 0.2) + (random.random() < 0.05))
        kind = random.choices(
            (
                "prepare",
                "accept",
                "prepare_all",
                "accept_all",
                "peek",
                "changes",
                "init",
                "seal",
                "export",
                "drop",
                "admit",
                "look",
                "rename",
            ),
            (30, 30, 8, 8, 8, 6, 5, 1, 4, 1, 4, 3, 1),
        )[0]
        match kind:
            case "prepare":
                return kind, [instance, number, name, *self.ballot()]
            case "accept":
                value = random.choice((b"v", b"w", b"\x00" * 40))
                then = random.choice((b"", b"1"))
                return kind, [instance, number, name, *self.ballot(), b"of " + value, value, then]
            case "prepare_all":
                return kind, [instance, number, *self.ballot(), *random.sample(NAMES, random.randrange(4))]
            case "accept_all":
                value = random.choice((b"v", b"w"))
                names = random.sample(NAMES, random.randrange(4))
                words = [word for each in names for word in (each, b"of " + value, value)]
                return kind, [instance, number, *self.ballot(), *words]
            case "peek" | "export":
                return kind, [instance, number, *random.sample(NAMES, random.randrange(4))]
            case "changes":
                return kind, [instance, number, b"%d" % random.randrange(40), b"%d" % random.randrange(1, 5)]
            case "init":
                self.number += random.random() < 0.1
                return kind, [instance, b"%d" % self.number, random.choice(MEMBERS)]
            case "seal":
                return kind, [instance, number]
            case "drop":
                return kind, [instance, number, b"%d" % random.randrange(1, 4)]
            case "admit":
                admitted = random.choice((b"", b"before", b"before"))
                least = b"%d" % random.randrange(20)
                return kind, [instance, admitted, least, b"boot", run if random.random() < 0.9 else b"other"]
            case "rename":
                return kind, [instance, b"i1", b"note", run if random.random() < 0.9 else b"other"]
            case _:
                return kind, random.sample(NAMES, random.randrange(3))


def compare(
    seed: int, steps: int, one: AnyAcceptor, other: AnyAcceptor, disturb: Callable[[Random], None]
) -> set[str]:
    """Compare two acceptors, and return the first words of all that they answered.

    Args:
        seed: Of the steps.
        steps: How many.
        one: An acceptor that was not made yet.
        other: Another.
        disturb: Is called now and then: does to their nodes what must make no difference.
    """
    random = Random(seed)
    drawn = RandomSteps(random)
    words = set()
    for acceptor in (one, other):
        assert acceptor.call("consensus.admit", [b"i1", b"", b"0", b"boot", acceptor.run])[0] == b"ADMITTED"
    for at in range(steps):
        if random.random() < 0.01:
            disturb(random)
        if random.random() < 0.01:
            one.start_anew()
            other.start_anew()
        if random.random() < 0.02:
            drawn.base = random.choice(COUNTS)
            name = random.choice(NAMES)
            one.place(drawn.number, name, drawn.base)
            other.place(drawn.number, name, drawn.base)
        kind, args = drawn.draw(b"<run>")
        answers = []
        for acceptor in (one, other):
            own = [acceptor.run if arg == b"<run>" else arg for arg in args]
            answer = acceptor.call(f"consensus.{kind}", own)
            assert isinstance(answer, list), f"seed {seed}, step {at}: {kind} {own}: {answer!r}"
            answers.append([b"<run>" if word == acceptor.run else word for word in answer])
        assert answers[0] == answers[1], f"seed {seed}, step {at}: {kind} {args}: {answers}"
        words.add(answers[0][0].decode() if kind != "look" else "look")
    return words
