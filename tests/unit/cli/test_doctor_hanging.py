"""What `taskmesh doctor` says of a queue whose workers run tasks that do not end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.cli.doctor.finding import Level
from taskmesh.cli.doctor.hanging import hanging
from taskmesh.worker.pools import Pool
from tests.unit.cli.test_doctor_checks import EMPTY
from tests.unit.cli.test_strangers import ONE

WAITING = replace(EMPTY, queues={"default": 7})


def running(age_s, name="id-1", queue="default"):
    return {"id": name, "task": "app.hang", "queue": queue, "worker": "one", "age_s": age_s}


def found(*rows, counted=WAITING, waited_s=90.0, worker=ONE):
    return list(hanging(counted, {"default": waited_s}, [worker], {"one": rows}))


def test_the_task_that_hangs_is_named_with_what_to_do():
    (finding,) = found(running(70.0), running(300.0, "id-2", "mail"))
    assert finding.level is Level.WARN
    assert "7 wait in default, the oldest for 1 min 30 s" in finding.text
    assert "app.hang (id-2) at one for 5 min, app.hang (id-1) at one for 1 min 10 s" in finding.text
    assert "taskmesh revoke id-2 --terminate" in finding.remedy


@pytest.mark.parametrize("other", [[], [running(2.0)], [running(None)]])
def test_where_another_place_is_free_or_new_work_begins_nothing_hangs(other):
    assert found(running(300.0), *other) == []


def test_what_has_just_come_or_has_idle_children_does_not_hang():
    rows = running(300.0), running(300.0, "id-2")
    assert found(*rows, waited_s=3.0) == []
    assert found(*rows, counted=replace(WAITING, idle={"default": 1})) == []


def test_only_the_pools_of_a_queue_count():
    worker = replace(ONE, pools=(Pool("process", 1, ("default",)), Pool("process", 1, ("mail",))), slots=2)
    assert len(found(running(300.0), worker=worker)) == 1
    assert found(running(300.0, queue="mail"), worker=worker) == []


def test_so_many_are_named_and_the_others_counted():
    worker = replace(ONE, pools=(Pool("thread", 5),))
    (finding,) = found(*(running(100.0 + at, f"id-{at}") for at in range(5)), worker=worker)
    assert "id-4" in finding.text
    assert "id-1)" not in finding.text
    assert finding.text.endswith(" and 2 more")
