"""Soft limits of coroutines: raised where they wait, and what they wait for cleans up as when it is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from taskmesh.errors import SoftTimeLimitExceeded
from taskmesh.limits.alarm import soft_limit_error
from taskmesh.limits.coroutine import within

SOON_S = 0.02


def limited(coroutine, seconds: float = SOON_S):
    return within(coroutine, seconds, soft_limit_error("id", "task", seconds))


async def sleeper() -> None:
    await asyncio.sleep(60)


def test_it_is_raised_where_the_coroutine_waits():
    with pytest.raises(SoftTimeLimitExceeded, match=r"0.02 s") as caught:
        asyncio.run(limited(sleeper()))
    assert type(caught.value) is SoftTimeLimitExceeded
    assert not isinstance(caught.value, asyncio.CancelledError)


def test_what_ends_in_time_is_left_alone():
    async def quick() -> int:
        await asyncio.sleep(0)
        return 5

    assert asyncio.run(limited(quick(), 60)) == 5


def test_the_coroutine_may_catch_it_and_go_on_waiting():
    async def stubborn() -> list[str]:
        said = []
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded as error:
            said.append(str(error.limit_s))
        await asyncio.sleep(2 * SOON_S)
        said.append("cleaned up")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return said

    assert asyncio.run(limited(stubborn())) == ["0.02", "cleaned up"]


def test_a_task_group_ends_its_tasks():
    ended: list[str] = []

    async def member() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("member")

    async def group() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(member())
        finally:
            ended.append("group")

    with pytest.raises(SoftTimeLimitExceeded):
        asyncio.run(limited(group()))
    assert ended == ["member", "group"]


def test_a_cancellation_from_outside_stays_one():
    async def main() -> None:
        task = asyncio.create_task(limited(sleeper(), 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())


def test_errors_of_the_coroutine_pass_through():
    async def failing() -> None:
        await asyncio.sleep(0)
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        asyncio.run(limited(failing(), 60))
