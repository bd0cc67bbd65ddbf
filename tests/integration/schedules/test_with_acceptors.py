"""A leader over three acceptors of their own; and the twins for event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from taskmesh import TaskMesh, every
from taskmesh.replication.ask import plain
from taskmesh.scheduler.candidate import Standing
from tests.faults.server import ALWAYS, Server
from tests.support import wait_until

KEY = "acceptors-" + 64 * "0"


@pytest.mark.slow
def test_schedules_go_on_without_a_minority_and_stop_without_a_majority(
    make_server: Callable[..., Server],
) -> None:
    """One acceptor of three dies: nothing. Two: the lease lapses and nothing fires. One is back: it goes on."""
    data = make_server()
    acceptors = [make_server(fsync=ALWAYS) for _ in range(3)]
    settings = {"nodes": [data.url], "acceptors": [each.url for each in acceptors], "key": KEY}
    with TaskMesh("three", **settings) as mesh, TaskMesh("three", **settings) as own:
        task = mesh.task(name="tick")(print)
        mesh.schedule("ticks", every(0.1), task.s())
        standing = Standing(own.link, own.agreement, "ann").start()
        node = mesh.link

        def fired() -> int:
            return int(node.run(plain(node.session, b"LLEN", b"tm:three:q:default:4")))

        def goes_on() -> bool:
            count = fired()
            return bool(wait_until(lambda: fired() > count, 20, "another firing"))

        try:
            assert goes_on()
            acceptors[0].kill()
            assert goes_on()
            acceptors[1].kill()
            wait_until(lambda: not standing.may_act, 20, "the lease has lapsed")
            count = fired()
            acceptors[1].start()
            wait_until(lambda: standing.may_act, 30, "somebody leads again")
            assert goes_on()
            assert fired() > count
        finally:
            standing.join(5)


def test_the_twins_for_event_loops(mesh: TaskMesh, mesh_worker) -> None:
    """Each does what the other does."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)

    async def all_of_them() -> None:
        assert await mesh.aschedule("sums", every(3600), task.s(2, 3))
        (view,) = await mesh.schedules.alist()
        assert (await mesh.schedules.aget("sums")) == view
        assert await mesh.schedules.apause("sums")
        assert (await mesh.schedules.aget("sums")).coming(3) == []
        assert await mesh.schedules.aresume("sums")
        assert await (await mesh.schedules.arun_now("sums")) == 5
        assert await mesh.schedules.aremove("sums")
        assert await mesh.schedules.alist() == []

    asyncio.run(all_of_them())
