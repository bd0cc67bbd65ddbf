"""Spans of sends and runs, where the caller runs tasks itself: no worker is needed to see what is traced, and how."""

from __future__ import annotations

import json
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from taskmesh import JsonFormatter, TaskMesh, current_task
from taskmesh.contrib.opentelemetry import trace_tasks
from taskmesh.contrib.opentelemetry.tracers import FLUSH_MS, Tracers


@pytest.fixture
def mesh(provider):
    made = TaskMesh("traced", eager=True)
    trace_tasks(made, provider)
    return made


def spans(exporter, *, named=""):
    """Return the spans that ended, in the order of their beginnings."""
    found = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)
    return [span for span in found if span.name.startswith(named)]


def test_a_send_and_its_run_are_one_trace_with_the_names_of_the_conventions(mesh, exporter):
    add = mesh.task(name="add", queue="sums")(lambda a, b: a + b)
    handle = add.delay(1, 2)
    send, run = spans(exporter)
    assert (send.name, send.kind, run.name, run.kind) == (
        "send add",
        SpanKind.PRODUCER,
        "run add",
        SpanKind.CONSUMER,
    )
    common = {
        "messaging.system": "taskmesh",
        "messaging.destination.name": "sums",
        "messaging.message.id": handle.id,
        "taskmesh.mesh": "traced",
        "taskmesh.task.name": "add",
    }
    assert send.attributes == {
        **common,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    assert (
        dict(run.attributes).items()
        >= {
            **common,
            "messaging.operation.name": "run",
            "messaging.operation.type": "process",
            "taskmesh.task.attempt": 1,
            "taskmesh.task.state": "SUCCESS",
        }.items()
    )
    assert run.context.trace_id == send.context.trace_id
    assert run.parent.span_id == send.context.span_id
    assert [link.context.span_id for link in run.links] == [send.context.span_id]


def test_each_attempt_has_a_span_that_links_to_the_one_before(mesh, exporter):
    @mesh.task(name="flaky", autoretry_for=(ValueError,), default_retry_delay=0)
    def flaky():
        if current_task().retries < 2:
            raise ValueError("redis://u:hunter2@host is away")

    flaky.delay().get()
    send, *runs = spans(exporter)
    assert len({span.context.trace_id for span in (send, *runs)}) == 1
    before = [send.context.span_id, *(run.context.span_id for run in runs)]
    assert [[link.context.span_id for link in run.links] for run in runs] == [
        [send.context.span_id],
        [send.context.span_id, before[1]],
        [send.context.span_id, before[2]],
    ]
    assert [run.attributes["taskmesh.task.attempt"] for run in runs] == [1, 2, 3]
    assert [run.status.status_code for run in runs] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert runs[0].attributes["error.type"] == "ValueError"
    (event,) = runs[0].events
    assert event.attributes["exception.message"] == "redis://u:***@host is away"
    assert "in flaky" in event.attributes["exception.stacktrace"]
    assert "hunter2" not in str([span.to_json() for span in runs])


def test_a_send_that_fails_tells_why(mesh, exporter):
    take = mesh.task(name="take")(lambda thing: None)
    with pytest.raises(Exception, match="pickle"):
        take.delay(lock := __import__("threading").Lock())
    del lock
    (send,) = spans(exporter)
    assert send.status.status_code is StatusCode.ERROR
    assert send.attributes["error.type"].startswith("taskmesh.errors.")


def test_what_runs_here_and_now_is_not_sent(mesh, exporter, provider):
    add = mesh.task(name="add")(lambda a, b: a + b)
    with provider.get_tracer("test").start_as_current_span("request") as request:
        assert add.apply((1, 2)).get() == 3
    _, run = spans(exporter)
    assert (run.name, run.kind, run.links) == ("run add", SpanKind.CONSUMER, ())
    assert run.parent.span_id == request.get_span_context().span_id


def test_many_messages_are_one_span_to_which_each_run_links(mesh, exporter):
    square = mesh.task(name="square")(lambda x: x * x)
    assert square.map(range(3)).get() == [0, 1, 4]
    (send,), runs = spans(exporter, named="send"), spans(exporter, named="run")
    assert send.attributes["messaging.batch.message_count"] == 3
    assert [run.links[0].context.span_id for run in runs] == [send.context.span_id] * 3


@pytest.mark.asyncio
async def test_in_an_event_loop_it_is_the_same(mesh, exporter):
    inside = []

    @mesh.task(name="later")
    async def later():
        inside.append(trace.get_current_span().get_span_context().span_id)

    await later.adelay()
    send, run = spans(exporter)
    assert inside == [run.context.span_id]
    assert run.parent.span_id == send.context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


def test_what_the_caller_does_is_around_it_and_headers_of_the_caller_stay(mesh, exporter, provider):
    seen = []
    look = mesh.task(name="look")(lambda: seen.append(current_task().headers))
    with provider.get_tracer("test").start_as_current_span("request") as request:
        look.apply_async(headers={"tenant": "a"})
    (send,) = spans(exporter, named="send")
    assert send.parent.span_id == request.get_span_context().span_id
    assert seen[0]["tenant"] == "a"
    assert seen[0]["traceparent"].split("-")[1] == f"{send.context.trace_id:032x}"


def test_log_records_know_the_span(mesh, exporter):
    formatted = []

    class Kept(logging.Handler):
        def emit(self, record):
            formatted.append(json.loads(JsonFormatter().format(record)))

    handler = Kept()
    logging.getLogger("of-spans").addHandler(handler)
    mesh.task(name="speak")(lambda: logging.getLogger("of-spans").warning("hi")).delay()
    logging.getLogger("of-spans").warning("outside")
    logging.getLogger("of-spans").removeHandler(handler)
    (run,) = spans(exporter, named="run")
    inside, outside = formatted
    assert (inside["trace_id"], inside["span_id"]) == (
        f"{run.context.trace_id:032x}",
        f"{run.context.span_id:016x}",
    )
    assert "trace_id" not in outside


def test_a_function_makes_the_provider_when_it_is_first_needed(provider, exporter):
    made = []
    mesh = TaskMesh("lazily-traced", eager=True)
    add = mesh.task(name="add")(lambda: 1)

    def make():
        made.append(1)
        return provider

    trace_tasks(mesh, make)
    trace_tasks(mesh, make)
    assert made == []
    add.delay()
    add.delay()
    assert made == [1]
    assert len(spans(exporter)) == 4


def test_a_process_that_has_traced_nothing_lets_go_of_nothing(provider):
    """It may be a fork of one that has: what that one holds is not exported twice."""
    made = []

    class Flushed(TracerProvider):
        def force_flush(self, timeout_millis=0):
            made.append(timeout_millis)
            return True

    own = Flushed()
    tracers = Tracers(lambda: own)
    tracers.flush()
    assert made == []
    tracers.tracer()
    tracers._pid -= 1  # as after a fork
    tracers.flush()
    assert made == []
    tracers.tracer()
    tracers.flush()
    assert made == [FLUSH_MS]
    own.shutdown()
