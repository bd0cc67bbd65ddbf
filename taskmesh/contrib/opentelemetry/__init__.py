"""OpenTelemetry: a span for each send and one for each run, in one trace, however many processes take part.

`sending` has the spans of callers, `running` those of workers, `names` what stands in them, `tracers` who makes them.
The names are those of the semantic conventions for messaging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.contrib.opentelemetry.running import RunSpans
from taskmesh.contrib.opentelemetry.sending import MeshSendSpans
from taskmesh.contrib.opentelemetry.tracers import Tracers, current_trace
from taskmesh.core.logs import name_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import TracerProvider

    from taskmesh.app import TaskMesh

__all__ = ["trace_tasks"]


def trace_tasks(
    mesh: TaskMesh, tracer_provider: TracerProvider | Callable[[], TracerProvider] | None = None
) -> None:
    """Trace what a mesh sends from this process and what it runs here. A second call changes nothing.

    Say it in the app's module, which callers and workers import. Log records made within a span know it from then on.

    Args:
        mesh: The mesh.
        tracer_provider: Who makes spans; the global one if not given. A function is called in each process that needs
            one, when it first does: so children of a worker are forked before any thread of an exporter exists.
    """
    if mesh.spans is not None:
        return
    tracers = Tracers(tracer_provider)
    mesh.spans = MeshSendSpans(tracers, mesh.name)
    mesh.add_hooks(RunSpans(tracers, mesh.name))
    name_trace(current_trace)
