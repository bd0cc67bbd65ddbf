"""Which of the messages that a child holds is the one that runs."""

from __future__ import annotations

import pytest

from taskmesh import TaskMesh
from taskmesh.client.inspect import Inspection, _split
from taskmesh.codec.report import ChildReport
from taskmesh.errors import UsageError
from taskmesh.queue.inspect import Holding


def holds(*places: tuple[int, int]) -> list[Holding]:
    return [Holding(sequence, position, f"{sequence}.{position}", b"") for sequence, position in places]


def split(note: ChildReport | None, *places: tuple[int, int]) -> tuple[dict[str, int | None], list[str]]:
    found = list(_split(7, note, holds(*places)))
    running = {held.holding.task_id: held.started_ms for held in found if held.started_ms is not None}
    return running, [held.holding.task_id for held in found if held.started_ms is None]


NOTE = ChildReport(7, pid=99, sequence=4, position=2, total=4, started_ms=1_000)


def test_what_is_noted_runs_and_what_comes_behind_it_waits():
    assert split(NOTE, (4, 2), (4, 3), (4, 4)) == ({"4.2": 1_000}, ["4.3", "4.4"])


def test_what_stands_before_it_has_ended():
    """Its outcome is on its way."""
    assert split(NOTE, (4, 1), (4, 2), (4, 3)) == ({"4.2": 1_000}, ["4.3"])


def test_an_older_note_gives_no_time():
    """The one that was noted has ended, or the whole claim: the first that is still held runs."""
    assert split(NOTE, (4, 3), (4, 4)) == ({"4.3": 0}, ["4.4"])
    assert split(NOTE, (5, 1), (5, 2)) == ({"5.1": 0}, ["5.2"])
    assert split(None, (5, 1), (5, 2)) == ({"5.1": 0}, ["5.2"])


def test_of_claims_on_several_nodes_the_noted_one_runs():
    assert split(NOTE, (1, 1), (4, 2), (4, 3)) == ({"4.2": 1_000}, ["4.3", "1.1"])


def test_a_child_that_runs_many_at_once_has_begun_all_that_it_holds():
    many = ChildReport(8, many=True, running=3)
    assert split(many, (4, 2), (5, 1), (5, 2)) == ({"4.2": 0, "5.1": 0, "5.2": 0}, [])
    alone = ChildReport(8, sequence=5, position=2, total=2, started_ms=1_000, many=True, running=1)
    assert split(alone, (5, 2)) == ({"5.2": 1_000}, [])


def test_a_child_that_holds_nothing_runs_nothing():
    assert split(NOTE) == ({}, [])


@pytest.mark.parametrize("count", ["x", None, True, -1, 1.0, float("nan"), float("inf"), 10**400])
def test_what_is_no_count_is_refused(count):
    mesh = TaskMesh("look")
    with pytest.raises(UsageError, match=r"^limit=.*: expected a whole number from 1"):
        mesh.inspect(limit=count)
    with pytest.raises(UsageError, match=r"^start=.*: expected a whole number from 0"):
        Inspection(mesh.link, limit=1).scheduled(start=count)


@pytest.mark.parametrize("name", [[], None, b"one"])
def test_what_is_no_name_of_a_worker_is_refused(name):
    with pytest.raises(UsageError, match=r"^inspect\(.*\): expected names of workers"):
        TaskMesh("look").inspect(name)
