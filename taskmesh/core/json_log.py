"""Log records as JSON, a document per line: for what collects logs and searches them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from taskmesh.core.logs import NO_TASK, add_facts, without_arguments
from taskmesh.core.redact import redact, redacted

#: What a record has of itself; everything else was given as `extra=`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName", "task", "task_id", "task_name", "queue", "attempt", "worker", "arguments",
    "trace_id", "span_id",
}  # fmt: skip


class JsonFormatter(logging.Formatter):
    """A JSON document per record, in one line of ASCII.

    It has `time` (RFC 3339, UTC), `level`, `logger`, `message`, `process` and `worker`; within a task also `task_id`,
    `task_name`, `attempt` and `queue`; with tracing `trace_id` and `span_id`; a traceback as `exception`; what was
    given as `extra=` as `extra`. Secrets that can be found are taken out.
    """

    def __init__(self) -> None:
        """Make a formatter, also from a configuration: `{"()": "taskmesh.JsonFormatter"}`."""
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - whatever the arguments do: there is to be a line of JSON
            message = without_arguments(record, error).getMessage()
        document = self._document(record, message)
        try:
            return json.dumps(document, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            document.pop("extra", None)  # a number of 5000 digits, perhaps; the line itself must not get lost
            return json.dumps(document)

    def _document(self, record: logging.LogRecord, message: str) -> dict[str, Any]:
        add_facts(record)
        facts = vars(record)
        document: dict[str, Any] = {
            "time": rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(message),
            "process": record.process,
            "worker": facts["worker"] if facts["worker"] != NO_TASK else None,
        }
        if facts["task_id"] != NO_TASK:
            document |= {name: facts[name] for name in ("task_id", "task_name", "attempt", "queue")}
        for name in ("arguments", "trace_id", "span_id"):
            if facts.get(name):
                document[name] = facts[name]
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            document["exception"] = redact(record.exc_text)
        if record.stack_info:
            document["stack"] = redact(record.stack_info)
        extra = {name: redacted(name, value) for name, value in facts.items() if name not in _OWN}
        if extra:
            document["extra"] = extra
        return {name: value for name, value in document.items() if value is not None}


def rfc3339(unix_s: float) -> str:
    """Return a moment as RFC 3339 writes it, in UTC: `2026-08-01T12:00:00.123Z`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
