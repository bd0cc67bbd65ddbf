"""What a run is ended for, and who is charged with a death, where another node has taken over its message since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.core import keys
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.errors import NodeUnavailable, TaskDead, TimeLimitExceeded
from taskmesh.replication.ask import plain
from taskmesh.results.read import read
from tests.nodes import Nodes
from tests.support import wait_until

MAX_CRASHES = 3


@pytest.fixture
def mesh(three_nodes: Nodes) -> Iterator[TaskMesh]:
    made = TaskMesh("many", nodes=three_nodes.urls, key="s" * 40, max_crashes=MAX_CRASHES)
    yield made
    made.close()


class Place:
    """A folder in which tasks note what they do, and wait for what they may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begun(self) -> Counter[str]:
        path = self.folder / "ran"
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def allow(self, what: str) -> None:
        (self.folder / what).touch()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def make_dying(mesh: TaskMesh, place: Place):
    """Return a task that ends its process once it may; it travels by value."""
    folder = place.folder

    @mesh.task
    def die(what: str) -> None:
        import os
        import signal
        import time

        with (folder / "ran").open("a") as out:
            out.write(f"{what}\n")
        while not (folder / "die").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGSEGV)

    return die


def make_endless(mesh: TaskMesh, place: Place):
    """Return a task that never ends by itself; it travels by value."""
    folder = place.folder

    @mesh.task
    def run_on(what: str) -> None:
        import time

        with (folder / "ran").open("a") as out:
            out.write(f"{what}\n")
        while not (folder / "end").exists():
            time.sleep(0.01)

    return run_on


def primary(mesh: TaskMesh, task_id: str) -> str:
    view = mesh.link.view
    assert view is not None
    return view.primary(slot_of(routing_of(task_id), mesh.link.session.slots))


def wait_for_a_leader(mesh: TaskMesh) -> None:
    session = mesh.link.session
    wait_until(lambda: mesh.link.run(plain(session, b"GET", keys.leader(session.prefix))))


def kill_primary(mesh: TaskMesh, nodes: Nodes, task_id: str) -> str:
    """Kill the node that leads a message, and return its name."""
    name = primary(mesh, task_id)
    view = mesh.link.view
    assert view is not None
    nodes.kill(nodes.urls.index(next(member.address for member in view.members if member.id == name)))
    return name


def wait_until_another_leads(mesh: TaskMesh, task_id: str, before: str) -> None:
    session = mesh.link.session

    def is_led() -> bool:
        # who asks hears of the view that is in force
        try:
            mesh.link.run(read(session, [task_id]))
        except NodeUnavailable:
            return False  # nobody leads it yet
        return primary(mesh, task_id) != before

    wait_until(is_led)


@pytest.mark.parametrize("limit_s", [2.0, 8.0])
def test_a_run_over_its_hard_limit_ends_once_where_its_node_was_lost(mesh, three_nodes, place, limit_s):
    """The limit may be over when another node leads already, or before."""
    run_on = make_endless(mesh, place)
    with mesh.workers(2):
        wait_for_a_leader(mesh)
        over = run_on.apply_async(("over",), time_limit=limit_s)
        wait_until(lambda: place.begun() == {"over": 1})
        before = kill_primary(mesh, three_nodes, over.id)
        wait_until(over.ready)
        with pytest.raises(TimeLimitExceeded):
            over.get(timeout=90)
        wait_until_another_leads(mesh, over.id, before)
    assert place.begun() == {"over": 1}


@pytest.mark.parametrize("moved_first", [True, False], ids=["after-the-move", "before-the-move"])
def test_a_message_that_kills_its_process_is_charged_where_its_node_was_lost(
    mesh, three_nodes, place, moved_first
):
    """Its child may die when another node leads already, or before that."""
    die = make_dying(mesh, place)
    with mesh.workers(2):
        wait_for_a_leader(mesh)
        poison = die.delay("poison")
        wait_until(lambda: place.begun() == {"poison": 1})
        before = kill_primary(mesh, three_nodes, poison.id)
        if moved_first:
            wait_until_another_leads(mesh, poison.id, before)
        place.allow("die")
        wait_until(poison.ready)
        with pytest.raises(TaskDead):
            poison.get(timeout=90)
    assert place.begun() == {"poison": MAX_CRASHES}


def test_what_a_worker_runs_is_not_begun_again_where_its_node_was_lost(mesh, three_nodes, place):
    """It lives, so its lease lasts, and the node that leads then takes what it commits."""
    run_on = make_endless(mesh, place)
    with mesh.workers(20, pool="thread"):
        wait_for_a_leader(mesh)
        running = [run_on.delay(str(number)) for number in range(20)]
        wait_until(lambda: len(place.begun()) == len(running))
        before = kill_primary(mesh, three_nodes, running[0].id)
        wait_until_another_leads(mesh, running[0].id, before)
        last = run_on.delay("last")
        place.allow("end")
        for result in [*running, last]:
            wait_until(result.ready)
            assert result.get(timeout=90) is None
    assert place.begun() == dict.fromkeys([*map(str, range(20)), "last"], 1)
