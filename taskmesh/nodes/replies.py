"""What a node's error replies mean to a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskmesh.core.steps import Call, NoAnswer, NodeError

#: Answers of a node which is not ready to serve: asking again later may well succeed.
NOT_READY = ("LOADING", "MASTERDOWN")


def explain(text: str) -> NodeError | NoAnswer:
    """Return the reply that stands for an error text.

    Args:
        text: As the node sent it, without the leading `-`.
    """
    if text.startswith("NOSCRIPT"):
        return NodeError("NOSCRIPT")
    if text.startswith(NOT_READY):
        return NoAnswer(text)
    return NodeError(text.removeprefix("ERR "))


def packed(call: Call, pack: Callable[..., Any]) -> bytes:
    """Return a call as it goes over the wire.

    Args:
        call: The call.
        pack: `hiredis.pack_command`, whose stub knows tuples of one word only.
    """
    script = call.script
    words = call.args if script is None else (b"EVALSHA", script.sha, b"1", call.prefix, *call.args)
    command: bytes = pack(words)
    return command
