"""The span of a run whose process died in it: told by the child that takes the dead one's place.

Each run that is traced leaves what its span would say. Who finds that makes the very span, with its ids: so what the
run had exported within it before it died, and what it had logged, belong to it.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, Tracer

from taskmesh.contrib.opentelemetry.names import (
    CRASH,
    CRASH_HOW,
    ERROR_TYPE,
    STATE,
    links_to,
    read_own,
    told_own,
)
from taskmesh.core.death import Death
from taskmesh.core.state import State

#: What callers are raised where a run was ended for its hard limit.
_OVERDUE = "taskmesh.errors.TimeLimitExceeded"


class Will(msgspec.Struct, frozen=True, array_like=True):
    """What a run leaves.

    Attributes:
        name: Of the span.
        began_ns: When it began, Unix time.
        own: `traceparent` of the span itself.
        around: What carries the context around it.
        before: `traceparent` of the attempt before; empty if there is none.
        attributes: Of the span.
    """

    name: str
    began_ns: int
    own: str
    around: dict[str, str]
    before: str
    attributes: dict[str, str | int]


def write_will(
    name: str,
    began_ns: int,
    own: str,
    around: Context,
    before: str,
    attributes: dict[str, str | int],
) -> bytes:
    """Return what a run leaves; see `Will`."""
    return msgspec.msgpack.encode(Will(name, began_ns, own, told_own(around), before, attributes))


def tell_will(tracer: Tracer, left: bytes, death: Death) -> None:
    """Make the span of a run whose process died.

    Args:
        tracer: Makes spans.
        left: As `write_will` made it.
        death: How the process died.
    """
    will = msgspec.msgpack.decode(left, type=Will)
    own = trace.get_current_span(read_own(will.own)).get_span_context()
    around = read_own(will.around)
    span = with_ids(tracer, own).start_span(
        will.name,
        context=around,
        kind=SpanKind.CONSUMER,
        links=[*links_to(around), *links_to(read_own(will.before))],
        attributes=will.attributes,
        start_time=will.began_ns,
    )
    if span.get_span_context().span_id != own.span_id:
        span.add_link(own)
    at_ns = max(death.at_ms * 1_000_000, will.began_ns)
    if death.state:
        span.set_attribute(STATE, death.state)
    if death.state != State.REVOKED:
        span.set_attribute(ERROR_TYPE, _OVERDUE if death.state else CRASH)
        span.set_status(Status(StatusCode.ERROR, death.how))
    span.add_event(CRASH, {CRASH_HOW: death.how}, at_ns)
    span.end(at_ns)


class _Given:
    """Gives out the ids of one span, and else what another gives out."""

    def __init__(self, ids: SpanContext, other: Any) -> None:
        self._ids = ids
        self._other = other

    def generate_span_id(self) -> int:
        return self._ids.span_id

    def generate_trace_id(self) -> int:
        return self._ids.trace_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


def with_ids(tracer: Tracer, ids: SpanContext) -> Tracer:
    """Return a tracer whose spans have these ids, if it is one of the SDK; else the tracer itself."""
    generator = getattr(tracer, "id_generator", None)
    if generator is None:
        return tracer
    copied: Any = copy.copy(tracer)
    copied.id_generator = _Given(ids, generator)
    made: Tracer = copied
    return made
