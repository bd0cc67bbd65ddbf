"""What children count, and what is left of it when they have died."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from taskmesh.metrics.bounded import NAMES_MAX, OTHER
from taskmesh.metrics.buckets import BUCKETS
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.sheet import (
    CLAIMED,
    CLAIMS,
    COMMITS,
    EXPECTED_MAX,
    LEASES_LOST,
    LOST,
    OUTCOMES,
    RUN,
    RUN_SUM,
    WAIT,
    Sheet,
)
from taskmesh.metrics.tally import UNKNOWN, Tally
from taskmesh.worker.page import Page, counting, make_page, sheet_at

PLACES = 3
MakeSheet = Callable[[int], Sheet]


@pytest.fixture
def fd() -> Iterator[int]:
    made = make_page(PLACES, with_sheets=True)
    yield made
    os.close(made)


@pytest.fixture
def sheet(fd: int) -> MakeSheet:
    """Return the sheet of a place, each time as another process would map it."""
    return lambda place: Page(fd).sheet(sheet_at(PLACES, place))


def run(sheet: Sheet, task: str, letter: bytes = b"K", ran_s: float = 0.02, waited_s: float = 0.3) -> None:
    sheet.end(sheet.begin(task, waited_s), letter, ran_s)
    sheet.flush()


def told(tally: Tally) -> dict[tuple[str, ...], float]:
    """Return what a tally says: by the name and the values of labels."""
    found = Samples()
    tally.put(found)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in read_text(found.text())
        for sample in family.samples
    }


def test_another_process_reads_what_a_child_has_counted(sheet: MakeSheet) -> None:
    child, supervisor = sheet(1), sheet(1)
    assert not supervisor.is_living
    child.lives()
    child.claimed(3)
    run(child, "app.add")
    run(child, "app.add", b"F", 0.5)
    child.committed(b"KF" + LOST)
    assert supervisor.is_living
    header = supervisor.header()
    assert (header[CLAIMS], header[CLAIMED], header[LEASES_LOST]) == (1, 3, 1)
    assert header[COMMITS : COMMITS + 3] == [1, 1, 0]
    ((name, row),) = supervisor.rows()
    assert (name, row[RUN_SUM]) == ("app.add", pytest.approx(0.52))
    assert sheet(0).rows() == sheet(2).rows() == []


def test_long_runs_are_written_down_at_once_and_tiny_ones_together(sheet: MakeSheet) -> None:
    child, supervisor = sheet(0), sheet(0)
    for ran_s in (0.0004, 0.0002, 0.0009):
        child.end(child.begin("tiny", 0.0), b"F", ran_s)
    assert supervisor.rows() == []
    child.end(child.begin("long", 0.2), b"K", 7.0)
    rows = dict(supervisor.rows())
    assert rows["tiny"][RUN] == rows["tiny"][WAIT] == 3
    assert rows["tiny"][RUN_SUM] == pytest.approx(0.0015)
    assert rows["long"][RUN : RUN + BUCKETS] == [0] * 11 + [1] + [0] * 5
    assert rows["long"][WAIT : WAIT + BUCKETS] == [0] * 6 + [1] + [0] * 10
    child.flush()
    assert dict(supervisor.rows()) == rows


def test_what_runs_is_known_by_its_name(sheet: MakeSheet) -> None:
    child, supervisor = sheet(0), sheet(0)
    assert supervisor.running() == ""
    row = child.begin("app.slow", 0.0)
    assert supervisor.running() == "app.slow"
    child.end(row, b"K", 1.0)
    child.begin("app.other", 0.0)
    assert supervisor.running() == "app.other"


def test_a_sheet_is_cleared_for_the_next_child_alone(sheet: MakeSheet) -> None:
    run(sheet(0), "a")
    run(sheet(1), "b")
    sheet(0).clear()
    assert sheet(0).rows() == []
    assert [name for name, _ in sheet(1).rows()] == ["b"]


def test_places_and_sheets_do_not_touch_each_other(fd: int) -> None:
    page = Page(fd)
    child = page.sheet(sheet_at(PLACES, 0))
    count = counting(page.desk(PLACES - 1), child)
    count(b"KKY")
    page.desk(PLACES - 1).note(7, 1, 2, 1.5, b"id")
    assert page.counts(PLACES - 1)[0] == 2
    assert child.header()[COMMITS : COMMITS + len(OUTCOMES)] == [2, 0, 1] + [0] * 7


def test_a_name_that_is_too_long_is_cut(sheet: MakeSheet) -> None:
    run(sheet(0), "é" * 100)
    ((name, _),) = sheet(0).rows()
    assert name == "é" * 60


def test_threads_lose_no_count(fd: int) -> None:
    every_s = sys.getswitchinterval()
    shared = Page(fd).sheet(sheet_at(PLACES, 0), shared=True)

    def work() -> None:
        for _ in range(2000):
            run(shared, "t")
            shared.committed(b"K")

    threads = [threading.Thread(target=work) for _ in range(4)]
    sys.setswitchinterval(1e-6)  # else they hardly ever meet
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(every_s)
    ((_, row),) = shared.rows()
    assert sum(row[:RUN_SUM]) == shared.header()[COMMITS] == 8000
    assert shared.running() == ""


def test_nothing_goes_back_when_a_child_is_replaced(sheet: MakeSheet) -> None:
    tally = Tally()
    before: dict[tuple[str, ...], float] = {}
    for life in range(5):
        child = sheet(0)
        child.clear()
        tally.begin(0, child)
        child.claimed(2)
        run(child, "a", b"KFYDX"[life : life + 1])
        during = told(tally)
        assert all(during[at] >= value for at, value in before.items())
        assert tally.end(0) == "a"
        before = told(tally)
        assert before == during
    assert before["taskmesh_claims_total",] == before["taskmesh_worker_children_started_total",] == 5
    assert before["taskmesh_task_run_seconds_count", "a"] == 5


def test_a_death_is_charged_to_what_ran(sheet: MakeSheet) -> None:
    tally = Tally()
    tally.begin(0, sheet(0))
    sheet(0).begin("app.die", 0.1)
    tally.died(tally.end(0), in_task=True)
    tally.died("", in_task=True)
    tally.died("", in_task=False)
    found = told(tally)
    assert found["taskmesh_task_crashes_total", "app.die"] == 1
    assert found["taskmesh_task_crashes_total", UNKNOWN] == 1
    assert found["taskmesh_worker_children_died_total",] == 3


def test_retries_are_told_from_the_first_run_on(sheet: MakeSheet) -> None:
    tally = Tally()
    tally.begin(0, sheet(0))
    run(sheet(0), "app.fine")
    run(sheet(0), "app.flaky")
    assert told(tally)["taskmesh_task_retries_total", "app.flaky"] == 0
    for _ in range(2):
        run(sheet(0), "app.flaky", b"Y")
    found = told(tally)
    assert found["taskmesh_task_retries_total", "app.flaky"] == 2
    assert found["taskmesh_task_retries_total", "app.fine"] == 0


def test_what_ends_together_is_kept(sheet: MakeSheet) -> None:
    tally = Tally()
    for place in (0, 2):
        tally.begin(place, sheet(place))
        run(sheet(place), "a")
    tally.end_all()
    sheet(0).clear()
    assert told(tally)["taskmesh_task_runs_total", "a", "success"] == 2
    assert tally.living() == set()


def test_ten_thousand_names_make_no_more_series_than_a_hundred(sheet: MakeSheet) -> None:
    """Also when each child meets others first."""
    tally = Tally()
    per_child = 10_000 // PLACES
    for place in range(PLACES):
        child = sheet(place)
        tally.begin(place, child)
        for at in range(per_child):
            run(child, f"task-{place}-{at}", b"Y" if at % 2 else b"K")
    found = told(tally)
    names = {key[1] for key in found if key[0] == "taskmesh_task_run_seconds_count"}
    assert len(names) == NAMES_MAX + 1
    assert OTHER in names
    runs = sum(value for key, value in found.items() if key[0] == "taskmesh_task_runs_total")
    assert runs == PLACES * per_child
    retries = {key[1]: value for key, value in found.items() if key[0] == "taskmesh_task_retries_total"}
    assert set(retries) == names
    assert sum(retries.values()) == PLACES * (per_child // 2)
    for place in range(PLACES):
        tally.end(place)
    assert told(tally) == found


def test_tasks_of_the_app_are_told_apart_whatever_is_sent_by_value(sheet: MakeSheet) -> None:
    tally = Tally()
    tasks = [f"app.task-{at:03}" for at in range(200)]
    tally.expect(tasks)
    for place in range(PLACES):
        child = sheet(place)
        tally.begin(place, child)
        child.lives(tasks)
        for at in range(200):
            run(child, f"<lambda-{place}-{at}>")
    assert len(told(tally)) > NAMES_MAX
    for task in (tasks[EXPECTED_MAX - 1], tasks[-1]):
        run(child, task)
    found = told(tally)
    assert found["taskmesh_task_runs_total", tasks[EXPECTED_MAX - 1], "success"] == 1
    names = {key[1] for key in found if key[0] == "taskmesh_task_run_seconds_count"}
    assert tasks[-1] not in names
    assert len(names) <= NAMES_MAX + 1


def test_a_child_that_wrote_nonsense_over_its_sheet_breaks_nothing(fd: int, sheet: MakeSheet) -> None:
    tally = Tally()
    tally.begin(0, sheet(0))
    at = sheet_at(PLACES, 0)
    os.pwrite(fd, b"\xff" * (sheet_at(PLACES, 1) - at), at)
    assert isinstance(tally.end(0), str)
    assert "taskmesh_claims_total" in {key[0] for key in told(tally)}
