"""Messages that fail run again: as often as their task says, when it says, and for the errors that it names."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskmesh import current_task
from taskmesh.errors import MaxRetriesExceededError, NotPicklable, UsageError
from tests.support import wait_until

TIMEOUT_S = 90.0
RETRIES = 60


def test_a_message_runs_again_until_it_succeeds(app, path, notes):
    result = app.busy.delay(path, 2)
    assert result.get(timeout=TIMEOUT_S) == 3
    assert notes() == ["1", "2", "3"]
    assert result.retries == 2


def test_it_fails_with_its_last_error_when_the_retries_are_used_up(app, path, notes):
    result = app.busy.delay(path, 99)
    with pytest.raises(app.Busy, match="run 4"):
        result.get(timeout=TIMEOUT_S)
    assert notes() == ["1", "2", "3", "4"]
    assert result.state == "FAILURE"


@pytest.mark.parametrize(("kind", "runs"), [("TimeoutError", 4), ("VeryBusy", 1), ("KeyError", 1)])
def test_only_the_errors_that_are_named_count_with_those_made_from_them(app, path, notes, kind, runs):
    result = app.busy.delay(path, 99, kind)
    with pytest.raises(Exception, match="run"):
        result.get(timeout=TIMEOUT_S)
    assert len(notes()) == runs


def test_a_task_without_a_limit_goes_on(app, path):
    assert app.tireless.delay(path, 20).get(timeout=TIMEOUT_S) == 21


def test_delays_double(app, path, notes):
    with pytest.raises(app.Busy):
        app.backs_off.delay(path).get(timeout=TIMEOUT_S)
    moments = [float(line) for line in notes()]
    waits = [after - before for before, after in itertools.pairwise(moments)]
    assert len(waits) == 4
    for wait, least in zip(waits, [0.1, 0.2, 0.4, 0.8], strict=True):
        # the node's clock is measured, on a busy machine not very well, so a delay may seem shorter
        assert wait >= least - 0.3


def test_no_attempt_begins_after_the_deadline(app, path, notes):
    with pytest.raises(app.Busy):
        app.pressed.delay(path).get(timeout=TIMEOUT_S)
    # at 0, 0.5 and 1 s at most
    assert 1 <= len(notes()) <= 3


def test_what_could_not_begin_in_time_is_not_put_off(app, path, notes):
    result = app.slow_to_retry.apply_async((path,), expires=60)
    with pytest.raises(app.Busy):
        result.get(timeout=TIMEOUT_S)
    assert notes() == ["run"]


def test_a_message_that_waits_for_its_retry_says_so_and_can_be_revoked(app, path, notes):
    result = app.slow_to_retry.delay(path)
    wait_until(lambda: result.state == "RETRY")
    (attempt,) = result.attempts
    assert (attempt.number, attempt.error, attempt.text) == (1, "tests.apps.retry_tasks.Busy", "later")
    assert result.retries == 1
    assert not result.ready()
    assert result.revoke()
    assert result.state == "REVOKED"
    assert notes() == ["run"]


def test_what_cannot_be_sent_home_is_no_reason_to_run_again(app, path, notes):
    with pytest.raises(NotPicklable):
        app.not_picklable.delay(path).get(timeout=TIMEOUT_S)
    assert notes() == ["run"]


# -- asked for by the task ------------------------------------------------------------------


def test_a_bound_task_asks_for_another_run_with_other_arguments(app, path, notes):
    result = app.bound.delay(path, 1)
    with pytest.raises(MaxRetriesExceededError, match="attempt 3"):
        result.get(timeout=TIMEOUT_S)
    assert notes() == [f"{n} {(path, n + 1)} {{}} True" for n in range(3)]


def test_the_error_that_is_given_is_raised_when_the_retries_are_used_up(app, path, notes):
    with pytest.raises(app.Busy, match="given"):
        app.bound.delay(path, 1, give="error").get(timeout=TIMEOUT_S)
    assert notes() == [f"{n} {(path, 1)} {{'give': 'error'}} True" for n in range(3)]


def test_a_task_can_clean_up_when_its_retries_are_used_up(app, path):
    assert app.bound.delay(path, 1, give="cleanup").get(timeout=TIMEOUT_S) == "cleaned up"


def test_a_retry_goes_on_in_another_queue_and_stays_there(app):
    result = app.moves.delay()
    wait_until(lambda: result.state in ("RETRY", "PENDING") and result.retries == 1, TIMEOUT_S, "it waits")
    with app.mesh.workers(1, queues=("elsewhere",), name="other"):
        assert result.get(timeout=TIMEOUT_S) == ("elsewhere", "other")
    assert [attempt.worker == "other" for attempt in result.attempts] == [False, True, True]


def test_any_task_can_ask_by_the_context(app, path):
    assert app.unbound.delay(path).get(timeout=TIMEOUT_S) == 2


def test_a_task_that_travels_by_value_brings_its_policy(app, path):
    mesh = app.mesh

    class Odd(Exception):
        pass

    def fails(path: str) -> int:
        with Path(path).open("a+") as file:
            file.write("run\n")
            file.seek(0)
            if len(file.readlines()) < 3:
                raise Odd
        return current_task().attempt

    def asks(self, path: str) -> int:
        if self.request.retries < 2:
            self.retry(countdown=0)
        return self.request.retries

    policy = {"autoretry_for": (Odd,), "default_retry_delay": timedelta(seconds=0.01)}
    try:
        assert mesh.task(**policy)(fails).delay(path).get(timeout=TIMEOUT_S) == 3
        assert mesh.task(bind=True, max_retries=2)(asks).delay(path).get(timeout=TIMEOUT_S) == 2
    finally:
        for name in [name for name in mesh.tasks if "<locals>" in name]:
            del mesh.tasks[name]


def test_an_idle_worker_begins_a_retry_as_soon_as_it_is_due(app, path, notes):
    """The child that asked for it is busy with the next message meanwhile, and no other looks for a second."""
    started = time.monotonic()
    results = [app.tireless.delay(f"{path}-{n}", RETRIES) for n in range(3)]
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [RETRIES + 1] * 3
    # far from a second for each
    assert time.monotonic() - started < RETRIES / 2


# -- in plain calls -------------------------------------------------------------------------


def test_in_a_plain_call_the_error_itself_is_raised(app, path):
    with pytest.raises(app.Busy, match="given"):
        app.bound(path, 1, give="error")
    assert app.bound.request.called_directly
    assert app.bound.request.id is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_retries": -1}, "0 or more"),
        ({"max_retries": "3"}, "whole number"),
        ({"max_retries": True}, "whole number"),
        ({"autoretry_for": "Busy"}, "no class of exceptions"),
        ({"autoretry_for": (int,)}, "no class of exceptions"),
        ({"autoretry_for": 3}, "no class of exceptions"),
        ({"default_retry_delay": -1}, "default_retry_delay=-1"),
        ({"retry_backoff": "x"}, "retry_backoff='x'"),
        ({"retry_jitter": 1}, "True or False"),
        ({"retry_deadline": float("nan")}, "retry_deadline=nan"),
        ({"bind": 1}, "True or False"),
        ({"retry_kwargs": {"max_retries": 5}}, "max_retries"),
        ({"auto_retry_for": ()}, "did you mean autoretry_for"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(app, options, text):
    with pytest.raises(UsageError, match=text):
        app.mesh.task(**options)(len)


def test_moments_that_cannot_be_fail_the_task(app, path):
    mesh = app.mesh

    def asks(eta: object, countdown: object) -> None:
        current_task().retry(eta=eta, countdown=countdown)

    for eta, countdown in [(datetime(2030, 1, 1), None), (None, -1), (None, "soon")]:  # noqa: DTZ001 - the mistake
        with pytest.raises(UsageError):
            mesh.submit(asks, eta, countdown).get(timeout=TIMEOUT_S)
    far = mesh.submit(asks, datetime.now(UTC) + timedelta(days=1), None)
    wait_until(lambda: far.state == "RETRY")
    assert far.revoke()
