"""Long tests are begun first by each of several processes, and none is lost by that."""

from __future__ import annotations

import pytest

from tests.order import long_first


def is_long(test: int) -> bool:
    return test % 3 == 0


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 30, 31])
def test_each_test_is_there_once(count: int, processes: int) -> None:
    tests = [*range(count)]
    assert sorted(long_first(tests, is_long, processes)) == tests


def test_each_row_begins_with_its_share_of_the_long_ones() -> None:
    rows = long_first(range(20), is_long, 3)
    assert [rows[:6], rows[6:13], rows[13:]] == [
        [0, 9, 18, 1, 2, 4],
        [3, 12, 5, 7, 8, 10, 11],
        [6, 15, 13, 14, 16, 17, 19],
    ]


def test_all_may_be_long() -> None:
    assert sorted(long_first(range(7), lambda test: True, 3)) == [*range(7)]
