"""What stands in spans: the semantic conventions for messaging, and what only TaskMesh has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskmesh.core.redact import redact

# the package with the conventions has these as constants that may still move; as texts they need no package
SYSTEM: Final = "messaging.system"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
BATCH_COUNT: Final = "messaging.batch.message_count"
CLIENT_ID: Final = "messaging.client.id"
ERROR_TYPE: Final = "error.type"
MESH: Final = "taskmesh.mesh"
TASK: Final = "taskmesh.task.name"
ATTEMPT: Final = "taskmesh.task.attempt"
CRASHES: Final = "taskmesh.task.crashes"
STATE: Final = "taskmesh.task.state"
#: The event, and the type of the error, of a run whose process died in it.
CRASH: Final = "crash"
CRASH_HOW: Final = "taskmesh.crash.how"

_TRACEPARENT: Final = "traceparent"
#: Between attempts TaskMesh speaks with itself: whatever carries traces elsewhere, that is W3C's.
_OWN: Final = TraceContextTextMapPropagator()


def attributes(mesh: str, task: str, queue: str, operation: str, kind: str) -> dict[str, str | int]:
    """Return what every span has.

    Args:
        mesh: Name of the mesh.
        task: Name of the task.
        queue: Of the message.
        operation: What TaskMesh calls what is done.
        kind: What the conventions call it.
    """
    return {
        SYSTEM: "taskmesh",
        OPERATION: operation,
        OPERATION_TYPE: kind,
        DESTINATION: queue,
        MESH: mesh,
        TASK: task,
    }


def note_error(span: Span, error: BaseException) -> None:
    """Say in a span by which error its work failed, without the secrets that can be found in its text."""
    import traceback

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = redact("".join(traceback.format_exception_only(error)).strip())
    span.set_attribute(ERROR_TYPE, name)
    span.set_status(Status(StatusCode.ERROR, text))
    span.add_event(
        "exception",
        {
            "exception.type": name,
            "exception.message": text.partition(": ")[2],
            "exception.stacktrace": redact("".join(traceback.format_exception(error))),
        },
    )


def told_own(context: Context) -> dict[str, str]:
    """Return what carries a context from one attempt to another."""
    told: dict[str, str] = {}
    _OWN.inject(told, context)
    return told


def traceparent(context: Context) -> str:
    """Return the `traceparent` of the span of a context; empty if there is none."""
    return told_own(context).get(_TRACEPARENT, "")


def read_own(told: str | Mapping[str, str]) -> Context:
    """Return the context that is told so, or by its `traceparent` alone."""
    if not told:
        return Context()  # which is most often so, and costs nothing
    return _OWN.extract({_TRACEPARENT: told} if isinstance(told, str) else told, Context())


def links_to(context: Context) -> list[Link]:
    """Return a link to the span of a context; none if it has none."""
    found = trace.get_current_span(context).get_span_context()
    return [Link(found)] if found.is_valid else []
