"""Workers of different builds side by side: what one does not know, another may."""

from __future__ import annotations

import signal
from collections.abc import Callable

from taskmesh.errors import TaskDead
from taskmesh.nodes.embedded import PrivateNode
from tests.apps.ledger_tasks import entry
from tests.faults.load import Load
from tests.faults.scene import Scene
from tests.support import wait_until

NEW_BUILD = {"TASKMESH_TEST_NEW_BUILD": "1"}
OLD_BUILD = {"TASKMESH_TEST_OLD_BUILD": "1"}


def newcomer(x: int) -> int:
    return x


newcomer.__module__ = "tests.apps.worker_chaos"


def send_newcomer(scene: Scene, expect: object, value: int = 5):
    name = "tests.apps.worker_chaos.newcomer"
    task = scene.mesh.tasks.get(name) or scene.mesh.task(newcomer)
    return scene.enter(task.delay(value), expect)


def test_an_unknown_task_waits_for_a_worker_that_knows_it(scene: Scene) -> None:
    scene.worker(1, name="old")
    sent = send_newcomer(scene, expect=5)
    wait_until(lambda: scene.state_of(sent) == "SCHEDULED", what="it is parked")
    scene.worker(1, name="new", env=NEW_BUILD)
    assert sent.get(90) == 5
    scene.check()


def test_in_a_rolling_deploy_unknown_tasks_reach_the_new_build(calm: Scene) -> None:
    """Both builds serve the queue, and the old one is faster at taking what it must leave."""
    scene = calm
    scene.worker(4, name="old")
    scene.worker(1, name="new", env=NEW_BUILD)
    for value in range(10):
        send_newcomer(scene, expect=value, value=value)
    scene.check()


def test_an_unknown_task_is_given_up_after_the_grace(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode
) -> None:
    scene = make_scene("unknown-grace", f"unix://{chaos_node.socket_path}", unknown_task_grace=0.5)
    scene.worker(1)
    sent = send_newcomer(scene, expect=TaskDead)
    assert "no worker of this build knows the task 'tests.apps.worker_chaos.newcomer'" in scene.reason(sent)
    scene.check()


def test_builds_change_one_by_one_under_load_there_and_back(calm: Scene, seed: int) -> None:
    """What the older build does not know it parks; nothing is lost, charged or run twice, either way."""
    scene = calm
    builds = [scene.worker(1, name=f"old{number}", env=OLD_BUILD) for number in (1, 2)]
    with Load(scene, seed=seed, ahead=15, bulk=4) as load:
        load.accepted(10)
        wait_until(lambda: scene.node.hlen(f"{scene.prefix}parked") > 5, what="the old build parks")
        for name, env in (("new1", {}), ("new2", {}), ("old3", OLD_BUILD)):
            builds.append(scene.worker(1, name=name, env=env))
            load.ran(5)
            leaving = builds.pop(0)
            leaving.send(signal.SIGTERM)
            assert leaving.exit_code() == 0
        load.ran(5)
    load.balance()


def test_an_older_build_does_not_take_all_that_it_must_leave(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode
) -> None:
    """Its children are more, and parking takes less than running: still nothing is given up for want of a build."""
    scene = make_scene("older-build", f"unix://{chaos_node.socket_path}", unknown_task_grace=40.0)
    for name in ("old1", "old2"):
        scene.worker(2, name=name, env=OLD_BUILD)
    scene.worker(2, name="new")
    load = Load(scene, ahead=0)
    for handle in scene.task(entry).starmap([(str(load.folder), 0.002)] * 300):
        load.handles[handle.id] = handle
        load.ledger.accepted[handle.id] = "ok"
    load.balance()
