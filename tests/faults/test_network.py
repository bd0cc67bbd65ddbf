"""The network between everybody and the node misbehaves: connections end, fall silent, lose answers, drip."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.load import Load
from tests.faults.nemesis import children
from tests.faults.proxy import Proxy, Way
from tests.faults.scene import Scene
from tests.faults.server import Server


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
        for _ in range(6):
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
