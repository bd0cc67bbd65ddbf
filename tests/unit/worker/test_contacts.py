"""The contact of a run: seldom written, never in the wrong order, and no trouble of the node is the task's."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from taskmesh.codec.keyring import Keyring
from taskmesh.codec.telling import Telling, decode_telling
from taskmesh.core.context import CURRENT, Running, current_task
from taskmesh.errors import NodeUnavailable
from taskmesh.worker import contacts
from taskmesh.worker.contacts import Contacts, WorkerContact
from tests.support import wait_until

TOKEN = "0" * 50


class FakeNode:
    """Stands for the link: keeps what is written, answers what it is told to."""

    def __init__(self) -> None:
        self.tellings = Keyring.new().signer("telling", "mesh")
        self.session = SimpleNamespace(prefix=b"tm:mesh:", now_ms=lambda: 0, call=lambda _script, *args: args)
        self.written: list[Telling] = []
        self.answers: list[Any] = []
        self.asked = 0
        self.hold: threading.Event | None = None

    def run(self, steps: Any) -> Any:
        (call,) = next(steps)
        steps.close()
        if self.hold is not None:
            assert self.hold.wait(90)
        if not isinstance(call, tuple):
            self.asked += 1
            return self._answer(False)
        answer = self._answer(True)
        found = decode_telling(call[2], self.tellings, expect_id="id", expect_token=TOKEN)
        assert found is not None
        self.written.append(found)
        return answer

    def _answer(self, otherwise: Any) -> Any:
        answer = self.answers.pop(0) if self.answers else otherwise
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def done(self) -> list[Any]:
        return [telling.done for telling in self.written]


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def contact(node: FakeNode) -> Any:
    made = WorkerContact(node, "id", TOKEN)  # type: ignore[arg-type]
    yield made
    made.close()


def test_the_first_is_written_at_once_and_the_last_soon(node: FakeNode, contact: WorkerContact) -> None:
    began_s = time.monotonic()
    for done in range(10_000):
        contact.report_progress(done, None, None)
    assert node.done[0] == 0
    wait_until(lambda: node.done[-1] == done, what="the last is written")
    assert len(node.written) <= (time.monotonic() - began_s) / contacts.TELLING_S + 3
    assert sorted(node.done) == node.done


def test_nothing_is_written_after_the_end(
    node: FakeNode, contact: WorkerContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact.report_progress(1, None, None)
    monkeypatch.setattr(contacts, "TELLING_S", 3600.0)
    contact.report_progress(2, None, None)
    contact.close()
    contact.report_progress(3, None, None)
    assert node.done == [1]
    assert contact._timer is None


def test_what_a_node_does_not_take_is_written_later(
    node: FakeNode, contact: WorkerContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "AGAIN_S", 0.01)
    node.answers = [NodeUnavailable("gone"), NodeUnavailable("gone")]
    contact.update_state("PROGRESS", {"a": 1})
    wait_until(lambda: node.written, what="it is written when the node is back")
    assert (node.written[0].label, node.written[0].facts()) == ("PROGRESS", {"a": 1})


def test_a_run_that_has_lost_its_lease_tells_nothing_more(node: FakeNode, contact: WorkerContact) -> None:
    node.answers = [False]
    contact.report_progress(1, None, None)
    contact.report_progress(2, None, None)
    contact._written_s = 0.0
    contact.report_progress(3, None, None)
    assert node.done == [1]


def test_a_slow_write_is_not_overtaken(node: FakeNode, contact: WorkerContact) -> None:
    node.hold = threading.Event()
    first = threading.Thread(target=contact.report_progress, args=(1, None, None))
    first.start()
    wait_until(contact._sending.locked, what="the first is under way")
    contact._written_s = 0.0
    second = threading.Thread(target=contact.report_progress, args=(2, None, None))
    second.start()
    node.hold.set()
    for thread in (first, second):
        thread.join(90)
    wait_until(lambda: node.done == [1, 2], what="both are written, in order")


def test_the_node_is_asked_seldom_and_a_yes_is_for_good(node: FakeNode, contact: WorkerContact) -> None:
    assert not any(contact.is_revoked() for _ in range(1000))
    assert node.asked < 20
    contact._asked_s = 0.0
    node.answers = [True]
    assert contact.is_revoked()
    contact._asked_s = 0.0
    assert contact.is_revoked()
    assert node.asked < 21


def test_a_node_that_is_gone_means_what_was_known(node: FakeNode, contact: WorkerContact) -> None:
    node.answers = [NodeUnavailable("gone")]
    assert not contact.is_revoked()


def test_a_run_has_one_line_and_only_if_it_asks(node: FakeNode) -> None:
    opened = Contacts(node)  # type: ignore[arg-type]
    running = Running("id", "task", "default", None, 1, 0, "worker", None, None, TOKEN, opened.open)  # type: ignore[arg-type]
    context = CURRENT.set(running)
    try:
        assert running.contact is None
        current_task().report_progress(1, 2, "three")
        kept = running.contact
        assert current_task().revoked is False
        assert running.contact is kept
    finally:
        CURRENT.reset(context)
    assert node.done == [1]
    assert kept is not None
    kept.close()
