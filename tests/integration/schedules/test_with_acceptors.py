"""A leader over three acceptors of their own; and the twins for event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest

from taskmesh import TaskMesh, every
from taskmesh.coordination.leader import Tenure
from taskmesh.errors import TaskMeshError
from taskmesh.replication.ask import plain
from taskmesh.scheduler.candidate import Standing
from taskmesh.scheduler.fire import Firing
from tests.faults.server import ALWAYS, Server
from tests.integration.schedules.test_firing import nominal
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
            return bool(wait_until(lambda: fired() > count, what="another firing"))

        try:
            assert goes_on()
            acceptors[0].kill()
            assert goes_on()
            acceptors[1].kill()
            wait_until(lambda: not standing.may_act, what="the lease has lapsed")
            count = fired()
            acceptors[1].start()
            wait_until(lambda: standing.may_act, what="somebody leads again")
            assert goes_on()
            assert fired() > count
        finally:
            standing.join(90)


def test_what_came_while_the_node_was_away_is_run_as_if_it_had_been_missed(
    make_server: Callable[..., Server],
) -> None:
    """The leader's lease lasts, for acceptors answer: with `all` each moment comes, with `latest` the last of the late.

    Also where another schedule could not be decided upon at the same moment, since that one depends on the node.
    """
    data, acceptor = make_server(), make_server(fsync=ALWAYS)
    with TaskMesh("two", nodes=[data.url], acceptors=[acceptor.url], key=KEY) as mesh:
        task = mesh.task(name="tick")(print)
        for misfire in ("all", "latest"):
            mesh.schedule(misfire, every(0.2), task.s(), misfire=misfire)
        mesh.schedule("alone", every(0.2), task.s(), misfire="all", overlap="skip")
        firing = Firing(mesh.link, mesh.agreement, Tenure(5), lambda: True, "ann")
        firing.begin()
        wait_until(lambda: firing.turn() >= 0 and firing.fired > 6)
        data.kill()
        gone_ms = mesh.link.clock.now_ms()
        for _ in range(2):
            with pytest.raises(TaskMeshError):
                wait_until(lambda: firing.turn() < 0)
        back_ms = mesh.link.clock.now_ms()
        data.start()
        at_s = time.monotonic()
        mesh.link.clock.measured(back_ms / 1000 + 60, at_s, at_s)
        wait_until(lambda: firing.turn() >= 0 and not firing._pending and not firing._undecided)
        with data.client() as node:
            moments = {name: nominal(node, mesh, name) for name in ("all", "latest")}
    assert {later - earlier for earlier, later in pairwise(moments["all"])} == {200}
    assert [moment for moment in moments["all"] if gone_ms < moment < back_ms]
    assert not [moment for moment in moments["latest"] if gone_ms < moment < back_ms]


def test_a_leader_that_stops_while_the_node_is_away_leaves_its_firings_to_the_next(
    make_server: Callable[..., Server],
) -> None:
    """It has decided upon one that may not overlap, and could not enqueue it: nobody is told that it was."""
    data, acceptor = make_server(), make_server(fsync=ALWAYS)
    with TaskMesh("two", nodes=[data.url], acceptors=[acceptor.url], key=KEY) as mesh:
        task = mesh.task(name="tick")(print)
        first = Firing(mesh.link, mesh.agreement, Tenure(5), lambda: True, "ann")
        first.begin()
        mesh.schedule("alone", every("1h"), task.s(), misfire="all", overlap="skip")
        clock = mesh.link.clock
        wait_until(lambda: first.turn() >= 0 and first.definitions.known)
        data.kill()
        at_s = time.monotonic()
        clock.measured(clock.now_ms() / 1000 + 3600, at_s, at_s)

        def turn() -> bool:
            with suppress(TaskMeshError):
                first.turn()
            return bool(first._pending)

        wait_until(turn)
        first.flush()
        data.start()
        following = Firing(mesh.link, mesh.agreement, Tenure(6), lambda: True, "bob")
        following.begin()
        following.turn()
        with data.client() as node:
            assert len(nominal(node, mesh, "alone")) == 1


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
