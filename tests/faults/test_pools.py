"""Pools that run many messages in one process, harmed under load: the ledger balances, only the guilty are charged."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from taskmesh.nodes.embedded import PrivateNode
from tests.apps import ledger_tasks
from tests.faults.load import Load
from tests.faults.nemesis import Nemesis
from tests.faults.scene import Scene

POOLS = {
    "thread:8": (ledger_tasks.entry,),
    "async:40": (ledger_tasks.entry_async, ledger_tasks.entry),
}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("kill", "times"), [(Nemesis.kill_child, 4), (Nemesis.kill_supervisor, 2)], ids=["child", "supervisor"]
)
def test_killed_processes_of_pools(
    make_scene: Callable[..., Scene],
    chaos_node: PrivateNode,
    seed: int,
    pool: str,
    kill: Callable[[Nemesis, Load], None],
    times: int,
) -> None:
    """Who was run alone again after one death may be killed again by chance, so nobody is given up here."""
    url = f"unix://{chaos_node.socket_path}"
    scene = make_scene(f"pools{os.urandom(4).hex()}", url, max_crashes=99, lease_ttl=3.0)
    nemesis = Nemesis(scene, random.Random(seed), lambda: None, pools=(pool,))
    with Load(scene, seed=seed, functions=POOLS[pool]) as load:
        for _ in range(times):
            load.ran(40)
            kill(nemesis, load)
            nemesis.replace()
        # one that had only just started may have begun nothing: until it was one that had
        while not struck(load):
            load.ran(40)
            kill(nemesis, load)
            nemesis.replace()
    load.balance()


def struck(load: Load) -> bool:
    """Tell whether somebody was killed who had begun something."""
    load.ledger.read_book(load.book.path)
    return any(run.pid in load.ledger.gone for run in load.ledger.begins)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_poison_in_a_pool_under_load(scene: Scene, seed: int, pool: str, how: str) -> None:
    """Begun once in company, where nobody can tell who was guilty, and then alone until it is given up."""
    scene.worker(pools=(pool,))
    deadly = ledger_tasks.poison_async if pool.startswith("async") else ledger_tasks.poison
    with Load(scene, seed=seed, functions=POOLS[pool]) as load:
        load.ran(50)
        poison = [load.send_as("poison", deadly, how) for _ in range(2)]
        load.ran(100)
    load.balance()
    begun = [run.task_id for run in load.ledger.begins]
    assert {begun.count(task_id) for task_id in poison} <= {3, 4}
    innocent = load.ledger.accepted.keys() - set(poison)
    charged = {task_id: found.crashes for task_id in innocent if (found := scene.record(task_id)) is not None}
    assert set(charged.values()) == {0}


@pytest.mark.parametrize("how", ["computing", "in a call", "in C code"])
def test_a_loop_that_is_blocked_for_ever_is_ended_by_the_hard_limit(
    scene: Scene, seed: int, how: str
) -> None:
    """With its process. What stood still beside it runs again, and nobody is charged."""
    scene.worker(pools=("async:40",))
    with Load(scene, seed=seed, functions=POOLS["async:40"]) as load:
        load.ran(50)
        overdue = load.send_as("overdue", ledger_tasks.overdue_async, how, time_limit=2)
        load.ran(150)
    load.balance()
    assert [run.task_id for run in load.ledger.begins].count(overdue) == 1
    assert {run.crashes for run in load.ledger.begins} == {0}
