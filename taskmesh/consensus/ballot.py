"""Ballots: who proposes, and which of two proposals is the later one."""

from __future__ import annotations

from typing import NamedTuple

#: Lua counts in doubles, which are exact up to 2**53.
N_MAX = 2**52
#: An acceptor refuses to be led further ahead at once: a single wild proposal must not use up all numbers. An honest
#: counter never gets there: that is one change in each second for 136 years.
JUMP_MAX = 2**32
PROPOSER_BITS = 48


class Ballot(NamedTuple):
    """The number of a proposal; ballots are compared as pairs of integers, never as text.

    Attributes:
        n: 0 for none, at most `N_MAX`.
        proposer: 48 random bits, drawn anew for each ballot: no two proposals share one, whatever a process forgets and
            however it is forked.
    """

    n: int
    proposer: int

    def words(self) -> tuple[bytes, bytes]:
        """Return it as two arguments of a script."""
        return b"%d" % self.n, b"%d" % self.proposer


#: Lower than each ballot of a proposer.
NONE = Ballot(0, 0)


def read_ballot(n: bytes, proposer: bytes) -> Ballot:
    """Return the ballot that an acceptor told."""
    return Ballot(int(n), int(proposer))
