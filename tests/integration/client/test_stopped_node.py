"""A server that hangs: it is there, and does not answer. Whoever has little time is told in that time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pytest
from redis.exceptions import RedisError

from taskmesh import TaskMesh
from taskmesh.errors import BatchError, NodeUnavailable, SendRejected, SendUnknown, TaskTimeout
from taskmesh.nodes.embedded import PrivateNode, start_private
from taskmesh.nodes.link import Link
from taskmesh.replication.ask import plain
from tests.support import wait_until

#: What a driver waits here for a connection and for one answer: far more than these callers ask for.
ANSWER_S = 120.0
SOON_S = 30.0
#: What these callers ask for. Whatever must succeed is tried again, since a busy machine needs longer.
HURRY_S = 0.3
T = TypeVar("T")


@pytest.fixture(scope="module")
def node(node_exists) -> Iterator[PrivateNode]:
    with start_private("stopped") as started:
        yield started


@pytest.fixture
def mesh(node, monkeypatch) -> Iterator[TaskMesh]:
    monkeypatch.setitem(Link.__init__.__kwdefaults__, "answer_timeout_s", ANSWER_S)
    url = f"unix://{node.socket_path}"
    with TaskMesh("stopped", nodes=[url], send_timeout=HURRY_S, connect_timeout=ANSWER_S) as made:
        yield made


def surely(call: Callable[[], T]) -> T:
    """Return what a call returns that can be repeated, once the node has answered in time."""
    done: list[T] = []

    def tried() -> bool:
        with suppress(NodeUnavailable, SendRejected, SendUnknown, BatchError, OSError, RedisError):
            done.append(call())
        return bool(done)

    wait_until(tried, what="the node answers in time")
    return done[0]


@contextmanager
def stopped(node: PrivateNode) -> Iterator[None]:
    """Stop the server, and fail if what is done meanwhile takes long."""
    pid = node.server_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        yield
        took_s = time.monotonic() - began_s
    finally:
        os.kill(pid, signal.SIGCONT)
    assert took_s < SOON_S


def add(x: int, y: int) -> int:
    return x + y


@pytest.mark.parametrize("listens", [True, False])
def test_get_keeps_its_timeout(node, mesh, listens):
    result = surely(lambda: mesh.task(add).delay(1, 2))
    if listens:
        assert not surely(result.ready)
        mesh.portal.inbox.begin()
    else:
        mesh.link.close()
    with stopped(node), pytest.raises(TaskTimeout):
        result.get(timeout=0.2)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_look_that_may_not_wait_is_told_soon_that_nobody_knows(node, mesh, is_known):
    sent = surely(lambda: mesh.task(add).starmap([(1, 2)]))
    if not is_known:
        mesh.close()
    with stopped(node):
        with pytest.raises(TaskTimeout, match="did not answer"):
            sent[0].get(timeout=0)
        with pytest.raises(TaskTimeout, match="did not answer"):
            sent.get(timeout=0)


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize(
    "ask",
    [
        lambda mesh, result: result.state,
        lambda mesh, result: result.ready(),
        lambda mesh, result: result.revoke(terminate=True),
        lambda mesh, result: result.forget(),
        lambda mesh, result: result.progress,
        lambda mesh, result: mesh.pause_queue("aside"),
        lambda mesh, result: mesh.resume_queue("aside"),
        lambda mesh, result: mesh.paused_queues(),
        lambda mesh, result: mesh.inspect().active(),
        lambda mesh, result: mesh.inspect().scheduled(),
        lambda mesh, result: mesh.stop_workers(),
    ],
    ids=[
        "state",
        "ready",
        "revoke",
        "forget",
        "progress",
        "pause",
        "resume",
        "paused",
        "active",
        "scheduled",
        "stop",
    ],
)
def test_whoever_asks_waits_as_long_as_a_sender(node, mesh, ask, is_first):
    result = mesh.result("nobody-knows-it")
    if not is_first:
        mesh.link.open()
    with stopped(node), pytest.raises(NodeUnavailable):
        ask(mesh, result)


@pytest.mark.parametrize(("is_first", "error"), [(False, SendUnknown), (True, SendRejected)])
def test_a_send_from_an_event_loop_keeps_its_timeout(node, mesh, is_first, error):
    task = mesh.task(add)

    async def send() -> None:
        if not is_first:
            # joined without haste; then it may or may not answer in time
            await mesh.link.open_async()
            with suppress(SendUnknown):
                await task.adelay(0, 0)
        with stopped(node), pytest.raises(error):
            await task.adelay(1, 2)

    asyncio.run(send())


def test_one_who_gives_up_in_an_event_loop_leaves_the_answers_of_others_alone(node, mesh):
    """They share a connection; what comes too late for him is not taken for what comes for them."""
    driver = mesh.link.open().async_driver
    session = mesh.link.session

    async def ask() -> list[Any]:
        assert await driver.run(plain(session, b"ECHO", b"first")) == b"first"
        with stopped(node):
            patient = asyncio.create_task(driver.run(plain(session, b"ECHO", b"patient")))
            with pytest.raises(NodeUnavailable, match="within 0"):
                await driver.run(plain(session, b"ECHO", b"hurried"), within_s=0.1)
        return [await patient, await driver.run(plain(session, b"ECHO", b"next"))]

    assert asyncio.run(ask()) == [b"patient", b"next"]


def test_a_send_keeps_its_timeout_and_says_that_it_may_be_recorded(node, mesh):
    """The server reads it when it goes on: it may well be recorded, and the same id can be sent again."""
    task = mesh.task(add)
    surely(lambda: task.delay(0, 0))
    with stopped(node), pytest.raises(SendUnknown):
        task.apply_async((1, 2), task_id="while-stopped")
    again = surely(lambda: task.apply_async((1, 2), task_id="while-stopped"))
    assert surely(lambda: again.state) == "PENDING"


def test_a_first_send_keeps_its_timeout_too(node, mesh):
    with stopped(node), pytest.raises(SendRejected, match="nothing was sent"):
        mesh.task(add).delay(1, 2)


def test_a_late_answer_is_nobodys(node, mesh):
    """The connection on which it would come is given up, so it is not taken for the answer to what is asked next."""
    task = mesh.task(add)
    first = surely(lambda: task.apply_async((1, 1), task_id="late-1", queue="late"))
    with stopped(node), pytest.raises(SendUnknown):
        task.apply_async((2, 2), task_id="late-2", queue="late")
    for number in range(3, 9):
        task_id = f"late-{number}"
        sent = surely(lambda it=task_id: task.apply_async((1, 2), task_id=it, queue="late"))
        assert (surely(lambda sent=sent: sent.state), sent.id) == ("PENDING", task_id)
    assert surely(lambda: first.state) == "PENDING"


def test_connections_made_in_a_hurry_wait_as_long_as_others_afterwards(node, mesh):
    driver = mesh.link.open().driver
    hurried, usual = surely(lambda: driver.connect(0.05)), driver.connect()
    for connection in (hurried, usual):
        assert connection.socket_timeout == usual.socket_timeout
        assert connection._sock.gettimeout() == usual.socket_timeout
        connection.send_command("PING")
        assert connection.read_response(timeout=90) == b"PONG"
        assert connection._sock.gettimeout() == usual.socket_timeout
        connection.disconnect()


@pytest.mark.parametrize("ask", ["astate", "aready", "aprogress", "arevoke"])
def test_a_look_from_a_loop_is_told_soon_and_holds_up_no_loop(node, mesh, ask):
    sent = surely(lambda: mesh.task(add).delay(1, 2))

    async def look_and_count() -> int:
        looking = asyncio.ensure_future(getattr(sent, ask)())
        turns = 0
        while not looking.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(NodeUnavailable):
            await looking
        return turns

    # a machine that stands still for the time of one look turns no loop meanwhile
    with stopped(node):
        assert any(asyncio.run(look_and_count()) > 2 for _ in range(10))
