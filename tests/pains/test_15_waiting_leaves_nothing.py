"""Pain 15: whoever waits for results leaks connections and entries.

celery/celery#6819, #6963, #8166.
"""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.apps import worker_tasks as tasks
from tests.support import wait_until

#: Event loops after the first: more than `OTHERS_MAX`, so that a connection which each of them left would be seen.
MORE_LOOPS = 5
#: Connections of this process that others than event loops may open meanwhile.
OTHERS_MAX = 3


def connections(scene) -> int:
    return len(scene.node.client_list())


def own_connections() -> int:
    """Return how many sockets this process has: at the node, a worker that has just begun opens some, too."""
    return len(psutil.Process().net_connections("all"))


def test_a_thousand_waits_and_abandoned_handles_cost_two_connections(scene, at_scale):
    scene.worker(2)
    add = scene.task(tasks.add)
    assert add.delay(0, 0).get(timeout=90) == 0
    before = connections(scene)
    count = at_scale(2_000, 200_000)
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda n: add.delay(n, 1).get(timeout=90), range(count))) == list(
            range(1, count + 1)
        )
    for n in range(count):
        add.delay(n, n)  # nobody will ask
    # threads borrow connections; what is kept for the next is bounded, and workers may connect once more
    wait_until(lambda: connections(scene) <= before + 30)
    gc.collect()
    last = add.delay(1, 1)
    assert last.get(timeout=90) == 2
    expected = scene.mesh.portal.inbox._expected
    expected.purge()
    wait_until(lambda: len(expected) <= 1)


def test_event_loops_leave_nothing_either(scene, at_scale):
    scene.worker(2)
    add = scene.task(tasks.add)
    count = at_scale(100, 10_000)

    async def main() -> None:
        handles = [await add.adelay(n, 1) for n in range(count)]
        assert await asyncio.gather(*handles) == [n + 1 for n in range(count)]
        for n in range(count):
            await add.adelay(n, n)

    asyncio.run(main())
    before = own_connections()
    for _ in range(MORE_LOOPS):
        asyncio.run(main())
    wait_until(lambda: own_connections() <= before + OTHERS_MAX)
