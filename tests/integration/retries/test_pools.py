"""Retries are the same in every pool."""

from __future__ import annotations

import pytest

from taskmesh.errors import UsageError

TIMEOUT_S = 90.0


@pytest.mark.parametrize("pool", ["process:2", "thread:4", "async:20"])
def test_messages_that_run_at_once_are_each_tried_again_by_themselves(app, path, pool):
    queue = pool.partition(":")[0]
    with app.mesh.workers(pool=pool, queues=(queue,)):
        results = [app.in_a_loop.apply_async((path, n), queue=queue) for n in range(20)]
        values = [result.get(timeout=TIMEOUT_S) for result in results]
    assert values == [(n + 1000, 2) for n in range(20)]
    for result in results:
        assert [attempt.error for attempt in result.attempts] == ["tests.apps.retry_tasks.Busy", None, None]


@pytest.mark.parametrize("pool", ["process:1", "thread:2", "async:2"])
def test_a_wait_that_no_message_can_have_is_a_failure_and_kills_nothing(app, pool):
    queue = pool.partition(":")[0]
    with app.mesh.workers(pool=pool, queues=(queue,)):
        result = app.waits_for_nothing.apply_async(queue=queue)
        with pytest.raises(UsageError, match="seconds=nan: expected seconds"):
            result.get(timeout=TIMEOUT_S)
