"""Ballots are ordered as pairs of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from taskmesh.consensus.ballot import NONE, Ballot, read_ballot

ballots = some.builds(Ballot, some.integers(0, 2**52 + 1), some.integers(0, 2**48 - 1))


@given(ballots, ballots)
def test_order_is_by_count_then_by_proposer(one: Ballot, other: Ballot) -> None:
    assert (one < other) == (one.n < other.n or (one.n == other.n and one.proposer < other.proposer))


@given(ballots)
def test_words_are_whole_numbers(ballot: Ballot) -> None:
    """As text, 9 would come after 10, and large numbers be rounded."""
    assert read_ballot(*ballot.words()) == ballot
    assert all(word.isdigit() for word in ballot.words())


def test_none_is_below_all() -> None:
    assert Ballot(1, 0) > NONE
    assert Ballot(0, 1) > NONE
