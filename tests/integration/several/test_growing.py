"""A mesh of one node becomes one of several while workers and callers use it, and leaves that node in the end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskmesh import TaskMesh, every
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.nodes.node_changes import NodeChanges
from taskmesh.nodes.subscriptions import Subscriptions
from taskmesh.replication.view import UP
from tests.nodes import Nodes
from tests.support import wait_until

NAME, KEY = "grown", "e" * 64
RUN_S = 120


@pytest.fixture
def four(make_nodes: Callable[..., Nodes]) -> Nodes:
    """Return four servers: the only node of the mesh, and three more."""
    return make_nodes(4)


def joined(four: Nodes, *seeds: int, **more) -> TaskMesh:
    """Return the mesh as another process sees it, which names these nodes."""
    return TaskMesh(NAME, nodes=[four.urls[at] for at in seeds or (0,)], key=KEY, slots=64, **more)


@pytest.fixture
def mesh(four: Nodes) -> Iterator[TaskMesh]:
    with joined(four) as made:
        yield made


def adder(mesh: TaskMesh, path: Path):
    """Return a task that notes its start and adds; it travels by value."""

    @mesh.task(name="add")
    def add(x: int, y: int, seconds: float = 0.0) -> int:
        import time

        with path.open("a") as out:
            out.write(f"{x}\n")
        time.sleep(seconds)
        return x + y

    return add


class Caller:
    """A process of its own, as far as the mesh knows: sends and waits without end, until told to stop."""

    def __init__(self, mesh: TaskMesh, path: Path) -> None:
        self._add = adder(mesh, path)
        self._over = threading.Event()
        self.sent = 0
        self.failures: list[Exception] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                result = self._add.delay(self.sent, 1)
                self.sent += 1
                assert result.get(timeout=RUN_S) == self.sent
            except Exception as error:  # noqa: BLE001 - raised again by whoever ends this
                self.failures.append(error)
                return

    def end(self) -> None:
        """Stop, and raise what failed."""
        self._over.set()
        self._thread.join()
        if self.failures:
            raise self.failures[0]


@pytest.mark.slow
def test_workers_and_callers_go_on_from_one_node_to_three_others(mesh, four, tmp_path):
    ran = tmp_path / "ran"
    add = adder(mesh, tmp_path / "early")
    early = [add.delay(number, 1) for number in range(30)]
    late = [add.apply_async((number, 1), countdown=3600) for number in range(30)]
    operator = joined(four)
    operator.schedule("hourly", every(3600), add.s(1, 1))
    with mesh.workers(2), joined(four) as other:
        assert [result.get(timeout=RUN_S) for result in early] == list(range(1, 31))
        long = adder(mesh, tmp_path / "long").delay(7, 7, 8.0)
        wait_until((tmp_path / "long").exists)
        caller = Caller(other, ran)
        for at in (1, 2, 3):
            operator.nodes.add(four.urls[at], timeout=RUN_S)
        # this process sent before, and has asked nothing since
        assert add.delay(1, 1).get(timeout=RUN_S) == 2
        assert operator.nodes.remove("n1", timeout=RUN_S) == "n1"
        sent = caller.sent
        wait_until(lambda: caller.sent > sent + 10 or caller.failures, RUN_S)
        caller.end()
        assert long.get(timeout=RUN_S) == 14
    four.kill(0)
    assert Counter((tmp_path / "long").read_text().split()) == {"7": 1}
    assert Counter(ran.read_text().split()) == {str(number): 1 for number in range(caller.sent)}
    with joined(four, 1, 2, 3) as now:
        assert [now.result(result.id).get(timeout=RUN_S) for result in early] == list(range(1, 31))
        assert {now.result(result.id).state for result in late} == {"SCHEDULED"}
        assert "hourly" in [schedule.name for schedule in now.schedules.list()]
        places = {member.address for member in AcceptorCare(now.agreement).members().members}
        assert places == set(four.urls[1:])
    operator.close()


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["thread", "async"])
def test_a_child_that_runs_many_makes_room_for_one_that_claims_from_all(mesh, four, tmp_path, pool):
    add = adder(mesh, tmp_path / "ran")
    with mesh.workers(2, pool=pool), joined(four) as operator:
        long = add.delay(0, 7, 3.0)
        wait_until((tmp_path / "ran").exists)
        assert operator.nodes.add(four.urls[1], timeout=RUN_S) == "n2"
        results = [add.delay(number, 1) for number in range(1, 41)]
        assert [result.get(timeout=RUN_S) for result in results] == list(range(2, 42))
        assert long.get(timeout=RUN_S) == 7
    assert Counter((tmp_path / "ran").read_text().split()) == {str(number): 1 for number in range(41)}


@pytest.mark.slow
def test_who_waits_in_an_event_loop_goes_on(mesh, four, tmp_path):
    add = adder(mesh, tmp_path / "ran")

    async def all_along() -> None:
        assert await (await add.adelay(1, 1)) == 2
        waiting = await add.adelay(2, 1, 2.0)
        told = asyncio.ensure_future(waiting)
        await asyncio.to_thread(grow)
        assert [await (await add.adelay(number, 1)) for number in range(20)] == list(range(1, 21))
        assert await told == 3

    def grow() -> None:
        with joined(four) as operator:
            operator.nodes.add(four.urls[1], timeout=RUN_S)

    with mesh.workers(2):
        asyncio.run(all_along())


@pytest.mark.slow
def test_two_servers_that_are_added_at_once_both_join(mesh, four):
    with mesh.workers(1), joined(four) as one, joined(four) as two, ThreadPoolExecutor(2) as pool:
        added = {
            four.urls[at]: pool.submit(operator.nodes.add, four.urls[at], timeout=RUN_S)
            for at, operator in ((1, one), (2, two))
        }
        ids = {url: each.result() for url, each in added.items()}
        assert sorted(ids.values()) == ["n2", "n3"]
        members = {each.address: (each.id, each.state) for each in one.nodes.members()}
        assert all(members[url] == (node, UP) for url, node in ids.items())


@pytest.mark.slow
def test_a_caller_listens_to_the_new_nodes_as_well(mesh, four, tmp_path):
    add = adder(mesh, tmp_path / "ran")
    with mesh.workers(1):
        assert add.delay(1, 1).get(timeout=RUN_S) == 2
        with joined(four) as operator:
            operator.nodes.add(four.urls[1], timeout=RUN_S)
        assert [add.delay(number, 1).get(timeout=RUN_S) for number in range(10)] == list(range(1, 11))
        inbox = mesh.portal.inbox
        assert isinstance(inbox._subscription, Subscriptions)


def test_looking_at_what_it_would_mean_changes_nothing(mesh, four):
    changes = NodeChanges(mesh.agreement, "process")
    change = changes.adding(four.urls[1])
    assert (change.node, change.copies, change.of_slots) == ("n2", 64, 64)
    assert mesh.link.several is None
    with joined(four) as other:
        assert other.link.open().several is None


def test_whoever_was_interrupted_is_followed_by_those_who_meet_what_it_left(mesh, four):
    """The node is fenced, and has no view: a caller makes it."""
    mesh.link.open()
    with joined(four) as other:
        other.link.open()
        mesh.link.become_several()
        view = mesh.link.view
        with four[0].client() as client:
            prefix = mesh.link.prefix
            client.delete(prefix + b"view", prefix + b"own")
            client.set(prefix + b"epoch", view.waiting)
        sent = other.task(name="f")(lambda: 1).delay()
        assert other.link.view == view
        assert other.result(sent.id).state == "PENDING"
