"""The network between everybody and the node misbehaves: connections end, fall silent, lose answers, drip."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from taskmesh.errors import SendError
from tests.apps import worker_tasks as tasks
from tests.faults.load import Load
from tests.faults.nemesis import children
from tests.faults.proxy import Proxy, Way
from tests.faults.scene import Scene
from tests.faults.server import Server
from tests.support import await_until, wait_until


@pytest.fixture
def far(make_scene: Callable[..., Scene], server: Server, proxy: Proxy) -> Scene:
    """A mesh whose node everybody reaches through the proxy; the test itself looks at it directly."""
    return make_scene(
        "far", proxy.url, direct=server.url, send_timeout=1.0, connect_timeout=1.0, lease_ttl=5.0
    )


def test_reset_connections(far: Scene, proxy: Proxy, seed: int) -> None:
    far.worker(2)
    with Load(far, seed=seed) as load:
        for _ in range(8):
            load.ran(60)
            proxy.reset()
    load.balance()


def test_a_flapping_network(far: Scene, proxy: Proxy, seed: int) -> None:
    """Connections are refused and allowed by turns; there is progress all the while."""
    far.worker(2)
    with Load(far, seed=seed) as load:
        for _ in range(4):
            load.ran(40)
            proxy.be(Way.CLOSED)
            proxy.reset()
            load.refused()
            proxy.be(Way.PASS)
    load.balance()


def test_half_open_connections(far: Scene, proxy: Proxy, seed: int) -> None:
    """As when a firewall forgets them: no end is ever told. Everybody notices, and makes new ones."""
    far.worker(2)
    with Load(far, seed=seed) as load:
        load.ran(100)
        proxy.silence()
        load.ran(300)
    load.balance()


def test_a_black_hole(far: Scene, proxy: Proxy, seed: int) -> None:
    """Nothing arrives, either way, and then all that was held back does: late claims, late commits, late sends."""
    worker = far.worker(2)
    with Load(far, seed=seed) as load:
        load.ran(100)
        proxy.be(Way.HOLE)
        load.refused()
        proxy.be(Way.PASS)
        load.ran(200)
    load.balance()
    assert "declared dead" not in worker.said(), "who is cut off himself accuses nobody"


def test_lost_answers(far: Scene, proxy: Proxy, seed: int) -> None:
    """What is asked arrives and is done; nobody is told. Everybody asks again, and nothing is done twice."""
    far.worker(2)
    with Load(far, seed=seed) as load:
        for _ in range(2):
            load.ran(100)
            proxy.be(Way.DEAF)
            load.refused()
            proxy.be(Way.PASS)
    load.balance()


def test_a_slow_drip(far: Scene, proxy: Proxy, seed: int) -> None:
    far.worker(2)
    with Load(far, seed=seed) as load:
        load.ran(100)
        proxy.be(Way.DRIP)
        load.ran(100)
        proxy.be(Way.PASS)
        load.ran(50)
    load.balance()


def test_a_worker_cut_off_past_its_lease(
    make_scene: Callable[..., Scene], server: Server, proxy: Proxy, seed: int
) -> None:
    """Only its way to the node is a hole: others take over, and what it says afterwards does not count."""
    scene = make_scene("cut", server.url, send_timeout=1.0, lease_ttl=3.0)
    cut = scene.worker(2, name="cut", env={"TASKMESH_NODES": proxy.url})
    near = scene.worker(2, name="near")
    with Load(scene, seed=seed) as load:
        load.ran(100)
        load.ledger.gone |= {child.pid for child in children(cut)}
        proxy.be(Way.HOLE)
        near.says("is declared dead")
        load.ran(100)
        proxy.be(Way.PASS)
        cut.says("it begins anew")
        load.ran(100)
    load.balance()


def test_a_half_open_subscription_is_not_relied_on_for_ever(far: Scene, server: Server, proxy: Proxy) -> None:
    """Results would come with the next look only, each of them: who has missed one listens anew."""
    far.worker(1, env={"TASKMESH_NODES": server.url})
    assert surely(far, tasks.add, 1, 1).get(90) == 2
    inbox = far.mesh.portal.inbox
    before = inbox.round
    proxy.silence()
    handle = surely(far, tasks.hold, str(far.folder), "held")
    threading.Timer(0.5, far.let, ("held",)).start()
    assert handle.get(90) == 0
    assert surely(far, tasks.add, 1, 2).get(90) == 3
    wait_until(lambda: inbox.round > before, what="it listens anew")


def test_an_awaited_result_does_not_rely_on_a_half_open_subscription(
    make_scene: Callable[..., Scene], server: Server, proxy: Proxy
) -> None:
    # its sends have time; only who waits is to give up soon on a connection that does not answer
    far = make_scene("far", proxy.url, direct=server.url, lease_ttl=5.0)
    far.worker(1, env={"TASKMESH_NODES": server.url})
    task = far.task(tasks.add)
    far.mesh.link._timeouts = (1.0, 1.0)

    async def wait_twice() -> None:
        assert await (await task.adelay(1, 1)) == 2
        (ear,) = far.mesh.portal.ears.values()
        before = ear.round
        handle = await far.task(tasks.hold).adelay(str(far.folder), "held")
        proxy.silence()
        asyncio.get_running_loop().call_later(0.5, far.let, "held")
        assert await handle == 0
        await await_until(lambda: ear.round != before)

    asyncio.run(wait_twice())


def surely(scene: Scene, function: Callable[..., Any], *args: Any) -> Any:
    """Send, again and again under one id where the node does not answer in time, and return the handle."""
    task_id = uuid.uuid4().hex

    def accepted() -> Any:
        try:
            return scene.task(function).apply_async(args, task_id=task_id)
        except SendError:
            return None

    return wait_until(accepted, what="it is accepted")
