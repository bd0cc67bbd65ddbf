"""Events are told in batches; what could not be told is counted once, and whoever listens hears how many that were."""

from __future__ import annotations

import threading

import pytest

from taskmesh.core.event import GAP, Event, decode_events
from taskmesh.core.steps import Session
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes import event_sender as module
from taskmesh.nodes.event_sender import EventSender
from tests.support import wait_until


class Node:
    """The only node of a mesh, as a link has it: away, or busy, when the test says so."""

    nodes = ("",)
    prefix = b"{t}"
    session = Session(prefix, b"", 1, lambda: 1)

    def __init__(self) -> None:
        self.is_away = False
        self.is_free = threading.Event()
        self.is_free.set()
        self.asked = 0
        self.told: list[Event] = []
        self.missed: list[Event] = []

    def at(self, _node: str) -> Node:
        return self

    def run(self, steps, *, within_s: float) -> None:
        self.asked += 1
        assert self.is_free.wait(60)
        (call,) = next(steps)
        events = decode_events(call.args[-1])
        if self.is_away:
            self.missed += [event for event in events if event.kind != GAP]
            raise NodeUnavailable("it is away", node="", may_be_done=False)
        self.told += events


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def sender(node) -> EventSender:
    return EventSender(node)


def tell(sender: EventSender, *ids: str) -> None:
    for each in ids:
        sender.tell(Event("sent", 1, each))


def test_what_is_told_while_a_node_is_busy_travels_together(node, sender):
    node.is_free.clear()
    tell(sender, "a")
    wait_until(lambda: node.asked)
    tell(sender, "b", "c", "d")
    node.is_free.set()
    wait_until(lambda: len(node.told) == 4)
    assert [event.id for event in node.told] == ["a", "b", "c", "d"]
    assert node.asked == 2


def test_events_that_no_node_took_are_counted_and_told_later(node, sender, monkeypatch):
    monkeypatch.setattr(module, "TOGETHER_MAX", 3)
    node.is_away = True
    tell(sender, *"abcdefg")
    wait_until(lambda: len(node.missed) == 7)
    node.is_away = False
    tell(sender, "after")
    wait_until(lambda: node.told)
    after, gap = node.told
    assert (after.id, gap.kind) == ("after", GAP)
    assert gap.detail.startswith("7 events were not told: ")


def test_where_too_many_wait_the_rest_is_counted(node, sender, monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    node.is_free.clear()
    tell(sender, "a")
    wait_until(lambda: node.asked)
    tell(sender, *"bcdef")
    node.is_free.set()
    wait_until(lambda: len(node.told) == 4)
    assert [event.id for event in node.told[:3]] == ["a", "b", "c"]
    assert node.told[3].detail.startswith("3 events were not told: ")
