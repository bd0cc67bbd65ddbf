"""How what is called off is reached in a thread, and that nothing else there is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from taskmesh.worker.called_off import CalledOff, CallOffs, message_of
from tests.support import wait_until


def job_of(function: Callable[..., Any], task_id: str = "a") -> Any:
    return SimpleNamespace(task_id=task_id, token="t", function=function)


def call_off(call_offs: CallOffs, job: Any) -> None:
    call_offs.add(message_of(job), "somebody")
    call_offs.reach_thread(message_of(job))
    call_offs.reach_loop_of_thread(message_of(job))


def spin(begun: threading.Event) -> None:
    begun.set()
    while True:
        pass


def test_a_function_that_runs_is_reached_and_its_thread_serves_on() -> None:
    call_offs, begun = CallOffs(), threading.Event()
    job, other = job_of(spin), job_of(lambda: 5, "b")
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(call_offs.reachable(job), begun)
        after = threads.submit(call_offs.reachable(other))
        assert begun.wait(90)
        assert call_offs.sender(job) is None
        call_off(call_offs, job)
        assert isinstance(run.exception(90), CalledOff)
        assert after.result(90) == 5
        # once it has ended nobody is reached any more
        call_offs.reach_thread(message_of(job))
        assert threads.submit(sum, range(100_000)).result(90) > 0
    assert (call_offs.sender(job), call_offs.sender(other)) == ("somebody", None)
    call_offs.forget(message_of(job))
    assert len(call_offs) == 0


def test_what_has_not_begun_does_not() -> None:
    call_offs, called = CallOffs(), []
    job = job_of(lambda: called.append(1))
    call_off(call_offs, job)
    with pytest.raises(CalledOff):
        call_offs.reachable(job)()
    assert not called


def test_a_coroutine_on_a_loop_of_the_thread_is_cancelled_once() -> None:
    call_offs, cancelled = CallOffs(), []
    begun = threading.Event()

    async def stubborn() -> int:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(1)
            await asyncio.sleep(0)
        return 7

    job = job_of(stubborn)
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(lambda: asyncio.run(call_offs.reachable(job)()))
        assert begun.wait(90)
        call_off(call_offs, job)
        wait_until(run.done, what="it has ended")
    assert (run.result(0), cancelled) == (7, [1])
