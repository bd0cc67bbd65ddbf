"""What an acceptor answers, step by step: one table for the model, the scripts on a simulated node and on a server.

Each case begins with an acceptor that nobody has made yet. `RUN` stands for the run id of the process it runs as.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.consensus.acceptors import AnyAcceptor

RUN = b"<run>"
MADE = ("admit", b"i1", b"", b"0", b"boot", RUN, [b"ADMITTED", b"0"])
OPEN = ("init", b"i1", b"1", b"i1@a|", [b"OPEN"])
READY = (MADE, OPEN)
START_ANEW = ("start anew",)

Step = tuple[Any, ...]
TOP = b"%d" % 2**52
JUMP = b"%d" % 2**32


def prepare(n: bytes, p: bytes, *answer: bytes, name: bytes = b"r", c: bytes = b"1") -> Step:
    return ("prepare", b"i1", c, name, n, p, [*answer])


def accept(
    n: bytes, p: bytes, value: bytes, *answer: bytes, then: bytes = b"", name: bytes = b"r", c: bytes = b"1"
) -> Step:
    return ("accept", b"i1", c, name, n, p, b"digest of " + value, value, then, [*answer])


def peek(*answer: bytes, name: bytes = b"r", c: bytes = b"1") -> Step:
    return ("peek", b"i1", c, name, [*answer])


NONE = (b"0", b"0", b"", b"")
NOT_PROMISED = (b"0", *NONE)
V = (b"digest of v", b"v")
W = (b"digest of w", b"w")

CASES: dict[str, Sequence[Step]] = {
    "one that nobody made refuses everything": (
        prepare(b"1", b"1", b"WRONGINSTANCE", b""),
        accept(b"1", b"1", b"v", b"WRONGINSTANCE", b""),
        ("init", b"i1", b"1", b"i1@a|", [b"WRONGINSTANCE", b""]),
        ("seal", b"i1", b"1", [b"WRONGINSTANCE", b""]),
        ("export", b"i1", b"1", [b"WRONGINSTANCE", b""]),
        ("drop", b"i1", b"1", b"9", [b"WRONGINSTANCE", b""]),
        ("changes", b"i1", b"1", b"0", b"9", [b"WRONGINSTANCE", b""]),
        ("admit", b"i1", b"old", b"0", b"", RUN, [b"WRONGINSTANCE", b""]),
        ("look", [b"", b"", RUN, b"", b"0", b"0", b"", b""]),
    ),
    "it is made once": (
        MADE,
        MADE,
        ("admit", b"i2", b"", b"0", b"boot", RUN, [b"WRONGINSTANCE", b"i1"]),
        ("look", [b"i1", RUN, RUN, b"boot", b"0", b"0", b"", b""]),
    ),
    "what is meant for another process neither makes nor admits": (
        ("admit", b"i1", b"", b"0", b"boot", b"another", [b"OTHERRUN", RUN]),
        MADE,
        START_ANEW,
        ("admit", b"i1", b"before", b"0", b"boot", b"another", [b"OTHERRUN", RUN]),
        prepare(b"1", b"1", b"NOTADMITTED", b"before"),
    ),
    "one that was started anew is silent until it is admitted": (
        *READY,
        prepare(b"1", b"1", b"PROMISED", *NONE),
        START_ANEW,
        prepare(b"2", b"1", b"NOTADMITTED", b"before"),
        accept(b"1", b"1", b"v", b"NOTADMITTED", b"before"),
        peek(b"NOTADMITTED", b"before"),
        ("init", b"i1", b"2", b"m", [b"NOTADMITTED", b"before"]),
        ("seal", b"i1", b"1", [b"NOTADMITTED", b"before"]),
        ("export", b"i1", b"1", [b"NOTADMITTED", b"before"]),
        ("drop", b"i1", b"1", b"9", [b"NOTADMITTED", b"before"]),
        ("admit", b"i1", b"before", b"3", b"boot2", RUN, [b"BEHIND", b"2"]),
        ("admit", b"i1", b"sooner", b"2", b"boot2", RUN, [b"OTHERRUN", b"before"]),
        ("admit", b"i1", b"before", b"2", b"boot2", RUN, [b"ADMITTED", b"2"]),
        ("look", [b"i1", RUN, RUN, b"boot2", b"2", b"1", b"i1@a|", b"open"]),
        prepare(b"1", b"1", b"CONFLICT", b"1", b"1"),
        prepare(b"2", b"1", b"PROMISED", *NONE),
    ),
    "a promise holds against lower and equal ballots": (
        *READY,
        prepare(b"5", b"7", b"PROMISED", *NONE),
        prepare(b"5", b"7", b"CONFLICT", b"5", b"7"),
        prepare(b"4", b"9", b"CONFLICT", b"5", b"7"),
        prepare(b"5", b"6", b"CONFLICT", b"5", b"7"),
        accept(b"5", b"6", b"v", b"CONFLICT", b"5", b"7"),
        prepare(b"5", b"8", b"PROMISED", *NONE),
        accept(b"5", b"7", b"v", b"CONFLICT", b"5", b"8"),
        accept(b"5", b"8", b"v", b"ACCEPTED"),
    ),
    "ballots are compared as numbers": (
        *READY,
        prepare(b"9", b"9", b"PROMISED", *NONE),
        prepare(b"10", b"10", b"PROMISED", *NONE),
        prepare(b"10", b"9", b"CONFLICT", b"10", b"10"),
        prepare(b"9", b"11", b"CONFLICT", b"10", b"10"),
    ),
    "what was accepted is told, and promised as well": (
        *READY,
        accept(b"3", b"1", b"v", b"ACCEPTED"),
        prepare(b"3", b"1", b"CONFLICT", b"3", b"1"),
        prepare(b"2", b"9", b"CONFLICT", b"3", b"1"),
        prepare(b"4", b"1", b"PROMISED", b"3", b"1", *V),
        peek(b"ACCEPTED", b"3", b"1", *V),
        accept(b"3", b"2", b"w", b"CONFLICT", b"4", b"1"),
        accept(b"4", b"1", b"w", b"ACCEPTED"),
        peek(b"ACCEPTED", b"4", b"1", *W),
    ),
    "a repeated accept is no conflict, another value of its ballot is a fault": (
        *READY,
        accept(b"3", b"1", b"v", b"ACCEPTED"),
        accept(b"3", b"1", b"v", b"ACCEPTED"),
        prepare(b"9", b"1", b"PROMISED", b"3", b"1", *V),
        accept(b"3", b"1", b"v", b"ACCEPTED"),
        accept(b"3", b"1", b"w", b"FAULT", b"digest of v"),
        ("look", b"r", [b"i1", RUN, RUN, b"boot", b"3", b"1", b"i1@a|", b"open", b"3", b"1", *V]),
    ),
    "the next ballot is promised with an accept": (
        *READY,
        accept(b"3", b"5", b"v", b"ACCEPTED", then=b"1"),
        prepare(b"3", b"9", b"CONFLICT", b"4", b"5"),
        prepare(b"4", b"4", b"CONFLICT", b"4", b"5"),
        accept(b"3", b"9", b"w", b"CONFLICT", b"4", b"5"),
        accept(b"4", b"5", b"w", b"ACCEPTED", then=b"1"),
        prepare(b"5", b"6", b"PROMISED", b"4", b"5", *W),
        accept(b"5", b"5", b"v", b"CONFLICT", b"5", b"6"),
    ),
    "registers do not know of each other": (
        *READY,
        accept(b"9", b"1", b"v", b"ACCEPTED", name=b"one"),
        prepare(b"1", b"1", b"PROMISED", *NONE, name=b"two"),
        ("peek", b"i1", b"1", b"two", b"one", b"", [b"ACCEPTED", *NONE, b"9", b"1", *V, *NONE]),
    ),
    "a ballot too far ahead is refused": (
        *READY,
        prepare(b"%d" % (2**32 + 1), b"1", b"AHEAD", b"0"),
        accept(b"%d" % (2**32 + 1), b"1", b"v", b"AHEAD", b"0"),
        prepare(JUMP, b"1", b"PROMISED", *NONE),
        prepare(b"%d" % (2**33 + 1), b"1", b"AHEAD", JUMP),
        prepare(b"%d" % 2**33, b"1", b"PROMISED", *NONE),
        accept(b"%d" % (2**33 + 2**32), b"1", b"v", b"ACCEPTED"),
        prepare(TOP, b"1", b"AHEAD", b"%d" % (2**33 + 2**32)),
    ),
    "a sealed configuration promises, accepts and tells nothing": (
        *READY,
        accept(b"1", b"1", b"v", b"ACCEPTED"),
        prepare(b"2", b"1", b"PROMISED", b"1", b"1", *V, name=b"r"),
        prepare(b"2", b"1", b"PROMISED", *NONE, name=b"promised only"),
        ("export", b"i1", b"1", [b"OPEN"]),
        ("drop", b"i1", b"1", b"9", [b"OPEN"]),
        ("seal", b"i1", b"1", [b"SEALED", b"5"]),
        ("seal", b"i1", b"1", [b"SEALED", b"5"]),
        prepare(b"3", b"1", b"SEALED", b"1"),
        accept(b"2", b"1", b"w", b"SEALED", b"1"),
        accept(b"1", b"1", b"v", b"SEALED", b"1"),
        peek(b"SEALED", b"1"),
        ("changes", b"i1", b"1", b"0", b"9", [b"SEALED", b"1"]),
        ("init", b"i1", b"1", b"i1@a|", [b"SEALED", b"1"]),
        ("export", b"i1", b"1", [b"NAMES", b"r"]),
        ("export", b"i1", b"1", b"r", b"none", [b"EXPORT", b"1", b"1", *V, *NONE]),
    ),
    "what is dropped says no more that it never was": (
        *READY,
        accept(b"1", b"1", b"v", b"ACCEPTED"),
        prepare(b"1", b"1", b"PROMISED", *NONE, name=b"promised only"),
        ("seal", b"i1", b"1", [b"SEALED", b"4"]),
        ("drop", b"i1", b"1", b"1", [b"DROPPED", b"1"]),
        ("export", b"i1", b"1", [b"DROPPED"]),
        ("export", b"i1", b"1", b"r", [b"DROPPED"]),
        ("drop", b"i1", b"1", b"9", [b"DROPPED", b"0"]),
        ("drop", b"i1", b"1", b"9", [b"DROPPED", b"0"]),
        ("init", b"i1", b"1", b"i1@a|", [b"SEALED", b"1"]),
        ("look", b"r", [b"i1", RUN, RUN, b"boot", b"4", b"1", b"i1@a|", b"sealed", *NONE]),
    ),
    "configurations have registers of their own": (
        *READY,
        accept(b"7", b"1", b"v", b"ACCEPTED"),
        ("init", b"i1", b"2", b"i1@a|i1@a", [b"OPEN"]),
        ("init", b"i1", b"2", b"i1@a|i1@a", [b"OPEN"]),
        ("init", b"i1", b"2", b"others", [b"OTHERMEMBERS", b"i1@a|i1@a"]),
        ("init", b"i1", b"4", b"m", b"1", [b"SEALED", b"2"]),
        ("init", b"i1", b"2", b"i1@a|i1@a", b"1", [b"OPEN"]),
        prepare(b"1", b"1", b"PROMISED", *NONE, c=b"2"),
        peek(b"ACCEPTED", b"7", b"1", *V),
        ("seal", b"i1", b"1", [b"SEALED", b"5"]),
        peek(b"SEALED", b"2"),
        accept(b"1", b"1", b"w", b"ACCEPTED", c=b"2"),
        peek(b"ACCEPTED", b"1", b"1", *W, c=b"2"),
        ("export", b"i1", b"1", b"r", [b"EXPORT", b"7", b"1", *V]),
    ),
    "many registers go through the phases each by itself": (
        *READY,
        accept(b"7", b"1", b"v", b"ACCEPTED"),
        ("prepare_all", b"i1", b"1", b"6", b"1", b"r", b"s", [b"PROMISED", *NOT_PROMISED, b"1", *NONE]),
        (
            "prepare_all",
            b"i1",
            b"1",
            b"8",
            b"1",
            b"r",
            b"s",
            [b"PROMISED", b"1", b"7", b"1", *V, b"1", *NONE],
        ),
        ("prepare_all", b"i1", b"1", b"9007199254740991", b"1", b"r", [b"PROMISED", *NOT_PROMISED]),
        ("prepare_all", b"i1", b"1", b"9", b"1", [b"PROMISED"]),
        prepare(b"9", b"1", b"PROMISED", b"7", b"1", *V),
        ("accept_all", b"i1", b"1", b"8", b"1", b"r", *W, b"s", *W, [b"ACCEPTED", b"CONFLICT", b"ACCEPTED"]),
        ("accept_all", b"i1", b"1", b"9", b"1", b"r", *W, b"s", *V, [b"ACCEPTED", b"ACCEPTED", b"ACCEPTED"]),
        ("accept_all", b"i1", b"1", b"9", b"1", b"s", *V, b"r", *V, [b"ACCEPTED", b"ACCEPTED", b"FAULT"]),
        ("accept_all", b"i1", b"1", b"9007199254740991", b"1", b"r", *V, [b"ACCEPTED", b"AHEAD"]),
        ("accept_all", b"i1", b"1", b"9", b"1", [b"ACCEPTED"]),
        peek(b"ACCEPTED", b"9", b"1", *W),
        ("seal", b"i1", b"1", [b"SEALED", b"10"]),
        ("prepare_all", b"i1", b"1", b"10", b"1", b"r", [b"SEALED", b"1"]),
        ("accept_all", b"i1", b"1", b"10", b"1", b"r", *V, [b"SEALED", b"1"]),
    ),
    "a configuration that was passed is not opened any more": (
        MADE,
        ("init", b"i1", b"3", b"m", [b"OPEN"]),
        ("init", b"i1", b"2", b"m", [b"SEALED", b"3"]),
        prepare(b"1", b"1", b"CONFIGURATION", b"3", c=b"2"),
        ("seal", b"i1", b"2", [b"CONFIGURATION", b"3"]),
        ("export", b"i1", b"2", [b"CONFIGURATION", b"3"]),
        ("drop", b"i1", b"2", b"9", [b"OPEN"]),
    ),
    "changes are told by the count of the last accept": (
        *READY,
        accept(b"1", b"1", b"v", b"ACCEPTED", name=b"a"),
        prepare(b"1", b"1", b"PROMISED", *NONE, name=b"b"),
        accept(b"1", b"1", b"v", b"ACCEPTED", name=b"c"),
        ("changes", b"i1", b"1", b"0", b"9", [b"CHANGED", b"4", b"a", b"c"]),
        ("changes", b"i1", b"1", b"0", b"1", [b"CHANGED", b"2", b"a"]),
        ("changes", b"i1", b"1", b"2", b"1", [b"CHANGED", b"4", b"c"]),
        ("changes", b"i1", b"1", b"4", b"9", [b"CHANGED", b"4"]),
        accept(b"2", b"1", b"w", b"ACCEPTED", name=b"a"),
        accept(b"1", b"1", b"v", b"ACCEPTED", name=b"b"),
        ("changes", b"i1", b"1", b"4", b"9", [b"CHANGED", b"6", b"a", b"b"]),
    ),
    "another instance takes the place of one that does not take part, and knows nothing of what was": (
        *READY,
        accept(b"1", b"1", b"v", b"ACCEPTED"),
        ("rename", b"i1", b"i2", b"note", RUN, [b"ADMITTED", b"i1"]),
        START_ANEW,
        ("rename", b"i1", b"i2", b"note", b"other", [b"OTHERRUN", RUN]),
        ("rename", b"i3", b"i2", b"note", RUN, [b"WRONGINSTANCE", b"i1"]),
        ("rename", b"i1", b"i2", b"note", RUN, [b"RENAMED", b"i2"]),
        ("look", b"r", [b"i2", RUN, RUN, b"note", b"0", b"0", b"", b"", b"0", b"0", b"", b""]),
        prepare(b"2", b"1", b"WRONGINSTANCE", b"i2"),
        ("init", b"i2", b"1", b"m", [b"OPEN"]),
        ("peek", b"i2", b"1", b"r", [b"ACCEPTED", *NONE]),
        ("changes", b"i2", b"1", b"0", b"9", [b"CHANGED", b"0"]),
    ),
    "an empty server becomes an instance by another name as well": (
        ("rename", b"", b"i2", b"note", RUN, [b"RENAMED", b"i2"]),
        ("look", [b"i2", RUN, RUN, b"note", b"0", b"0", b"", b""]),
    ),
    "names and values may be any bytes": (
        *READY,
        accept(b"1", b"1", b"\x00\xff\r\n", b"ACCEPTED", name=b"\xfe:r:\x00"),
        peek(b"ACCEPTED", b"1", b"1", b"digest of \x00\xff\r\n", b"\x00\xff\r\n", name=b"\xfe:r:\x00"),
    ),
}


def check(acceptor: AnyAcceptor, steps: Sequence[Step]) -> None:
    """Take the steps of a case, and compare what is answered."""
    for at, step in enumerate(steps):
        if step == START_ANEW:
            acceptor.start_anew()
            continue
        name, *args, expected = step
        answer = acceptor.call(f"consensus.{name}", [acceptor.run if arg == RUN else arg for arg in args])
        wanted = [acceptor.run if word == RUN else word for word in expected]
        assert answer == wanted, f"step {at}: {name} {args}"
