"""Two majorities have an acceptor in common, and a count ends as soon as it is decided."""

from __future__ import annotations

from itertools import combinations

import pytest

from taskmesh.consensus.quorum import Tally, majority, tally


@pytest.mark.parametrize("size", range(1, 8))
def test_two_majorities_meet(size: int) -> None:
    groups = [set(group) for group in combinations(range(size), majority(size))]
    assert all(one & other for one in groups for other in groups)


@pytest.mark.parametrize("size", range(1, 8))
def test_a_count_says_what_its_end_will_say(size: int) -> None:
    """It is pending exactly while both ends are possible."""
    for yes in range(size + 1):
        for no in range(size - yes + 1):
            out = size - yes - no
            ends = {tally(size, yes + more, no + out - more) for more in range(out + 1)}
            assert Tally.PENDING not in ends
            assert tally(size, yes, no) is (ends.pop() if len(ends) == 1 else Tally.PENDING)
