"""Sending many calls of one function, in few round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from taskmesh.client.batch import Batch
from taskmesh.client.options import SendOptions
from taskmesh.client.result import AsyncResult
from taskmesh.client.result_set import ResultSet
from taskmesh.client.sender import ROUTING_RUN, SLICE, slices
from taskmesh.queue.enqueue import NewMessage, Sent

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal


def send_all(
    portal: Portal,
    name: str,
    calls: Iterable[Iterable[Any]],
    options: SendOptions,
    function: Callable[..., Any] | None = None,
    *,
    main: str = "",
    target: Callable[..., Any] | None = None,
    before_sent: Callable[[Sequence[AsyncResult[Any]]], None] | None = None,
) -> list[AsyncResult[Any]]:
    """Send one message per tuple of positional arguments, and return the handles in their order.

    Args:
        portal: Where.
        name: Name of the task.
        calls: Any number; built and sent in slices, so that memory stays flat.
        options: For all of them.
        function: What is sent by value; None for a task that workers know.
        main: What workers call the main script, if the task stands in there.
        target: The function itself, by whose parameters keys tell arguments apart.
        before_sent: Called with the handles of each slice before it is sent.

    Raises:
        BatchError: Some were not accepted; its `results` holds all handles.
    """
    portal.open_to_send()
    sender, inbox = portal.sender, portal.inbox
    content_hash, functions = "", {}
    if function is not None:
        _, content_hash, blob = sender.pack_function(function)
        functions = {content_hash.encode(): blob}
    kind = sender.kind(name, options, function=content_hash, main=main)
    handles: list[AsyncResult[Any]] = []
    failed = Sent()
    batch = Batch(sender)
    for part in slices(calls, SLICE):
        messages: list[NewMessage] = []
        if options.has_keys:
            # each lives where its own keys lead
            messages += [
                sender.build(name, tuple(call), {}, options, function=content_hash, main=main, target=target)
                for call in part
            ]
        else:
            for at in range(0, len(part), ROUTING_RUN):
                messages += sender.build_run(kind, part[at : at + ROUTING_RUN])
        round_ = inbox.round
        new: list[AsyncResult[Any]] = [
            AsyncResult(portal, message.task_id.decode(), name, round_=round_, sent_here=True)
            for message in messages
        ]
        inbox.expect_new(new)
        handles += new
        if before_sent is not None:
            before_sent(new)
        open_batch = sender.open_batch
        if open_batch is not None:
            for handle, message in zip(new, messages, strict=True):
                open_batch.add(message, functions, handle)
            continue
        sent = sender.deliver(messages, functions)
        if sent.duplicates:
            for handle in new:
                if handle.id in sent.duplicates:
                    handle.stand_for(sent.duplicates[handle.id])
        if sent.rejected or sent.unknown:
            batch.hold(messages, functions, sent)
            failed.rejected.update(sent.rejected)
            failed.unknown.update(sent.unknown)
    if failed.rejected or failed.unknown:
        accepted = []
        for handle in handles:
            if batch.holds(handle.id):
                handle.batch = batch
                handle.round = 0
            else:
                accepted.append(handle.id)
        error = batch.error(len(handles), accepted, failed)
        error.results = ResultSet(handles, portal)
        raise error
    return handles
