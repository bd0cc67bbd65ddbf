"""A node that says, since its disk is an older one, that a child holds what the child knows nothing of."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count
from math import inf

import pytest

from taskmesh.core.keys import MANY_AT_ONCE
from taskmesh.nodes.embedded import PrivateNode
from taskmesh.queue.workers import register
from taskmesh.worker.concurrent_child import ConcurrentChild
from taskmesh.worker.options import EXIT_OK, ChildOrder
from taskmesh.worker.page import Page, make_page
from taskmesh.worker.template import build_of
from taskmesh.worker.wake import wake
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene

INCARNATION = "feedfacefeedface"
_numbers = count(1)


@pytest.fixture
def scene(make_scene: Callable[..., Scene], chaos_node: PrivateNode) -> Scene:
    """A mesh in which nobody takes a worker for dead that has no heart."""
    return make_scene(f"older{next(_numbers)}", f"unix://{chaos_node.socket_path}", lease_ttl=3600.0)


class Alone:
    """A child in a thread of this process, under a worker that is registered and has no supervisor."""

    def __init__(self, scene: Scene, pool: str) -> None:
        self.link = scene.mesh.link.open()
        self.link.run(register(self.link.session, INCARNATION.encode(), b'{"name": "alone"}'))
        page_fd = make_page(1)
        page = Page(page_fd)
        os.close(page_fd)
        order = ChildOrder(
            incarnation=INCARNATION,
            number=MANY_AT_ONCE + 1,
            place=0,
            worker="alone",
            queues=("default",),
            burst=False,
            pool=pool,
            slots=4,
        )
        self.holder = order.holder
        self.child = ConcurrentChild(scene.mesh, order, build_of(scene.mesh), page)
        self.codes: list[int] = []
        self.thread = threading.Thread(target=lambda: self.codes.append(self.child.run()))
        self.thread.start()

    def end(self) -> None:
        self.child.stop()
        self.link.run(wake(self.link.session, [self.holder]))
        self.thread.join(90)
        assert self.codes == [EXIT_OK]


@pytest.mark.parametrize("pool", ["thread", "async"])
@pytest.mark.parametrize("same_claim", [False, True])
def test_it_is_given_back_and_what_runs_is_not(scene: Scene, pool: str, same_claim: bool) -> None:
    """It may stand under a claim that nobody has heard of, or beside a message of this very claim that still runs."""
    alone = Alone(scene, pool)
    held = scene.send(tasks.hold_async, str(scene.folder), "held", expect=0)
    scene.started("held")
    alone.child._talk._compare_at_s = inf  # not before all of it is there
    run = f"{scene.prefix}run:{alone.holder.decode()}"
    ((sequence, ids),) = scene.node.hgetall(run).items()
    lost = scene.enter(scene.task(tasks.add).apply_async((1, 2), queue="elsewhere"), 3)
    # as if it had been claimed, by the word of the node
    before = scene.node.get(f"{scene.prefix}r:{lost.id}")
    epoch = scene.node.get(f"{scene.prefix}r:{held.id}")[10:22]
    lease = epoch + alone.holder + (sequence if same_claim else b"00000000")
    version = b"%08x" % (int(before[2:10], 16) + 1)
    scene.node.setrange(f"{scene.prefix}r:{lost.id}", 1, b"T" + version + lease)
    if same_claim:
        scene.node.hset(run, sequence, ids + b"\n" + lost.id.encode())
    else:
        scene.node.hset(run, b"00000000", lost.id)
    assert scene.state_of(lost) == "STARTED"
    alone.child._talk._compare_at_s = 0.0
    alone.link.run(wake(alone.link.session, [alone.holder]))
    other = scene.worker(queues=("elsewhere",))
    assert lost.get(90) == 3
    assert scene.state_of(held) == "STARTED"
    scene.let("held")
    scene.check()
    alone.end()
    assert other.process.poll() is None
