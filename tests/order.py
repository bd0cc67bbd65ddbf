"""In which order several processes run the tests: long ones first, so that nobody waits for one at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def long_first(tests: Sequence[T], is_long: Callable[[T], bool], processes: int) -> list[T]:
    """Return the tests so that the share of each process begins with its long ones; else their order stays.

    `--dist worksteal` gives each process a row of as many tests as the others have, and who is done takes from the
    end of another's row. So each row holds as many long ones as the others, at its beginning.

    Args:
        tests: In random order.
        is_long: Tells whether one takes long.
        processes: So many share them.
    """
    long = [test for test in tests if is_long(test)]
    short = iter([test for test in tests if not is_long(test)])
    ordered, left = [], len(tests)
    for at in range(processes):
        length = left // (processes - at)
        left -= length
        row = long[at::processes]
        ordered += [*row, *islice(short, max(0, length - len(row)))]
    return [*ordered, *short]
