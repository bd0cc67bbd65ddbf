"""An app that is traced; its spans go to a file, when the process that made them ends, or flushes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from taskmesh import TaskMesh, current_task
from taskmesh.contrib.opentelemetry import trace_tasks
from tests.apps import worker_tasks

FILE = Path(os.environ["TASKMESH_TEST_FOLDER"]) / "spans.jsonl"
#: Long after the test: what arrives was flushed.
NEVER_MS = 3_600_000


class ToFile(SpanExporter):
    """Appends a line for each span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with FILE.open("a") as file:
            file.write("".join(span.to_json(indent=None) + "\n" for span in spans))
        return SpanExportResult.SUCCESS


def provider() -> TracerProvider:
    """Make what makes spans, in the process that needs it."""
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(ToFile(), schedule_delay_millis=NEVER_MS))
    return made


mesh = worker_tasks.register(TaskMesh(os.environ["TASKMESH_TEST_MESH"]))
trace_tasks(mesh, provider)


@mesh.task(name="traced.again", autoretry_for=(ValueError,), default_retry_delay=0)
def again() -> str:
    """Fail once, and return the span in which it ran."""
    if not current_task().retries:
        raise ValueError("once")
    return f"{trace.get_current_span().get_span_context().span_id:016x}"


@mesh.task(name="traced.later")
async def later() -> str:
    """Return the span in which it ran, after others had their turn."""
    await asyncio.sleep(0.05)
    return f"{trace.get_current_span().get_span_context().span_id:016x}"


@mesh.task(name="traced.dies")
def dies(how: str) -> str:
    """End the process in the first run, having noted its span, and return in the second."""
    if current_task().crashes:
        return "done"
    with (FILE.parent / "inside").open("a") as file:
        file.write(f"{current_task().id} 0x{trace.get_current_span().get_span_context().span_id:016x}\n")
    if how == "abort":
        os.abort()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(0)
    while True:
        time.sleep(0.01)
