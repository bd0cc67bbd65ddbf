"""Answers that never arrive, and calls that arrive too late: one child, and a node that has heard more, or less."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from taskmesh.core import keys
from taskmesh.errors import NodeFault
from taskmesh.queue.claim import claim, held
from taskmesh.queue.workers import reap, register
from taskmesh.worker.child import Child
from taskmesh.worker.options import EXIT_OK, ChildOrder
from taskmesh.worker.page import Page, make_page
from taskmesh.worker.template import build_of
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until

QUEUES = (b"default",)
INCARNATION = "feedfacefeedface"


class Alone:
    """A child in a thread of this process, under a worker that is registered and has no supervisor."""

    def __init__(self, scene: Scene) -> None:
        self.link = scene.mesh.link.open()
        self.link.run(register(self.link.session, INCARNATION.encode(), b'{"name": "alone"}'))
        page_fd = make_page(1)
        page = Page(page_fd)
        os.close(page_fd)
        page.clear(0)
        order = ChildOrder(
            incarnation=INCARNATION,
            number=1,
            place=0,
            worker="alone",
            queues=("default",),
            burst=False,
        )
        self.holder = order.holder
        self.child = Child(scene.mesh, order, build_of(scene.mesh), page)
        self.codes: list[int] = []
        self.thread = threading.Thread(target=lambda: self.codes.append(self.child.run()))

    def claim(self, sequence: int) -> list[object]:
        """Claim as the child would; it does not hear of it."""
        return self.link.run(claim(self.link.session, self.holder, sequence, 10, QUEUES, idle=sequence > 1))

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        """Have it stop by itself; it must have known all the while what it held."""
        if self.thread.ident is not None:
            self.child.stop()
            self.thread.join(90)
            assert self.codes == [EXIT_OK]


@pytest.fixture
def alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> Iterator[Alone]:
    made = Alone(scene)
    yield made
    made.end()
    said = [record.getMessage() for record in caplog.get_records("call")]
    assert not [text for text in said if "was never heard of here" in text]


def test_a_claim_whose_answer_was_lost_is_answered_again(scene: Scene, alone: Alone) -> None:
    scene.send_many(tasks.add, [(i, 1) for i in range(5)], range(1, 6))
    assert len(alone.claim(1)) == 5
    alone.start()
    scene.check()


def test_an_empty_claim_whose_answer_was_lost_before_a_message_was_handed_over(
    scene: Scene, alone: Alone
) -> None:
    """The child repeats a claim that is behind what the node knows of it: it must neither die nor miss anything."""
    assert alone.claim(1) == []
    sent = scene.send(tasks.add, 1, 2, expect=3)
    assert scene.state_of(sent) == "STARTED", "it was handed to the idle child"
    alone.start()
    scene.check()


def test_a_message_whose_wake_up_was_lost_comes_with_the_next_claim(scene: Scene, alone: Alone) -> None:
    assert alone.claim(1) == []
    scene.send(tasks.add, 1, 2, expect=3)
    assert scene.node.lpop(keys.wake(alone.link.prefix, alone.holder)) is not None
    alone.start()
    scene.check()


def test_a_claim_of_a_dead_child_comes_too_late(scene: Scene, alone: Alone) -> None:
    """Else its messages would be held by nobody until the worker ends."""
    sent = scene.send(tasks.add, 1, 2, expect=3)
    session = alone.link.session
    assert alone.link.run(reap(session, alone.holder, INCARNATION.encode(), QUEUES)) == 0
    with pytest.raises(NodeFault, match="OLDSEQUENCE"):
        alone.claim(1)
    assert alone.link.run(held(session, alone.holder)) == []
    assert scene.state_of(sent) == "PENDING"
    scene.worker(1)
    scene.check()


def test_a_forged_wake_up_costs_nothing_but_a_line_in_the_log(scene: Scene, alone: Alone) -> None:
    """It names the very claim that the child expects, and a message that does not exist."""
    lease = alone.link.session.epoch + alone.holder + b"00000002"
    scene.node.rpush(
        keys.wake(alone.link.prefix, alone.holder), b"h" + lease + b"no-such-id:00000001\nrecord"
    )
    alone.start()
    known = f"{scene.prefix}w:{INCARNATION}"
    wait_until(
        lambda: scene.node.hget(known, "s000001") == b"00000003", what="it has refused that and gone on"
    )
    for value in range(3):
        scene.send(tasks.add, value, 1, expect=value + 1).get(90)
    scene.check()
