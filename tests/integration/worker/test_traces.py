"""Traces that go from a caller through a node to a worker, and on to the next attempt."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from taskmesh import TaskMesh, current_task, every
from taskmesh.client.result import AsyncResult
from taskmesh.contrib.opentelemetry import trace_tasks
from taskmesh.contrib.opentelemetry.instrumentor import TaskMeshInstrumentor
from taskmesh.core.logs import name_trace
from taskmesh.errors import TaskRevoked, TimeLimitExceeded
from taskmesh.testing.firing import fire
from taskmesh.testing.thread_worker import ThreadWorker
from tests.apps import worker_tasks
from tests.faults.scene import Scene
from tests.support import wait_until

PATIENCE_S = 90.0


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    yield made
    made.shutdown()
    name_trace(None)


@pytest.fixture
def traced(mesh: TaskMesh, provider: TracerProvider) -> Iterator[tuple[TaskMesh, ThreadWorker]]:
    """Return a mesh that is traced, and a worker for it."""
    trace_tasks(mesh, provider)
    with ThreadWorker(mesh) as worker:
        yield mesh, worker


def ended(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    found = [span for span in exporter.get_finished_spans() if span.name == name]
    return sorted(found, key=lambda span: span.start_time or 0)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def test_one_trace_has_the_send_and_each_attempt_with_links(
    traced: tuple[TaskMesh, ThreadWorker], exporter: InMemorySpanExporter
) -> None:
    mesh, worker = traced

    @mesh.task(name="again", autoretry_for=(ValueError,), default_retry_delay=0)
    def again() -> int:
        if current_task().retries < 2:
            raise ValueError(current_task().retries)
        return 1

    handle = again.delay()
    assert handle.get(PATIENCE_S) == 1
    worker.stop()
    (send,), runs = ended(exporter, "send again"), ended(exporter, "run again")
    assert {trace_of(run) for run in runs} == {trace_of(send)}
    assert [[link.context.span_id for link in run.links] for run in runs] == [
        [id_of(send)],
        [id_of(send), id_of(runs[0])],
        [id_of(send), id_of(runs[1])],
    ]
    assert [run.status.status_code for run in runs] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert {(run.attributes or {})["messaging.message.id"] for run in runs} == {handle.id}


def test_whatever_is_sent_in_whatever_way_is_traced(
    traced: tuple[TaskMesh, ThreadWorker], exporter: InMemorySpanExporter
) -> None:
    mesh, worker = traced

    async def slow(x: int) -> int:
        return x

    def fails() -> None:
        raise KeyError("x")

    echo = mesh.task(name="echo")(slow)
    assert echo.map([1, 2]).get(PATIENCE_S) == [1, 2]
    with mesh.batch():
        one = echo.delay(3)
    assert one.get(PATIENCE_S) == 3
    with mesh.executor() as executor:
        assert executor.submit(lambda: 4).result(PATIENCE_S) == 4
        assert list(executor.map(lambda x: x + 1, [4, 5])) == [5, 6]
    with pytest.raises(KeyError):
        mesh.task(name="fails")(fails).delay().get(PATIENCE_S)
    worker.stop()
    sent = {id_of(span): span for span in exporter.get_finished_spans() if span.name.startswith("send")}
    runs = [span for span in exporter.get_finished_spans() if span.name.startswith("run")]
    assert (len(sent), len(runs)) == (5, 7)
    for run in runs:
        assert run.parent is not None
        assert trace_of(run) == trace_of(sent[run.parent.span_id])
        assert [link.context.span_id for link in run.links] == [run.parent.span_id]
    counts = [(span.attributes or {}).get("messaging.batch.message_count") for span in sent.values()]
    assert sorted(counts, key=str) == [2, 2, None, None, None]
    (failed,) = ended(exporter, "run fails")
    assert (failed.attributes or {})["error.type"] == "KeyError"


def test_what_a_schedule_calls_is_sent_by_whoever_runs_it_now_and_by_nobody_when_it_fires(
    traced: tuple[TaskMesh, ThreadWorker], exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    mesh, worker = traced
    tick = mesh.task(name="tick")(lambda: current_task().headers.get("tenant"))
    mesh.schedule("ticks", every(60), tick.s().set(headers={"tenant": "a"}))
    with provider.get_tracer("test").start_as_current_span("request") as request:
        handle = mesh.schedules.run_now("ticks")
    assert handle.get(PATIENCE_S) == "a"
    now_ms = int(time.time() * 1000)
    (firing,) = fire(mesh, now_ms, now_ms + 60_000)
    assert firing.get(PATIENCE_S) == "a"
    worker.stop()
    (send,), (asked, fired) = ended(exporter, "send tick"), ended(exporter, "run tick")
    assert send.parent is not None
    assert send.parent.span_id == request.get_span_context().span_id
    assert (send.attributes or {})["messaging.message.id"] == handle.id
    assert asked.parent is not None
    assert asked.parent.span_id == id_of(send)
    assert (fired.parent, fired.links) == (None, ())


@pytest.mark.parametrize("pool", ["process:1", "thread:2", "async:2"])
def test_children_of_a_worker_flush_their_spans_when_they_end(scene: Scene, pool: str) -> None:
    worker = scene.worker(
        1,
        app="tests.apps.traced:mesh",
        env={"TASKMESH_TEST_FOLDER": str(scene.folder)},
        pools=(pool,),
        log_level="INFO",
        log_format="json",
    )
    again = scene.mesh.send_task("traced.again")
    later = scene.mesh.send_task("traced.later")
    ids = {again.get(PATIENCE_S), later.get(PATIENCE_S)}
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert "started threads" not in worker.said()
    spans = [json.loads(line) for line in (scene.folder / "spans.jsonl").read_text().splitlines()]
    assert sorted(span["name"] for span in spans) == ["run traced.again"] * 2 + ["run traced.later"]
    assert ids <= {span["context"]["span_id"].removeprefix("0x") for span in spans}
    first, second = sorted(
        (span for span in spans if "again" in span["name"]), key=lambda span: span["start_time"]
    )
    assert [link["context"]["span_id"] for link in second["links"]] == [first["context"]["span_id"]]
    told = [json.loads(line) for line in worker.said().splitlines()]
    (line,) = (one for one in told if "will be tried again" in one["message"])
    assert f"0x{line['span_id']}" == first["context"]["span_id"]


def test_a_run_whose_process_died_has_a_span_that_the_next_child_tells(scene: Scene) -> None:
    worker = scene.worker(1, app="tests.apps.traced:mesh", env={"TASKMESH_TEST_FOLDER": str(scene.folder)})

    def send(how: str, **options: Any) -> AsyncResult[str]:
        return scene.mesh.send_task("traced.dies", [how], **options)

    died = {how: send(how) for how in ("kill", "exit")}
    late, revoked = send("never", time_limit=0.3), send("never")
    assert [handle.get(PATIENCE_S) for handle in died.values()] == ["done"] * 2
    with pytest.raises(TimeLimitExceeded):
        late.get(PATIENCE_S)
    inside = scene.folder / "inside"
    wait_until(lambda: revoked.id in inside.read_text())
    revoked.revoke(terminate=True)
    with pytest.raises(TaskRevoked):
        revoked.get(PATIENCE_S)
    died["abort"] = again = send("abort", headers={"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01"})
    assert again.get(PATIENCE_S) == "done"
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0

    spans = [json.loads(line) for line in (scene.folder / "spans.jsonl").read_text().splitlines()]
    runs = defaultdict(list)
    for span in sorted(spans, key=lambda span: span["start_time"]):
        runs[span["attributes"]["messaging.message.id"]].append(span)
    seen = dict(line.split() for line in inside.read_text().splitlines())
    said = {"abort": "signal 6 (SIGABRT)", "kill": "signal 9 (SIGKILL)", "exit": "exit code 0"}
    for how, handle in died.items():
        # those that ran after it died in the same child as another, and with it what that held
        first = runs[handle.id][0]
        assert first["context"]["span_id"] == seen[handle.id]
        assert first["status"] == {"status_code": "ERROR", "description": said[how]}
        assert first["attributes"]["error.type"] == "crash"
        assert [event["name"] for event in first["events"]] == ["crash"]
    first, second = runs[again.id]
    assert first["start_time"] < first["end_time"] <= second["start_time"]
    assert second["status"]["status_code"] == "UNSET"
    for run in (first, second):
        assert (run["context"]["trace_id"], run["parent_id"]) == ("0x" + "a1" * 16, "0x" + "b2" * 8)
        assert [link["context"]["span_id"] for link in run["links"]] == ["0x" + "b2" * 8]
    assert second["attributes"]["taskmesh.task.crashes"] == 1
    (overdue,), (ended,) = runs[late.id], runs[revoked.id]
    assert overdue["status"]["status_code"] == "ERROR"
    assert overdue["attributes"]["error.type"] == "taskmesh.errors.TimeLimitExceeded"
    assert overdue["attributes"]["taskmesh.task.state"] == "FAILURE"
    assert ended["status"]["status_code"] == "UNSET"
    assert ended["attributes"]["taskmesh.task.state"] == "REVOKED"


@pytest.mark.slow
def test_opentelemetry_instrument_traces_an_app_that_says_nothing_of_it(
    scene: Scene, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    worker = scene.worker(
        1,
        within=[str(Path(sys.executable).with_name("opentelemetry-instrument"))],
        env={
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        },
        log_level="WARNING",
    )
    TaskMeshInstrumentor().instrument(tracer_provider=provider)
    try:
        handle = scene.send(worker_tasks.add, 1, 2, expect=3)
    finally:
        TaskMeshInstrumentor().uninstrument()
    assert handle.get(PATIENCE_S) == 3
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    (send,) = exporter.get_finished_spans()
    said = worker.said()
    run = json.loads(said[said.index("{\n") : said.rindex("\n}") + 2])
    assert run["name"] == "run tests.apps.worker_tasks.add"
    assert run["attributes"]["messaging.message.id"] == handle.id
    assert run["context"]["trace_id"] == f"0x{trace_of(send):032x}"
    assert run["parent_id"] == f"0x{id_of(send):016x}"
