"""Options that do not exist: each is refused by name, with what there is, or what replaces one of Celery."""

from __future__ import annotations

import re

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import UsageError


@pytest.fixture
def mesh():
    return TaskMesh("names", eager=True)


def test_a_task_is_told_every_option_there_is(mesh):
    with pytest.raises(UsageError, match=r"it knows at_most_once, autoretry_for, base, bind, .*, name, "):
        mesh.task(zzzzzz=1)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("link", "this version has no workflows"),
        ("link_error", "on_failure"),
        ("serializer", "pickled and signed"),
        ("routing_key", "use queue"),
        ("exchange", "use queue"),
        ("compression", "compress_over"),
        ("shadow", "give the task its name"),
        ("retry", "until send_timeout"),
        ("retry_policy", "until send_timeout"),
        ("ignore_errors", "get(propagate=False)"),
        ("add_to_parent", "no family"),
        ("root_id", "no family"),
    ],
)
def test_options_of_calls_of_celery_are_refused_with_what_replaces_them(mesh, name, instead):
    task = mesh.task(name="plain")(len)
    with pytest.raises(UsageError, match=rf"{name!r} is an option of Celery .*{re.escape(instead)}"):
        task.apply_async(("abc",), **{name: None})


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("acks_late", "kept until its outcome is committed"),
        ("acks_on_failure_or_timeout", "kept until its outcome is committed"),
        ("reject_on_worker_lost", "max_crashes"),
        ("serializer", "pickled and signed"),
        ("compression", "compress_over"),
        ("trail", "no family"),
        ("track_started", "every state is recorded"),
        ("store_errors_even_if_ignored", "a failure is counted"),
        ("send_events", "nothing is to be switched on"),
        ("backend", "nodes=["),
        ("pydantic", "annotations"),
        ("retry_kwargs", "give max_retries and default_retry_delay"),
    ],
)
def test_options_of_tasks_of_celery_are_refused_with_what_replaces_them(mesh, name, instead):
    with pytest.raises(UsageError, match=rf"{name!r} is an option of Celery .*{re.escape(instead)}"):
        mesh.task(**{name: True})


@pytest.mark.parametrize(
    "name", ["max_retries", "default_retry_delay", "autoretry_for", "rate_limit", "typing", "bind", "throws"]
)
def test_an_option_of_the_task_is_not_one_of_a_call(mesh, name):
    task = mesh.task(name="plain")(len)
    with pytest.raises(UsageError, match=rf"^{name} belongs to the task: @mesh\.task\({name}=\.\.\.\)"):
        task.apply_async(("abc",), **{name: 1})


@pytest.mark.parametrize("name", ["countdown", "eta", "headers", "idempotency_key", "task_id"])
def test_an_option_of_a_call_is_not_one_of_the_task(mesh, name):
    with pytest.raises(UsageError, match=rf"^{name} belongs to the call: apply_async\(args, {name}=\.\.\.\)"):
        mesh.task(**{name: "x"})


@pytest.mark.parametrize("name", ["countdown", "expires", "result_expires"])
def test_a_time_beyond_every_number_is_refused(mesh, name):
    task = mesh.task(len)
    with pytest.raises(UsageError, match=f"^{name}=10+: expected .* seconds"):
        task.apply_async(("abc",), **{name: 10**400})
    with pytest.raises(UsageError, match=f"^{name}=a int that cannot be shown: expected .* seconds"):
        task.apply_async(("abc",), **{name: 10**5000})
