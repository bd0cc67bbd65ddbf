"""When a child that has ended is replaced."""

from __future__ import annotations

import time
from typing import Any

import pytest

from taskmesh.core.limits import Limits
from taskmesh.replication.view import View
from taskmesh.worker.brood import Brood
from taskmesh.worker.nursery import Began, Ended
from taskmesh.worker.options import EXIT_RETIRED, ChildOrder
from taskmesh.worker.pools import PROCESS, Seat
from tests.unit.replication.small_mesh import make_view


class Outside:
    """Stands for all that a brood speaks with: it starts children that live on paper."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.orders: list[ChildOrder] = []
        self.view: View | None = None

    def start(self, order: ChildOrder, page_fd: int) -> None:
        self.started.append(order.number)
        self.orders.append(order)

    def child_died(self, *args: Any, **options: Any) -> int:
        return 0

    def ended(self, *args: Any) -> None:
        pass


@pytest.fixture
def outside() -> Outside:
    return Outside()


class Clock:
    """The time, which stands still: a child is as old as the test says."""

    now_s = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now_s)
    return made


@pytest.fixture
def brood(outside: Outside):
    fake: Any = outside
    made = Brood(
        fake,
        fake,
        fake,
        fake,
        incarnation=b"feedfacefeedface",
        worker="w",
        seats=[Seat(PROCESS, 1, ("default",))],
        strategy="round-robin",
        weights={},
        burst=False,
        limits=Limits(0.0, 0.0),
    )
    yield made
    made.close()


def end(brood: Brood, outside: Outside, code: int) -> None:
    """Have the youngest child end, and see to what it left."""
    number = outside.started[-1]
    brood.hear(Began(number, 10_000_000 + number))
    brood.hear(Ended(10_000_000 + number, code))
    brood.reap(time.monotonic())


def test_a_child_is_told_where_the_nodes_are(brood: Brood, outside: Outside) -> None:
    """It may be given one only, and that one may have come back empty."""
    brood.tend(time.monotonic())
    outside.view = make_view()
    end(brood, outside, EXIT_RETIRED)
    brood.tend(time.monotonic())
    assert [order.members for order in outside.orders] == [
        (),
        ("redis://n1:6379", "redis://n2:6379", "redis://n3:6379"),
    ]


def test_a_child_that_retires_is_replaced_at_once_however_young(brood: Brood, outside: Outside) -> None:
    """Of small batches of tasks each child lives for a moment only: no pause may add up."""
    brood.tend(time.monotonic())
    for _ in range(8):
        end(brood, outside, EXIT_RETIRED)
        brood.tend(time.monotonic())
    assert outside.started == list(range(1, 10))


def test_children_that_die_young_are_replaced_after_ever_longer_pauses(
    brood: Brood, outside: Outside, clock: Clock
) -> None:
    brood.tend(clock.now_s)
    for pause_s in (0.05, 0.1, 0.2, 0.4, 0.8):
        count = len(outside.started)
        end(brood, outside, 1)
        clock.now_s += pause_s * 0.99
        brood.tend(clock.now_s)
        assert len(outside.started) == count
        clock.now_s += pause_s * 0.02
        brood.tend(clock.now_s)
        assert len(outside.started) == count + 1
