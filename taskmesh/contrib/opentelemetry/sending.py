"""The span of a send: its context travels in the message's headers, as W3C's Trace Context says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind

from taskmesh.client.options import SendOptions
from taskmesh.client.spans import Sending
from taskmesh.contrib.opentelemetry.names import BATCH_COUNT, MESSAGE_ID, attributes, note_error
from taskmesh.contrib.opentelemetry.tracers import Tracers


class MeshSendSpans:
    """Makes the spans of what one mesh sends."""

    def __init__(self, tracers: Tracers, mesh: str) -> None:
        """Prepare.

        Args:
            tracers: Who makes spans.
            mesh: Name of the mesh.
        """
        self._tracers = tracers
        self._mesh = mesh

    @contextmanager
    def sending(self, task: str, options: SendOptions) -> Iterator[Sending]:
        """Be in the span of a send; see `SendSpans`."""
        with self._tracers.tracer().start_as_current_span(
            f"send {task}",
            kind=SpanKind.PRODUCER,
            attributes=attributes(self._mesh, task, options.queue, "send", "send"),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers, trace.set_span_in_context(span))
            told = msgspec.structs.replace(
                options, headers={**(options.headers or {}), **headers} or None, in_span=True
            )
            try:
                yield _Sending(span, told)
            except BaseException as error:
                note_error(span, error)
                raise


class _Sending:
    """One send, or one of many messages."""

    def __init__(self, span: Span, options: SendOptions) -> None:
        self._span = span
        self.options = options

    def sent(self, task_id: str) -> None:
        """See `Sending`."""
        self._span.set_attribute(MESSAGE_ID, task_id)

    def sent_many(self, count: int) -> None:
        """See `Sending`."""
        self._span.set_attribute(BATCH_COUNT, count)
