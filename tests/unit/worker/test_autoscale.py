"""When a worker has more children, and when fewer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from taskmesh.worker.autoscale import LOOK_S, Autoscaler


@dataclass
class Flock:
    """Children that are all busy or all idle."""

    size: int = 2
    busy: bool = False
    idle_s: float = 0.0

    def are_busy(self, _now_s):
        return self.busy

    def grow(self, count):
        self.size += count

    def dismiss_idle(self, _now_s, idle_s):
        if self.idle_s < idle_s:
            return False
        self.size -= 1
        return True


def scaler(waiting=0):
    return Autoscaler(2, 9, idle_s=10.0, waiting=lambda: waiting, worker="w")


def sizes(flock, waiting=0, looks=6):
    """Return the sizes after so many looks, one each second."""
    scaled = scaler(waiting)
    found = []
    for look in range(looks):
        scaled.look(flock, 100.0 + look * LOOK_S)
        found.append(flock.size)
    return found


def test_it_doubles_up_to_the_most_while_all_are_busy_and_messages_wait():
    assert sizes(Flock(busy=True), waiting=1000) == [4, 8, 9, 9, 9, 9]


def test_no_more_are_started_than_messages_wait():
    assert sizes(Flock(busy=True), waiting=1, looks=3) == [3, 4, 5]
    assert sizes(Flock(busy=True), waiting=0) == [2] * 6
    assert sizes(Flock(busy=False), waiting=1000) == [2] * 6


def test_they_are_dismissed_one_by_one_down_to_the_least():
    assert sizes(Flock(size=5, idle_s=10.0)) == [4, 3, 2, 2, 2, 2]
    assert sizes(Flock(size=5, idle_s=9.9)) == [5] * 6
    assert sizes(Flock(size=5, busy=True, idle_s=0.0)) == [5] * 6


def test_the_node_is_asked_only_when_it_matters():
    def never():
        raise AssertionError("asked")

    for flock in (Flock(size=9, busy=True), Flock(size=2)):
        Autoscaler(2, 9, idle_s=10.0, waiting=never, worker="w").look(flock, 100.0)


@pytest.mark.parametrize(("busy", "told"), [(True, True), (False, False)])
def test_it_tells_whether_the_number_has_changed_and_looks_once_a_second(busy, told):
    scaled = scaler(waiting=100)
    flock = Flock(busy=busy)
    assert scaled.look(flock, 100.0) is told
    size = flock.size
    assert not scaled.look(flock, 100.0 + 0.9 * LOOK_S)
    assert flock.size == size
