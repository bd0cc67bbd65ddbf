"""Which meshes of this process are traced, and by whose wish: their app's, or of whoever instruments the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from taskmesh.client.meshes import watch_meshes, watch_no_more
from taskmesh.contrib.opentelemetry.running import RunSpans
from taskmesh.contrib.opentelemetry.sending import MeshSendSpans
from taskmesh.contrib.opentelemetry.tracers import Given, Tracers, current_trace
from taskmesh.core.logs import name_trace

if TYPE_CHECKING:
    from taskmesh.client.host import Host


class _Tracing:
    """How one mesh is traced.

    Attributes:
        by_app: Whether its app has asked for it, which nobody else takes back.
    """

    def __init__(self, mesh: Host) -> None:
        self._tracers = Tracers(None)
        self._sends = MeshSendSpans(self._tracers, mesh.name)
        self._runs = RunSpans(self._tracers, mesh.name)
        mesh.hooks.add_all(self._runs)
        mesh.hooks.heirs.append(self._runs.tell_of_death)
        self.by_app = False

    def begin(self, mesh: Host, given: Given, *, by_app: bool) -> None:
        self.by_app = by_app
        self._tracers.use(given)
        self._runs.is_on = True
        mesh.spans = self._sends

    def end(self, mesh: Host) -> None:
        """Make no more spans; a run that has one keeps it to its end."""
        self._runs.is_on = False
        mesh.spans = None


_tracings: WeakKeyDictionary[Host, _Tracing] = WeakKeyDictionary()


def trace_tasks(mesh: Host, tracer_provider: Given = None) -> None:
    """Trace what a mesh sends from this process and what it runs here. A second call changes nothing.

    Say it in the app's module, which callers and workers import. Log records made within a span know it from then on.
    It counts before what `opentelemetry-instrument` has begun for that mesh.

    Args:
        mesh: The mesh.
        tracer_provider: Who makes spans; the global one if not given. A function is called in each process that needs
            one, when it first does: so children of a worker are forked before any thread of an exporter exists.
    """
    _trace(mesh, tracer_provider, by_app=True)


def _trace(mesh: Host, given: Given, *, by_app: bool) -> None:
    tracing = _tracings.get(mesh)
    if tracing is None:
        tracing = _tracings[mesh] = _Tracing(mesh)
    elif mesh.spans is not None and (tracing.by_app or not by_app):
        return
    tracing.begin(mesh, given, by_app=by_app)
    name_trace(current_trace)


class EveryMesh:
    """Traces every mesh of this process, those as well that are made later."""

    def __init__(self) -> None:
        """Prepare; nothing is traced by that."""
        self._watcher: Callable[[Host], None] | None = None

    def begin(self, given: Given) -> None:
        """Begin, with who makes spans as `trace_tasks` takes it. A second call changes nothing."""
        if self._watcher is not None:
            return

        def watcher(mesh: Host) -> None:
            _trace(mesh, given, by_app=False)

        self._watcher = watcher
        watch_meshes(watcher)

    def end(self) -> None:
        """Trace only those any more whose apps have asked for it."""
        if self._watcher is None:
            return
        watch_no_more(self._watcher)
        self._watcher = None
        for mesh, tracing in list(_tracings.items()):
            if not tracing.by_app:
                tracing.end(mesh)
        if not any(tracing.by_app for tracing in _tracings.values()):
            name_trace(None)
