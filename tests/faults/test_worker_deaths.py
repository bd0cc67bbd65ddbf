"""A whole worker dies, or seems to: its messages run elsewhere, and it cannot overwrite anything."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import psutil

from taskmesh import AsyncResult
from taskmesh.nodes.embedded import PrivateNode
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, Worker, is_gone, kill
from tests.support import wait_until


def test_a_killed_supervisor_takes_its_children_along(scene: Scene) -> None:
    worker = scene.worker(2)
    family = [process.pid for process in worker.family()]
    assert len(family) == 4
    kill(worker.pid)
    wait_until(lambda: all(is_gone(pid) for pid in family), what="no process is left")


def test_a_worker_that_died_on_this_host_is_recognised_at_once(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode
) -> None:
    """A lease of an hour does not matter: the newcomer sees that the process does not exist any more."""
    scene = make_scene("same-host", f"unix://{chaos_node.socket_path}", lease_ttl=3600.0)
    doomed = scene.worker(1, name="doomed")
    held = scene.send(tasks.hold, str(scene.folder), "held", 3, expect=3)
    scene.started("held")
    waiting = scene.send(tasks.add, 1, 1, expect=2)
    kill(doomed.pid)
    scene.worker(1, name="heir")
    scene.started("held", times=2)
    scene.let("held")
    scene.check()
    assert scene.crashes(held) == 1
    assert scene.crashes(waiting) == 0
    assert list(scene.live_workers()) == ["heir"]


def test_one_that_comes_back_under_its_name_is_not_taken_for_the_dead_one(scene: Scene) -> None:
    """By the tests: until it has declared the other dead, both count as live, and only one can run anything."""
    scene.worker(1, name="same").end()
    heir = scene.worker(1, name="same")
    assert heir.said().count("worker same of mesh") == 2
    assert scene.children_of("same") == 1


def test_a_worker_on_a_dead_machine_is_declared_dead_when_its_lease_ends(scene: Scene) -> None:
    """What was held alone is charged; of several held together any may be guilty, so none is."""
    folder = str(scene.folder)
    far = scene.worker(1, name="far")
    # all it tells of itself is that it runs elsewhere
    key = f"{scene.prefix}w:{scene.live_workers()['far']}"
    about = json.loads(scene.node.hget(key, "info"))
    scene.node.hset(key, "info", json.dumps(about | {"host": "elsewhere"}))
    held = scene.send(tasks.hold, folder, "held", 3, expect=3)
    scene.started("held")
    waiting = scene.send_many(tasks.add, [(i, 1) for i in range(5)], range(1, 6))
    kill(far.pid)
    near = scene.worker(1, name="near")
    near.says("is declared dead")
    scene.started("held", times=2)
    scene.let("held")
    scene.check()
    assert scene.crashes(held) == 1
    assert [scene.crashes(handle) for handle in waiting] == [0] * 5


def test_what_was_handed_to_a_dead_child_has_not_begun_and_is_not_charged(scene: Scene) -> None:
    """The node takes the child for idle until its worker is declared dead."""
    doomed = scene.worker(1, name="doomed")
    doomed.signal_all(signal.SIGSTOP)  # so that nobody signs off
    kill(doomed.template())
    for process in doomed.family():
        process.kill()
    # its connection is gone, so a wake-up stays where it is; the node still takes the child for idle
    wait_until(lambda: scene.node.info("clients")["blocked_clients"] == 0)
    wait_until(lambda: scene.idle() == 1)
    sent = scene.send(tasks.add, 1, 2, expect=3)
    assert scene.state_of(sent) == "STARTED"
    scene.worker(1, name="heir", ready=False)
    scene.check()
    assert scene.crashes(sent) == 0


def test_messages_that_died_together_are_claimed_singly_and_nobody_is_charged(scene: Scene) -> None:
    folder = str(scene.folder)
    far = scene.worker(1, name="far")
    key = f"{scene.prefix}w:{scene.live_workers()['far']}"
    about = json.loads(scene.node.hget(key, "info"))
    scene.node.hset(key, "info", json.dumps(about | {"host": "elsewhere"}))

    def claimed_together() -> tuple[str, Any, list[AsyncResult[float]]] | None:
        scene.send_many(tasks.add, [(i, 1) for i in range(200)], range(1, 201))
        scene.settle()  # it claims many at once from now on
        slow = f"slow{len(scene.accepted)}"
        calls = [(folder, slow, -1.0)] + [(folder, f"quick{i}", 0.0) for i in range(9)]
        # the supervisor is stopped: nobody recalls what waits behind the slow one
        far.supervisor.suspend()
        sent = scene.send_many(tasks.hold_or_nap, calls, [call[2] for call in calls])
        scene.started(slow)
        held = b"\n".join(scene.node.hvals(f"{scene.prefix}run:{scene.live_workers()['far']}000001")).split()
        # all ten, where the machine has little else to do
        together = [handle for handle in sent if handle.id.encode() in held]
        if len(together) > 1:
            return slow, sent, together
        # where the machine stood still meanwhile, a child may claim singly
        far.supervisor.resume()
        scene.let(slow)
        return None

    slow, sent, together = wait_until(claimed_together, 240, "several are claimed together")
    kill(far.pid)
    near = scene.worker(1, name="near")
    near.says("is declared dead")
    assert "worker far (" in near.said()
    scene.let(slow)
    scene.check()
    assert [scene.crashes(handle) for handle in sent] == [0] * 10
    assert all(scene.record(handle.id).flags & 4 for handle in together)


def test_a_killed_template_ends_the_worker_and_its_messages_go_back_uncharged(scene: Scene) -> None:
    worker = scene.worker(2)
    held = scene.send(tasks.hold, str(scene.folder), "held", 3, expect=3)
    child = scene.started("held")
    kill(worker.template())
    assert worker.exit_code() == 1
    assert is_gone(child)
    assert scene.state_of(held) == "PENDING"
    scene.let("held")
    scene.worker(1)
    scene.check()
    assert scene.crashes(held) == 0


def test_a_killed_template_does_not_keep_a_worker_from_stopping(scene: Scene) -> None:
    worker = scene.worker(1)
    held = scene.send(tasks.hold, str(scene.folder), "held", 3, expect=3)
    scene.started("held")
    worker.send(signal.SIGTERM)
    worker.says("stops: running tasks have")
    kill(worker.template())
    worker.exit_code()
    scene.let("held")
    scene.worker(1)
    scene.check()
    assert scene.crashes(held) == 0


def stopped_past_its_lease(scene: Scene) -> tuple[AsyncResult[int], Worker, int]:
    """Return a message that one worker runs while another one, which was stopped, still believes to run it."""
    zombie = scene.worker(1, name="zombie")
    held = scene.send(tasks.hold_run, str(scene.folder), "held", expect=1)
    child = scene.started("held-0")
    zombie.signal_all(signal.SIGSTOP)
    scene.worker(1, name="other").says("is declared dead")
    scene.started("held-1")
    return held, zombie, child


def test_a_worker_that_was_stopped_past_its_lease_cannot_overwrite_anything(scene: Scene) -> None:
    """Neither while the other one runs the message, nor when that has ended."""
    held, zombie, child = stopped_past_its_lease(scene)
    scene.let("held-0")
    # the child alone: its supervisor would end it before it could try
    psutil.Process(child).resume()
    zombie.says(f"the outcome of task {held.id} was refused")
    assert scene.state_of(held) == "STARTED"
    scene.let("held-1")
    assert held.get(90) == 1
    scene.look()
    zombie.signal_all(signal.SIGCONT)
    zombie.says("it begins anew")
    scene.check()
    assert scene.crashes(held) == 1


def test_a_worker_that_was_stopped_past_its_lease_ends_its_children_and_begins_anew(calm: Scene) -> None:
    scene = calm  # when it has begun anew, it judges the other one as well
    held, zombie, child = stopped_past_its_lease(scene)
    zombie.signal_all(signal.SIGCONT)
    zombie.says("it begins anew")
    wait_until(lambda: is_gone(child), what="what it had run is ended")
    wait_until(lambda: "zombie" in scene.live_workers(), what="it is known again, as somebody else")
    scene.workers[1].send(signal.SIGTERM)
    scene.let("held-1")
    assert scene.workers[1].exit_code() == 0
    assert held.get(90) == 1
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()


def test_workers_started_from_python_stop_when_that_process_is_killed(scene: Scene) -> None:
    """Nobody else would ever tell them to."""
    worker = scene.worker(1, parent=1, ready=False)
    assert worker.exit_code() == 0
    assert "the process that started worker" in worker.said()
