"""What stands in spans: the semantic conventions for messaging, and what only TaskMesh has."""

from __future__ import annotations

from typing import Final

from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

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
STATE: Final = "taskmesh.task.state"


def attributes(mesh: str, task: str, queue: str, operation: str, kind: str) -> dict[str, AttributeValue]:
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
