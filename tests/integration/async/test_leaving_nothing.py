"""What a loop leaves behind when it ends: nothing, however it ends. And how web servers use it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from taskmesh.client.async_wait import ear_of
from tests.apps.async_tasks import add, after
from tests.support import await_until, wait_until

ROOT = Path(__file__).parents[3]
TESTS_LAST_S = 120
TIMES = 5


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return psutil.Process().num_fds()


def no_more_files_than(before: int) -> None:
    """Wait until what was dropped is closed; a thread that opened it may be on its way out still."""
    wait_until(lambda: gc.collect() is not None and open_files() <= before)


async def send_and_await(n: int) -> int:
    return await (await add.adelay(n, n))


def test_a_loop_that_ended_leaves_no_connection_and_no_task(served):
    async def main() -> None:
        await asyncio.gather(*[send_and_await(n) for n in range(100)])
        # nothing goes on working behind the user's back
        here = asyncio.current_task()
        await await_until(lambda: asyncio.all_tasks() == {here})

    before = open_files()
    asyncio.run(main())
    no_more_files_than(before)


def test_a_loop_that_ends_while_many_wait(served, tmp_path):
    gate = tmp_path / "gate"

    async def main() -> None:
        for n in range(50):
            asyncio.create_task(send_and_await_after(n)).add_done_callback(lambda task: task.cancelled())
            await asyncio.sleep(0)

    async def send_and_await_after(n: int) -> int:
        return await (await after.adelay(str(gate), n))

    before = open_files()
    asyncio.run(main())
    gate.touch()
    no_more_files_than(before)


def test_a_loop_closed_by_hand(served):
    """Without `asyncio.run`, nobody cancels tasks or shuts generators down first."""
    before = open_files()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(send_and_await(1)) == 2
    loop.close()
    del loop
    no_more_files_than(before)


def test_a_loop_that_is_stopped_and_run_again(served):
    loop = asyncio.new_event_loop()
    try:
        for n in range(3):
            assert loop.run_until_complete(send_and_await(n)) == 2 * n
    finally:
        loop.close()


def test_many_loops_in_one_process(served):
    before = open_files()
    for n in range(30):
        assert asyncio.run(send_and_await(n)) == 2 * n
    no_more_files_than(before)


def test_all_tasks_cancelled_by_somebody(served, tmp_path, monkeypatch):
    """Those that work for others go too; whoever still waits is served by the next look."""
    monkeypatch.setattr("taskmesh.client.ear.TICK_S", 0.05)
    monkeypatch.setattr("taskmesh.client.ear.NOBODY_SERVES_S", 3600.0)
    gate = tmp_path / "gate"

    async def survive(handle) -> int:
        for _ in range(TIMES):
            try:
                return await handle
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
        return await handle

    async def main() -> None:
        handles = [await after.adelay(str(gate), n) for n in range(3)]
        waiting = [asyncio.create_task(survive(handle)) for handle in handles]
        for _ in range(TIMES):
            await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        gate.touch()
        async with asyncio.timeout(TESTS_LAST_S):
            assert await asyncio.gather(*waiting) == [0, 1, 2]
        assert not ear_of(served.portal)._waits

    asyncio.run(main())


def test_a_web_server(served, tmp_path):
    """Requests come and go: most wait for their result, some clients leave, some time out."""
    gate = tmp_path / "gate"

    class App:
        """What FastAPI does with `async def` endpoints: a task per request, cancelled when the client leaves."""

        async def quick(self, n: int) -> int:
            return await (await add.adelay(n, n))

        async def slow(self, n: int) -> int:
            async with asyncio.timeout(0.05):
                return await (await after.adelay(str(gate), n))

        async def fire_and_forget(self, n: int) -> str:
            return (await add.adelay(n, n)).id

    async def serve() -> None:
        app = App()
        requests = []
        for n in range(300):
            endpoint = (app.quick, app.quick, app.fire_and_forget)[n % 3]
            requests.append(asyncio.create_task(endpoint(n)))
            if n % 7 == 0:
                await asyncio.sleep(0)
            if n % 10 == 9:
                requests[n - 5].cancel()
        slow = await asyncio.gather(*[app.slow(n) for n in range(3)], return_exceptions=True)
        gate.touch()
        assert [type(error) for error in slow] == [TimeoutError] * 3
        answers = await asyncio.gather(*requests, return_exceptions=True)
        for n, answer in enumerate(answers):
            if isinstance(answer, asyncio.CancelledError):
                assert n % 10 == 4
            elif n % 3 == 2:
                assert served.result(answer).id == answer
            else:
                assert answer == 2 * n
        assert not ear_of(served.portal)._waits

    asyncio.run(asyncio.wait_for(serve(), TESTS_LAST_S))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_loops_of_its_own(served):
    """As under a server that forks after the app was used: the child's own connections, and its own channel."""
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(send_and_await(1)) == 2
    child = os.fork()
    if child == 0:
        try:
            assert asyncio.run(asyncio.wait_for(send_and_await(2), TESTS_LAST_S)) == 4
            assert add.delay(1, 1).get(timeout=TESTS_LAST_S) == 2
            os._exit(0)
        finally:
            os._exit(1)
    assert loop.run_until_complete(send_and_await(3)) == 6
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert loop.run_until_complete(send_and_await(4)) == 8
    loop.close()


@pytest.mark.parametrize("how", ["run", "by hand", "exit"])
def test_a_program_says_nothing_at_its_end(how):
    """No warning, no traceback, whatever way its loop goes, with asyncio's debug mode on."""
    program = textwrap.dedent(f"""
        import asyncio, sys
        from tests.apps.async_tasks import add, mesh
        how = {how!r}
        # how long this machine takes for a step is nothing that a program should not say
        asyncio.BaseEventLoop.slow_callback_duration = property(lambda loop: 3600, lambda loop, seconds: None)

        async def main():
            handle = await add.aapply_async((1, 2), queue="nobody")
            try:
                await asyncio.wait_for(asyncio.shield(wait(handle)), 0.05)
            except TimeoutError:
                pass
            if how == "exit":
                sys.exit(3)
            return 0

        async def wait(handle):
            return await handle

        if how == "by hand":
            loop = asyncio.new_event_loop()
            async def brief():
                handle = await add.aapply_async((1, 2), queue="nobody")
                try:
                    await asyncio.wait_for(wait(handle), 0.05)
                except TimeoutError:
                    pass
            loop.run_until_complete(brief())
            loop.close()
            del loop
        else:
            asyncio.run(main())
        if how == "run":
            mesh.close()
    """)
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.stderr == ""
    assert run.returncode == (3 if how == "exit" else 0)
