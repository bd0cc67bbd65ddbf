"""Numbers of messages, and names of tasks, in words for people."""

from __future__ import annotations

from collections.abc import Sequence

#: Names in one line of the log; `taskmesh inspect registered` shows all.
NAMES_MAX = 20
#: What becomes of tasks that run when a worker has to end.
AFTERWARDS = "then, or by a second signal, they are killed without their `finally`, and go back in line"


def are(count: int) -> str:
    """Return `1 message is`, `2 messages are`."""
    return "1 message is" if count == 1 else f"{count} messages are"


def messages(count: int) -> str:
    """Return `1 message`, `2 messages`."""
    return "1 message" if count == 1 else f"{count} messages"


def tasks_in_words(tasks: Sequence[str], queues: Sequence[str], served: Sequence[str]) -> str:
    """Return which tasks a worker knows, and which of them it will not be given.

    Args:
        tasks: Their names.
        queues: Where the messages of each go, unless a call says otherwise.
        served: The queues of the worker.
    """
    away = [f"{task} ({queue})" for task, queue in zip(tasks, queues, strict=True) if queue not in served]
    text = f"tasks {len(tasks)}" + (f": {_some(tasks)}" if tasks else "")
    return text + (f"; to queues that it does not serve go {_some(away)}" if away else "")


def _some(names: Sequence[str]) -> str:
    left = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {left} more" if left > 0 else "")
