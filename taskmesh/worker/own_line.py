"""Lines that a worker writes without a logger: what it says before it has one, and what it could not write.

Who reads JSON reads these as well.
"""

from __future__ import annotations

import time

from taskmesh.core.redact import redact

_is_json = False


def write_as_json(*, wanted: bool) -> None:
    """Note how the lines of this process are written.

    Args:
        wanted: As a JSON document each, or else as text.
    """
    global _is_json  # noqa: PLW0603 - a process has one standard error
    _is_json = wanted


def own_line(who: str, text: str) -> str:
    """Return a line, with its end.

    Args:
        who: The command that speaks.
        text: What it says.
    """
    text = redact(text)
    if not _is_json:
        return f"{who}: {text}\n"
    import json

    from taskmesh.core.json_log import rfc3339

    facts = {"time": rfc3339(time.time()), "level": "ERROR", "logger": who, "message": text}
    return json.dumps(facts) + "\n"
