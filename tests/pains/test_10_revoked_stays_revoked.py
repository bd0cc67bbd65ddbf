"""Pain 10: a cancellation is forgotten at a restart, or ignored.

celery/celery#4300, #8417, #2620; taskiq#183.
"""

from __future__ import annotations

import threading

from taskmesh import ResultSet
from taskmesh.errors import TaskRevoked
from tests.apps import worker_tasks as tasks
from tests.support import wait_until


def test_what_is_revoked_while_no_worker_lives_is_never_run(scene, at_scale):
    count = at_scale(300, 10_000)
    trace = scene.task(tasks.trace)
    sent = trace.starmap([(str(scene.folder), f"never-{n}") for n in range(count)])
    delayed = ResultSet([trace.apply_async((str(scene.folder), "later"), countdown=0.5) for _ in range(20)])
    assert sent.revoke() == count
    assert delayed.revoke() == 20
    scene.worker(2)
    # what was sent after them is run after them
    last = trace.delay(str(scene.folder), "last")
    assert last.get(timeout=90) == 0
    assert trace.apply_async((str(scene.folder), "last too"), countdown=0.6).get(timeout=90) == 0
    assert set(scene.notes()) == {"last", "last too"}
    assert {result.state for result in sent} == {"REVOKED"}


def test_of_revoking_and_running_exactly_one_wins(scene, at_scale):
    scene.worker(2)
    trace = scene.task(tasks.trace)
    for turn in range(at_scale(5, 100)):
        sent = trace.starmap([(str(scene.folder), f"{turn}-{n}", n) for n in range(200)])
        racing = threading.Thread(target=sent.revoke)
        racing.start()
        got = sent.get(timeout=90, propagate=False)
        racing.join()
        ran = {word for word in scene.notes() if word.startswith(f"{turn}-")}
        for n, outcome in enumerate(got):
            if isinstance(outcome, TaskRevoked):
                assert f"{turn}-{n}" not in ran
            else:
                assert outcome == n
                assert f"{turn}-{n}" in ran
        wait_until(lambda sent=sent: sent.ready())
