"""The judge of histories finds what it is there for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.agreement.appender import digest
from tests.integration.agreement.history import check


def add(item: int, begun_s: float, ended_s: float, outcome: str = "ok") -> dict[str, Any]:
    return {"kind": "append", "item": item, "begun_s": begun_s, "ended_s": ended_s, "outcome": outcome}


def look(chain: list[int], begun_s: float, ended_s: float) -> dict[str, Any]:
    seen = {"length": len(chain), "digest": digest(chain), "outcome": "ok"}
    return {"kind": "read", "begun_s": begun_s, "ended_s": ended_s, **seen}


def test_a_good_history_is_good():
    check(
        [
            add(1, 0, 5),
            look([], 1, 2),
            add(2, 3, 4),
            look([2], 4.5, 6),
            add(3, 7, 8, "unknown"),
            add(4, 8, 9, "no"),
        ],
        [2, 1, 3],
    )


@pytest.mark.parametrize(
    ("history", "chain", "says"),
    [
        ([add(1, 0, 1)], [1, 1], "made twice"),
        ([add(1, 0, 1)], [], "is gone"),
        ([add(1, 0, 1, "no")], [1], "certainly not done"),
        ([look([2], 0, 1)], [1, 2], "another chain was seen"),
        ([add(1, 0, 1), add(2, 2, 3)], [2, 1], "before what was ended"),
        ([add(1, 0, 1), look([], 2, 3)], [1], "before what was ended"),
        ([look([1], 0, 1), look([], 2, 3)], [1], "before what was ended"),
    ],
)
def test_what_must_not_be_is_found(history, chain, says):
    with pytest.raises(AssertionError, match=says):
        check(history, chain)
