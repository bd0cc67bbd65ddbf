"""What `opentelemetry-instrument` finds by the entry point `opentelemetry_instrumentor`.

This file alone imports `opentelemetry-instrumentation`: whoever loads it, by that entry point or by name, has it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from taskmesh.contrib.opentelemetry.tracing import EveryMesh

_every_mesh = EveryMesh()


class TaskMeshInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces every mesh of the process, with no word of it in the app: `TaskMeshInstrumentor().instrument()`.

    `tracer_provider` is taken as `trace_tasks` takes it. A mesh that its app traces by itself is left alone.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return none: it is a part of what it instruments."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        _every_mesh.begin(kwargs.get("tracer_provider"))

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the base class has it so
        _every_mesh.end()
