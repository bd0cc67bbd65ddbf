"""OpenTelemetry: a span for each send and one for each run, in one trace, however many processes take part.

`tracing` turns them on and off, `sending` has the spans of callers, `running` those of workers, `will` those of runs
whose process died, `names` what stands in them, `tracers` who makes them. `instrumentor`, which alone imports
`opentelemetry-instrumentation`, is for `opentelemetry-instrument`. Names are those of the conventions for messaging.
"""

from taskmesh.contrib.opentelemetry.tracing import trace_tasks

__all__ = ["trace_tasks"]
