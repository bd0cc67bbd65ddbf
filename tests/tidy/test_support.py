"""What the suites share does what they rely on."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import await_until, wait_until


def test_what_came_while_this_process_stood_still_is_seen_though_the_time_is_over() -> None:
    looks = iter([False, True])
    assert wait_until(lambda: next(looks), 0.0)
    looks = iter([False, True])
    assert asyncio.run(await_until(lambda: next(looks), 0.0))


def test_what_does_not_come_is_said() -> None:
    with pytest.raises(AssertionError, match="a miracle"):
        wait_until(lambda: False, 0.0, "a miracle")
    with pytest.raises(AssertionError, match="a miracle"):
        asyncio.run(await_until(lambda: False, 0.0, "a miracle"))
