"""What a caller, and people, can know of the attempts of a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from rich.console import Console

from taskmesh.cli import dead_story
from taskmesh.cli.outcome_view import as_document, as_tables, view_of
from taskmesh.codec.outcome import Outcome, encode_outcome
from taskmesh.core import keys
from taskmesh.core.record import HEAD_LENGTH
from taskmesh.errors import TaskDead, TaskExpired
from taskmesh.queue.dead import whole_record
from taskmesh.replication.ask import plain
from tests.support import wait_until

TIMEOUT_S = 90.0


def shown(parts) -> str:
    console = Console(width=200)
    with console.capture() as printed:
        console.print(*parts)
    return printed.get()


def test_the_attempts_of_a_message_are_told_with_their_errors(app, path):
    result = app.busy.delay(path, 2)
    result.get(timeout=TIMEOUT_S)
    attempts = result.attempts
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert [attempt.text for attempt in attempts] == ["run 1", "run 2", ""]
    assert [attempt.error for attempt in attempts] == ["tests.apps.retry_tasks.Busy"] * 2 + [None]
    assert "raise" in attempts[0].traceback
    assert all(each.started_at <= each.finished_at for each in attempts)
    # each of two children measures the node's clock for itself, as well as its machine lets it
    apart = timedelta(seconds=5)
    assert all(one.finished_at <= after.started_at + apart for one, after in pairwise(attempts))
    assert abs(attempts[0].started_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert {attempt.worker for attempt in attempts} == {result.worker}
    assert (result.started_at, result.finished_at) == (attempts[-1].started_at, attempts[-1].finished_at)


def test_of_many_attempts_the_first_and_the_last_are_kept(app, path):
    result = app.tireless.delay(path, 20)
    assert result.get(timeout=TIMEOUT_S) == 21
    assert [attempt.number for attempt in result.attempts] == [1, 2, 3, *range(14, 22)]
    assert result.retries == 20


def test_another_process_reads_the_same(app, path):
    result = app.busy.delay(path, 1)
    result.get(timeout=TIMEOUT_S)
    assert app.mesh.result(result.id).attempts == result.attempts


def test_a_message_that_never_ran_has_no_attempts(app):
    result = app.busy.apply_async(("", 0), countdown=3600)
    assert (result.attempts, result.worker, result.started_at, result.finished_at) == ([], None, None, None)
    assert result.revoke()
    assert result.attempts == []


def test_the_history_outlives_crashes(app, path, notes):
    result = app.crashes_later.delay(path)
    with pytest.raises(TaskDead, match="died 3 times"):
        result.get(timeout=TIMEOUT_S)
    assert notes() == ["0", "0", "1", "2"]
    (attempt,) = result.attempts
    assert (attempt.number, attempt.text) == (1, "once")
    link = app.mesh.link
    record = link.run(whole_record(link.session, result.id))
    story = dead_story.story_of(app.mesh, result.id, record)
    (told,) = dead_story.as_document(story)["attempts"]
    assert (told["number"], told["text"]) == (1, "once")
    assert "Busy: once" in shown(dead_story.as_tables(story))


def test_the_history_outlives_a_revocation(app, path):
    result = app.slow_to_retry.delay(path)
    wait_until(lambda: result.state == "RETRY")
    assert result.revoke()
    (attempt,) = app.mesh.result(result.id).attempts
    assert attempt.text == "later"


def test_the_history_outlives_the_time_to_begin(app, path):
    """Nobody serves the queue: it is as if the last worker had gone after the first attempt."""
    result = app.busy.apply_async((path, 0), queue="nobody-retries", expires=3600)
    link = app.mesh.link
    history = encode_outcome(Outcome(result.id, "RETRY", attempt=1, worker="w", started_ms=1), link.results)
    key = keys.record(link.prefix, result.id)
    record = link.run(plain(link.session, b"GET", key))
    names = HEAD_LENGTH + sum(int(record[at : at + 2], 16) for at in (102, 104, 106))
    head = record[:94] + b"%08x" % len(history) + record[102:names]
    link.run(plain(link.session, b"SET", key, head + history + record[names:]))
    # not before: else it could end between these
    link.run(plain(link.session, b"ZADD", link.prefix + b"e", b"1", result.id.encode()))
    with pytest.raises(TaskExpired):
        result.get(timeout=TIMEOUT_S)
    assert [attempt.number for attempt in result.attempts] == [1]


def test_people_and_programs_are_shown_the_attempts(app, path):
    result = app.busy.delay(path, 1)
    result.get(timeout=TIMEOUT_S)
    view = view_of(app.mesh, result, None)
    first, second = as_document(view)["attempts"]
    assert (first["number"], first["text"], second["error"]) == (1, "run 1", None)
    text = shown(as_tables(view))
    assert "attempt 1" in text
    assert "Busy: run 1" in text
    assert text.count("attempt 2") == 1
