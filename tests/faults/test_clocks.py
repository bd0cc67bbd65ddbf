"""Wall clocks of a node, a worker, a caller are moved by most of an hour: no lease is lost, nothing runs twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.clock import Clock
from tests.faults.leaders import Contest
from tests.faults.load import Load
from tests.faults.scene import Scene
from tests.faults.server import Server
from tests.support import wait_until

#: Less than results are kept, which is an hour of the clock that is moved.
MOVED_S = 3000


@pytest.mark.parametrize("seconds", [MOVED_S, -MOVED_S], ids=["ahead", "back"])
def test_the_clock_of_the_node(
    make_scene: Callable[..., Scene],
    make_server: Callable[..., Server],
    clock: Clock,
    seed: int,
    seconds: int,
) -> None:
    """Moved under load; a worker and a caller who come afterwards measure it as it is then."""
    server = make_server(env=clock.env)
    scene = make_scene("node-clock", server.url, lease_ttl=5.0)
    before = int(scene.ask("TIME")[0])
    worker = scene.worker(2)
    later = scene.task(tasks.add).apply_async((1, 2), countdown=MOVED_S + 1800)
    with Load(scene, seed=seed) as load:
        load.ran(100)
        clock.move(seconds)
        wait_until(
            lambda: abs(int(scene.ask("TIME")[0]) - before - seconds) < 600, what="the node's clock moves"
        )
        load.ran(200)
        newcomer = scene.worker(2)
        load.ran(200)
    load.balance(left=False)
    assert scene.state_of(later) == "SCHEDULED"
    assert "declared dead" not in worker.said() + newcomer.said()


@pytest.mark.parametrize("seconds", [MOVED_S, -MOVED_S], ids=["ahead", "back"])
def test_the_clock_of_a_worker(
    make_scene: Callable[..., Scene], server: Server, clock: Clock, seed: int, seconds: int
) -> None:
    """Wrong from its start, and moved the other way later: it goes by the node's."""
    scene = make_scene("worker-clock", server.url, lease_ttl=5.0)
    clock.move(seconds)
    wrong = scene.worker(2, env=clock.env)
    right = scene.worker(1)
    later = scene.task(tasks.add).apply_async((1, 2), countdown=600)
    with Load(scene, seed=seed) as load:
        load.ran(150)
        clock.move(-seconds)
        load.ran(150)
    load.balance(left=False)
    assert scene.state_of(later) == "SCHEDULED"
    assert "declared dead" not in wrong.said() + right.said()


@pytest.mark.parametrize("seconds", [MOVED_S, -MOVED_S], ids=["ahead", "back"])
def test_the_clock_of_the_leader(server: Server, clock: Clock, tmp_path: Path, seconds: int) -> None:
    """It keeps the lead, and goes on firing what is due by the node's clock: each moment once, none off by as much."""
    contest = Contest(server, tmp_path, candidates=2, env=clock.env)
    try:
        clock.move(seconds)
        count = contest.fired()
        wait_until(lambda: contest.fired() >= count + 40, what="it goes on firing")
        assert contest.leader().token == contest.tokens[-1]
        last_ms = contest.moments()[-1]
        now_s = int(contest.node.time()[0])
        assert abs(now_s - last_ms / 1000) < 30
        contest.check()
    finally:
        contest.close()
