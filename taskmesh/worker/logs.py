"""Where a worker's processes say what they, and the tasks that run in them, have to say.

The supervisor never imports the app, so its own words go to standard error, whatever the app sets up. Template and
children do as the supervisor while the app is imported; then what the app has set up counts, if it has at all.
"""

from __future__ import annotations

import logging

from taskmesh.core.logs import NO_TASK, TaskFilter
from taskmesh.core.printable import in_one_line, printable
from taskmesh.worker.brief_stream import brief_stderr

#: Of a handler that says what comes before the app's import is over.
_EARLY = "taskmesh-early"


class WorkerFormatter(logging.Formatter):
    """Time, level, process, logger, and the task if one is running: `[name id]`. Never its arguments.

    What TaskMesh says itself quotes errors and names of others. It is escaped, and its further lines, of tracebacks,
    are indented: no quoted text can look like a line of its own, or steer a terminal.
    """

    def __init__(self) -> None:
        """Make a formatter."""
        super().__init__("%(asctime)s %(levelname)s %(process)d %(name)s%(task)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return all lines of a record."""
        text = super().format(record)
        if record.name.partition(".")[0] != "taskmesh":
            return text  # what an app says is its own
        return printable(text).replace("\n", "\n  ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line, without a traceback."""
        facts = vars(record)
        task_id = facts.get("task_id", NO_TASK)
        attempt = facts.get("attempt", 0)
        again = f" attempt {attempt}" if attempt > 1 else ""
        name = facts.get("task_name", NO_TASK)
        record.task = "" if task_id == NO_TASK else f" [{in_one_line(f'{name} {task_id}')}{again}]"
        return super().formatMessage(record)


def set_up_logging(level: str) -> None:
    """Give the `taskmesh` logger a handler, unless something listens already.

    Args:
        level: Of the logger; empty leaves it.
    """
    logger = logging.getLogger("taskmesh")
    if level:
        logger.setLevel(level)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = _handler()
        handler.name = _EARLY
        logger.addHandler(handler)


def set_up_app_logging(level: str, *, configure: bool) -> None:
    """Give the root logger a handler, after the app's import, unless the app has set up logging itself.

    Args:
        level: Of the root logger.
        configure: False leaves everything as the app's import has left it.
    """
    logger, root = logging.getLogger("taskmesh"), logging.getLogger()
    for handler in list(logger.handlers):
        if handler.name == _EARLY:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
    if not configure or not _is_untouched(root):
        return
    root.handlers.clear()
    root.addHandler(_handler())
    root.setLevel(level)


def _handler() -> logging.Handler:
    # None: the supervisor's patient stream, or what an app has put in the place of standard error
    handler = logging.StreamHandler(brief_stderr())
    handler.setFormatter(WorkerFormatter())
    handler.addFilter(TaskFilter())
    return handler


def _is_untouched(root: logging.Logger) -> bool:
    """Tell whether nobody has set up the root logger.

    A mere `logging.info(...)` during the import gives it a handler as `basicConfig()` without arguments does; that is
    nobody's wish.
    """
    if not root.handlers:
        return True
    if len(root.handlers) > 1 or root.level != logging.WARNING:
        return False
    handler = root.handlers[0]
    return (
        type(handler) is logging.StreamHandler
        and handler.level == logging.NOTSET
        and not handler.filters
        and getattr(handler.formatter, "_fmt", None) == logging.BASIC_FORMAT
    )
