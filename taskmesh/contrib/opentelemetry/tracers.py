"""Who makes spans in this process, and gets rid of them when a child ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.trace import Tracer, TracerProvider

from taskmesh.core.version import VERSION

#: How long the end of a child may take for what an exporter still holds.
FLUSH_MS = 5000

#: Who makes spans, or what makes that one; None for the global one.
Given: TypeAlias = TracerProvider | Callable[[], TracerProvider] | None

_making = threading.Lock()


def _forked() -> None:
    global _making  # noqa: PLW0603 - a thread that does not exist here may hold it
    _making = threading.Lock()


os.register_at_fork(after_in_child=_forked)


class Tracers:
    """The tracer of each process."""

    def __init__(self, given: Given) -> None:
        """Prepare; nobody is made before the first span.

        Args:
            given: Who makes spans.
        """
        self._given = given
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._pid = 0

    def use(self, given: Given) -> None:
        """Have another make the spans that begin from now on."""
        with _making:
            self._given, self._provider, self._tracer = given, None, None

    def tracer(self) -> Tracer:
        """Return the tracer of this process, made at the first call."""
        tracer = self._tracer
        if tracer is None or self._pid != os.getpid():
            with _making:  # threads that begin together must not make two, of which one is never flushed
                tracer = self._tracer
                if tracer is None or self._pid != os.getpid():
                    tracer = self._make()
        return tracer

    def _make(self) -> Tracer:
        given = self._given
        self._provider = given() if callable(given) else given
        self._tracer = tracer = trace.get_tracer("taskmesh", VERSION, self._provider)
        self._pid = os.getpid()
        return tracer

    def flush(self) -> None:
        """Have spans exported that wait: a child of a worker ends without the interpreter's own end."""
        if callable(self._given) and self._pid != os.getpid():
            return  # nobody was made here, and what the process holds that forked this one is that one's own
        provider = self._provider if self._provider is not None else trace.get_tracer_provider()
        force_flush = getattr(provider, "force_flush", None)  # of the SDK: the API alone has nothing to flush
        if force_flush is not None:
            force_flush(FLUSH_MS)


def current_trace() -> tuple[str, str] | None:
    """Return the ids of the current trace and span, in hexadecimal digits; None outside of spans."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
