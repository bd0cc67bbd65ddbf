"""The span of a run: a child of the send, with links to that and to the attempt before."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass
from time import time_ns
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from taskmesh.contrib.opentelemetry.names import (
    ATTEMPT,
    CLIENT_ID,
    CRASHES,
    MESSAGE_ID,
    STATE,
    attributes,
    links_to,
    note_error,
    read_own,
    traceparent,
)
from taskmesh.contrib.opentelemetry.tracers import Tracers
from taskmesh.contrib.opentelemetry.will import tell_will, write_will
from taskmesh.core.context import CurrentTask, run_of
from taskmesh.core.death import Death
from taskmesh.core.hooks import Middleware, WorkerContext
from taskmesh.core.state import State
from taskmesh.errors import Verdict

#: States that say that a run has not done its work.
_FAILED = frozenset({State.FAILURE, State.DEAD})


@dataclass(slots=True)
class _Open:
    """A run that has not ended.

    Attributes:
        span: Its span.
        token: Gives back the context around it.
        has_error: Whether the span tells of an error.
    """

    span: Span
    token: Token[Context]
    has_error: bool = False


class RunSpans(Middleware):
    """Makes the spans of what one mesh runs in this process.

    Attributes:
        is_on: Whether runs that begin have one.
    """

    def __init__(self, tracers: Tracers, mesh: str) -> None:
        """Prepare.

        Args:
            tracers: Who makes spans.
            mesh: Name of the mesh.
        """
        self._tracers = tracers
        self._mesh = mesh
        self.is_on = True
        # by the identity of the task's facts, which live as long as the run
        self._open: dict[int, _Open] = {}

    def before_task(self, task: CurrentTask) -> None:
        """Begin the span."""
        if not self.is_on:
            return
        run = run_of(task)
        around, to_sender = _read(task.headers), []
        if trace.get_current_span(around).get_span_context().is_valid:
            to_sender = links_to(around)
        elif run.is_eager:
            # nobody has sent it, and its caller runs it; what a worker runs without a sender begins a trace
            around = context.get_current()
        name, began_ns, said = f"run {task.name}", time_ns(), self._said(task)
        span = self._tracers.tracer().start_span(
            name,
            context=around,
            kind=SpanKind.CONSUMER,
            links=[*to_sender, *links_to(read_own(run.trace_before))],
            attributes=said,
            start_time=began_ns,
        )
        within = trace.set_span_in_context(span, around)
        self._open[id(task)] = _Open(span, context.attach(within))
        run.trace = traceparent(within)
        if span.is_recording() and not run.is_eager:
            run.will = write_will(name, began_ns, run.trace, around, run.trace_before, said)

    def _said(self, task: CurrentTask) -> dict[str, str | int]:
        """Return what the span says from the beginning."""
        crashes = {CRASHES: task.crashes} if task.crashes else {}
        return {
            **attributes(self._mesh, task.name, task.queue, "run", "process"),
            MESSAGE_ID: task.id,
            CLIENT_ID: task.worker,
            ATTEMPT: task.attempt,
            **crashes,
        }

    def tell_of_death(self, will: bytes, death: Death) -> None:
        """Make the span of a run whose process died in it, in the child that takes its place."""
        if self.is_on:
            tell_will(self._tracers.tracer(), will, death)
            # what has killed one process may soon kill this one
            self._tracers.flush()

    def on_failure(self, task: CurrentTask, error: BaseException) -> None:
        """Note the error."""
        self._note(task, error)

    def on_retry(self, task: CurrentTask, error: BaseException) -> None:
        """Note the error."""
        self._note(task, error)

    def after_task(self, task: CurrentTask, state: State, seconds: float) -> None:
        """End the span."""
        del seconds
        found = self._open.pop(id(task), None)
        if found is None:
            return
        found.span.set_attribute(STATE, state.value)
        if state in _FAILED and not found.has_error:
            found.span.set_status(Status(StatusCode.ERROR, state.value))
        context.detach(found.token)
        found.span.end()

    def on_child_stop(self, worker: WorkerContext) -> None:
        """Have an exporter get rid of what it holds."""
        del worker
        self._tracers.flush()

    def _note(self, task: CurrentTask, error: BaseException) -> None:
        found = self._open.get(id(task))
        if found is not None and not isinstance(error, Verdict):
            note_error(found.span, error)
            found.has_error = True


def _read(headers: Mapping[str, Any]) -> Context:
    """Return the context that a message's headers carry."""
    texts = {name: value for name, value in headers.items() if isinstance(value, str)}
    return propagate.extract(texts, Context())
