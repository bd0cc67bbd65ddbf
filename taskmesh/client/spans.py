"""What a tracer is told of what is sent, where a mesh has one. Nothing here knows one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from taskmesh.client.options import SendOptions

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.client.result_set import ResultSet

R = TypeVar("R")


class Sending(Protocol):
    """A send that is under way.

    Attributes:
        options: How to send, with what workers must know of the trace.
    """

    options: SendOptions

    def sent(self, task_id: str) -> None:
        """Note the id of the one message."""

    def sent_many(self, count: int) -> None:
        """Note how many messages there were."""


class SendSpans(Protocol):
    """Makes spans of sends."""

    def sending(self, task: str, options: SendOptions) -> AbstractContextManager[Sending]:
        """Be in the span of a send, of one message or of many of one task; an error that leaves the block is noted.

        Args:
            task: Name of the task.
            options: How to send.
        """


def in_span(
    spans: SendSpans, task: str, options: SendOptions, send: Callable[[SendOptions], AsyncResult[R]]
) -> AsyncResult[R]:
    """Send one message in a span.

    Args:
        spans: Who makes it.
        task: Name of the task.
        options: How to send.
        send: Sends, with the options that it is given.
    """
    with spans.sending(task, options) as sending:
        handle = send(sending.options)
        sending.sent(handle.id)
        return handle


def many_in_span(
    spans: SendSpans, task: str, options: SendOptions, send: Callable[[SendOptions], ResultSet[Any]]
) -> ResultSet[Any]:
    """Send many messages of one task in a span, as `in_span` does one."""
    with spans.sending(task, options) as sending:
        results = send(sending.options)
        sending.sent_many(len(results))
        return results
