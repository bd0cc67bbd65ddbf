"""Who is a stranger among the workers of a mesh."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from taskmesh.cli.worker_list import WorkerFacts, clash, serving, strangers, workers_of
from taskmesh.queue.manage import Status
from taskmesh.worker.pools import Pool

ONE = WorkerFacts(
    incarnation="a",
    name="one",
    state="live",
    host="h",
    pid=1,
    app="app:mesh",
    place="/one/app.py",
    build="1",
    queues=("default", "mail"),
    children=2,
    slots=2,
    pools=(Pool("process", 2),),
    running=0,
    since_ms=0,
    tasks=frozenset({"app.add"}),
)
OTHER = replace(
    ONE, incarnation="b", name="other", place="/two/app.py", build="2", tasks=frozenset({"app.mul"})
)


def test_other_code_for_the_same_queue_is_strange():
    assert strangers(ONE, [ONE, OTHER]) == [OTHER]
    assert "/two/app.py" in clash(ONE, OTHER)
    assert "default, mail" in clash(ONE, OTHER)


@pytest.mark.parametrize(
    "other",
    [
        replace(OTHER, tasks=frozenset({"app.add", "app.mul"})),  # another version of it
        replace(OTHER, queues=("else",)),
        replace(OTHER, state="dead"),
        replace(OTHER, app=""),  # by-value tasks only
        replace(OTHER, place=ONE.place),
        replace(OTHER, build=ONE.build),
        replace(OTHER, tasks=None),  # not told, and the same name
        ONE,
    ],
)
def test_these_are_not(other):
    assert strangers(ONE, [other]) == []


def test_without_the_tasks_the_name_of_the_app_decides():
    assert strangers(replace(ONE, tasks=None), [replace(OTHER, app="b:mesh")]) != []


def test_what_workers_tell_is_read_with_gaps():
    info = json.dumps({"name": "w", "queues": ["a"], "concurrency": 3, "tasks": ["x"]}).encode()
    counted = Status({}, 0, 0, 0, {}, [("i2", "live", 1, info, 4), ("i1", "gone", 0, b"", 0)], {})
    first, second = workers_of(counted)
    assert (first.name, first.state, first.tasks) == ("i1", "gone", None)
    assert (second.name, second.children, second.running, second.tasks) == ("w", 3, 4, frozenset({"x"}))
    assert serving([first, second], "a") == [second]
    assert second.as_json()["children"] == 3
