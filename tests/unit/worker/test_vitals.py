"""When a worker is to be started anew, and when it runs no tasks: what its probes say."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from taskmesh.metrics.tally import Tally
from taskmesh.worker.probes import WorkerProbes
from taskmesh.worker.vitals import IMPORTING, JOINING, LIVE_S, ORDER_S, STOPPING, WAITING, WORKING, Vitals


@pytest.fixture
def vitals() -> Vitals:
    """Return those of a worker that works, and has no children yet."""
    made = Vitals()
    made.counts_with(Tally())
    made.phase = WORKING
    made.is_registered = True
    return made


@pytest.fixture
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told in seconds is then known to the second."""
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s)


class Order:
    place = 0


class Child:
    order = Order()

    def __init__(self, *, pid: int = 0, since_s: float | None = None) -> None:
        self.pid = pid
        self._since_s = since_s

    @property
    def since_s(self) -> float:
        """Since when it was ordered: just now, whenever that is asked, unless something else was said."""
        return time.monotonic() if self._since_s is None else self._since_s


class Brood:
    def __init__(self, *children: Child, failed_starts: int = 0, is_resting: bool = False) -> None:
        self._children = list(children)
        self.failed_starts = failed_starts
        self.is_resting = is_resting

    def children(self) -> list[Child]:
        return self._children


def test_a_loop_that_does_not_turn_is_dead_and_one_that_turns_again_is_not(vitals: Vitals) -> None:
    vitals.turned_s -= LIVE_S / 2
    assert vitals.why_dead() == []
    vitals.turned_s -= LIVE_S
    (reason,) = vitals.why_dead()
    assert reason.startswith("the supervisor's loop has not turned for ")
    assert reason in vitals.why_not_ready()
    vitals.turned()
    assert vitals.why_dead() == []


def test_a_worker_without_its_template_is_dead_while_it_works(vitals: Vitals, ended_pid: int) -> None:
    vitals.template_pid = ended_pid
    assert vitals.why_dead() == [f"the template (process {ended_pid}) is gone"]
    vitals.phase = STOPPING
    assert vitals.why_dead() == []


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (IMPORTING, "the app is being imported, for 0 s"),
        (JOINING, "the worker waits for a node, for 0 s"),
        (WAITING, "the worker waits for a change of its sources"),
        (STOPPING, "the worker is told to stop"),
    ],
)
def test_what_it_is_at_is_why_it_does_not_work_and_never_why_it_is_dead(
    vitals: Vitals, phase: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_the_clock(monkeypatch)
    vitals.enters(phase)
    assert vitals.why_not_ready() == [said]
    assert vitals.why_dead() == []


def test_without_its_broker_it_is_ready_and_has_a_remark(vitals: Vitals) -> None:
    """Tasks are run a second later: a rollout is not to wait for that."""
    assert vitals.remarks() == []
    vitals.hears("refused")
    assert vitals.why_not_ready() == []
    assert vitals.remarks() == [
        "no tickets of the broker are heard, so tasks begin up to a second later: refused"
    ]
    vitals.hears("")
    assert vitals.remarks() == []


def test_the_nodes_make_it_not_ready(vitals: Vitals, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_the_clock(monkeypatch)
    assert vitals.why_not_ready() == []
    vitals.is_registered = False
    assert vitals.why_not_ready() == ["no node knows the worker yet"]
    assert vitals.reached() == 0.0
    vitals.missed()
    vitals.out_since_s -= 12
    vitals.missed()
    vitals.reach.why = "messages of all slots cannot be taken"
    assert vitals.why_not_ready() == ["no node answers, for 12 s"]
    assert vitals.reached() >= 12
    assert vitals.why_not_ready() == ["no node knows the worker yet"]
    vitals.is_registered = True
    assert vitals.why_not_ready() == ["messages of all slots cannot be taken"]
    assert vitals.why_dead() == []


@pytest.mark.parametrize(
    ("brood", "said"),
    [
        (Brood(Child(), failed_starts=1), ["one child could not start; the worker's log says why"]),
        (
            Brood(Child(), failed_starts=2),
            ["2 children in a row could not start; the worker's log says why"],
        ),
        (
            Brood(Child(pid=1), Child(since_s=time.monotonic() - 3600)),
            ["1 of 2 children have no process yet: the template does not answer"],
        ),
        (Brood(Child(pid=1), Child()), ["none of 2 children is ready yet"]),
        (Brood(is_resting=True), []),
    ],
)
def test_children_that_do_not_work_are_the_reason(vitals: Vitals, brood: Brood, said: list[str]) -> None:
    vitals.brood = brood
    assert vitals.why_not_ready() == said
    assert ORDER_S < 3600


def test_whether_tickets_are_heard_is_told_where_there_is_a_broker(vitals: Vitals) -> None:
    probes = WorkerProbes(vitals, "w", "127.0.0.1:0")
    try:
        assert "taskmesh_broker_connected" not in probes.samples().text()
        vitals.hears("")
        assert "taskmesh_broker_connected 1" in probes.samples().text()
        vitals.hears("refused")
        assert "taskmesh_broker_connected 0" in probes.samples().text()
        # its children look for work by themselves
        assert "taskmesh_worker_ready 1" in probes.samples().text()
    finally:
        probes.close()
