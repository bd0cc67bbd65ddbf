"""What a task may raise to say how its message goes on."""

from __future__ import annotations

import pytest

from taskmesh.errors import TaskDead
from tests.support import wait_until

TIMEOUT_S = 90.0


def test_ignore_ends_well_and_without_a_value(app, path, notes):
    result = app.verdict.delay(path, "ignore")
    assert result.get(timeout=TIMEOUT_S) is None
    assert result.state == "SUCCESS"
    assert notes() == ["1 ignore"]


def test_reject_makes_a_dead_letter_with_the_reason(app, path, notes):
    result = app.verdict.delay(path, "reject")
    with pytest.raises(TaskDead, match="rejected: not today"):
        result.get(timeout=TIMEOUT_S)
    assert result.state == "DEAD"
    assert notes() == ["1 reject"]


@pytest.mark.parametrize("what", ["requeue", "snooze", "put off"])
def test_what_goes_back_or_waits_is_charged_no_attempt(app, path, what):
    result = app.verdict.delay(path, what)
    assert result.get(timeout=TIMEOUT_S) == "run 2, attempt 1"
    assert result.retries == 0


def test_a_retry_that_says_no_time_waits_as_the_policy_says(app, path):
    assert app.verdict.delay(path, "retry").get(timeout=TIMEOUT_S) == "run 2, attempt 2"


def test_what_is_put_back_goes_behind_the_others(app, path, notes):
    """Else a message that nobody can take now would keep those behind it from running."""
    mesh = app.mesh
    results = [
        app.verdict.apply_async((f"{path}-0", "requeue"), queue="back"),
        *[app.verdict.apply_async((f"{path}-{n}", "ignore"), queue="back") for n in range(1, 4)],
    ]
    with mesh.workers(1, queues=("back",)):
        for result in results:
            result.get(timeout=TIMEOUT_S)
    assert [result.finished_at for result in results[1:]] <= [results[0].finished_at] * 3


def test_a_snoozed_message_is_scheduled_and_can_be_revoked(app):
    def waits() -> None:
        from taskmesh import current_task

        current_task().snooze(3600)

    result = app.mesh.submit(waits)
    wait_until(lambda: result.state == "SCHEDULED")
    assert result.attempts == []
    assert result.revoke()


def test_a_message_that_was_revoked_while_it_ran_is_not_tried_again(app, path, notes):
    result = app.holds.delay(path)
    wait_until(lambda: notes() == ["0"])
    assert not result.revoke()
    (app.Path(f"{path}-let")).touch()
    wait_until(lambda: result.state == "REVOKED")
    assert notes() == ["0"]
