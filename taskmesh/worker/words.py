"""Numbers of messages, in words for people."""

from __future__ import annotations


def are(count: int) -> str:
    """Return `1 message is`, `2 messages are`."""
    return "1 message is" if count == 1 else f"{count} messages are"


def messages(count: int) -> str:
    """Return `1 message`, `2 messages`."""
    return "1 message" if count == 1 else f"{count} messages"
