"""A1: one value for each ballot of a register. A5: what an acceptor promised never becomes less."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.agreement.checkers.broken import BrokenPromise

Ballot = tuple[int, int]


class Ballots:
    """What acceptors promised and accepted, as their answers say."""

    def __init__(self) -> None:
        self._digests: dict[tuple[bytes, bytes, bytes, bytes], bytes] = {}
        self._promised: dict[tuple[bytes, bytes, bytes], Ballot] = {}
        self._accepted: dict[tuple[bytes, bytes, bytes], Ballot] = {}

    def prepared(self, args: Sequence[bytes], reply: Sequence[bytes]) -> None:
        """Look at an answer to a prepare."""
        if reply[0] != b"PROMISED":
            return
        where = (args[0], args[1], args[2])
        ballot = (int(args[3]), int(args[4]))
        last = self._promised.get(where)
        if last is not None and ballot <= last:
            raise BrokenPromise(f"A5: {where} promised {ballot} after {last}")
        self._promised[where] = ballot

    def accepted(self, args: Sequence[bytes], reply: Sequence[bytes]) -> None:
        """Look at an answer to an accept."""
        if reply[0] != b"ACCEPTED":
            return
        instance, number, name, n, proposer, digest, _, then = args
        known = self._digests.setdefault((number, name, n, proposer), digest)
        if known != digest:
            raise BrokenPromise(f"A1: ballot ({n!r}, {proposer!r}) of {name!r} has two values")
        where = (instance, number, name)
        ballot = (int(n), int(proposer))
        if self._accepted.get(where) == ballot:
            return
        last = self._promised.get(where)
        if last is not None and ballot < last:
            raise BrokenPromise(f"A5: {where} accepted {ballot} after it promised {last}")
        self._accepted[where] = ballot
        self._promised[where] = (ballot[0] + 1, ballot[1]) if then == b"1" else ballot
