from __future__ import annotations

import json

import pytest

from taskmesh.cli.worker_list import workers_of
from taskmesh.codec.about import read_about
from taskmesh.queue.manage import Status
from taskmesh.worker.about import TASKS_TOLD_MAX, worker_info


def test_what_a_worker_tells_is_read_back():
    told = read_about(worker_info("w", "app:mesh", "app.py", ["mail"], 2, "build", tasks=["a", "b"]))
    assert (told["name"], told["queues"], told["tasks"]) == ("w", ["mail"], ["a", "b"])


def test_a_worker_of_very_many_tasks_does_not_list_them():
    tasks = [str(number) for number in range(TASKS_TOLD_MAX + 1)]
    assert "tasks" not in read_about(worker_info("w", "", "", [], 1, "", tasks=tasks))


@pytest.mark.parametrize("info", [None, b"", b"\xff", b"{", b"[]", b"7", json.dumps("name").encode()])
def test_what_cannot_be_read_tells_nothing(info):
    assert read_about(info) == {}


def test_workers_are_listed_whatever_one_of_them_tells():
    counted = Status({}, 0, 0, 0, {}, [("a" * 16, "live", 0, b"{", 0)], {})
    assert [worker.name for worker in workers_of(counted)] == ["a" * 16]
