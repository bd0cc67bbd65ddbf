"""`ResultSet`: many results together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh import ResultSet
from taskmesh.errors import ResultExpired, TaskRevoked, TaskTimeout
from tests.apps.client_tasks import Refused
from tests.integration.client.node import Counted
from tests.support import wait_until

TIMEOUT_S = 90.0


def test_values_come_in_the_order_of_sending(app):
    found = app.add.starmap([(1, 2), (3, 4), (5,)])
    assert found.get(TIMEOUT_S) == [3, 7, 5]
    assert app.add.map(range(3)).get(TIMEOUT_S) == [0, 1, 2]
    assert (len(found), found[1].get(), [each.get() for each in found]) == (3, 7, [3, 7, 5])
    assert (found.ready(), found.successful(), found.failed(), found.completed_count()) == (
        True,
        True,
        False,
        3,
    )
    assert repr(found) == "<ResultSet of 3, 3 heard of>"


def test_an_empty_one_has_ended(app):
    found = app.add.map([])
    assert found.get(0) == list(found.as_completed()) == found.join(0) == []
    assert found.ready()
    assert found.wait(0)
    assert found.revoke() == 0
    found.forget()


def test_as_completed_yields_as_they_end(app, holds):
    (first_name, first), (second_name, second) = holds.all_children()
    quick = app.add.delay(1, 1)
    found = ResultSet([first, second, quick])
    order = found.as_completed(TIMEOUT_S)
    holds.let_go(second_name)
    assert next(order) is second
    assert next(order) is quick
    holds.let_go(first_name)
    assert list(order) == [first]


def test_as_completed_misses_nothing_that_others_hear_meanwhile(app, holds):
    """The caller gets another result between two of these, and so hears of these himself."""
    for _ in range(20):
        sent = app.add.map(range(5))
        sent[0].get(timeout=TIMEOUT_S)
        seen = []
        for result in sent.as_completed(TIMEOUT_S):
            app.add.delay(1).get(timeout=TIMEOUT_S)
            seen.append(result.get(0))
        assert sorted(seen) == [0, 1, 2, 3, 4]


def test_as_completed_in_several_threads_at_once(app):
    sent = app.add.map(range(500))
    with ThreadPoolExecutor(6) as threads:
        found = threads.map(lambda _: sorted(r.get() for r in sent.as_completed(TIMEOUT_S)), range(6))
        assert list(found) == [list(range(500))] * 6
    assert not any(result.watchers for result in sent)


def test_as_completed_times_out(app, holds):
    _, slow = holds.send()
    quick = app.add.delay(1)
    quick.get(timeout=TIMEOUT_S)  # which may take longer than the time that is tested
    seen = []
    with pytest.raises(TaskTimeout, match="1 of 2 tasks"):
        seen.extend(ResultSet([slow, quick]).as_completed(0.1))
    assert seen == [quick]


def test_get_times_out_for_all_together(app, holds):
    name, slow = holds.send()
    found = ResultSet([app.add.delay(1), slow])
    found[0].get(timeout=TIMEOUT_S)  # which may take longer than the time that is tested
    with pytest.raises(TaskTimeout, match=f"1 of 2 tasks.*{slow.id}"):
        found.get(0.1)
    assert not found.ready()
    assert found.completed_count() == 1
    assert not found.wait(0)
    holds.let_go(name)
    assert found.wait(TIMEOUT_S)


def test_a_look_without_time_sees_what_has_ended(app):
    found = app.add.map(range(10))
    wait_until(lambda: found.wait(0), TIMEOUT_S)
    assert found.get(0) == list(range(10))


def test_failures_are_raised_or_returned(app):
    found = ResultSet([app.add.delay(1), app.refuse.delay("no", 1), app.refuse.delay("never", 2)])
    with pytest.raises(Refused, match="no"):
        found.get(TIMEOUT_S)
    values = found.get(TIMEOUT_S, propagate=False)
    assert values[0] == 1
    assert [(type(error), error.code) for error in values[1:]] == [(Refused, 1), (Refused, 2)]
    assert found.ready()
    assert found.failed()
    assert not found.successful()


def test_join_tells_how_far_it_is(app):
    told = []
    assert app.add.map(range(5)).join(TIMEOUT_S, progress=lambda *far: told.append(far)) == list(range(5))
    assert told == [(n, 5) for n in range(6)]


def test_revoke_and_forget_take_few_round_trips(app, mesh, holds, monkeypatch):
    held = holds.all_children()
    sent = app.add.map(range(600))
    both = ResultSet([*[handle for _, handle in held], *sent])
    counted = Counted(mesh, monkeypatch)
    assert both.revoke() == 600
    assert counted("revoke") == 2
    errors = sent.get(TIMEOUT_S, propagate=False)
    assert {type(error) for error in errors} == {TaskRevoked}
    assert sent.revoke() == 600, "they are"
    sent.forget()
    assert counted("forget") == 1
    assert {type(error) for error in sent.get(0, propagate=False)} == {ResultExpired}


def test_many_results_cost_few_round_trips(app, mesh, monkeypatch):
    app.add.delay(1).get(timeout=TIMEOUT_S)
    counted = Counted(mesh, monkeypatch)
    assert sum(app.add.map(range(5000)).get(3 * TIMEOUT_S)) == sum(range(5000))
    assert (counted("enqueue"), counted("read")) == (3, 0)
