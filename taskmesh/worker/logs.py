"""Where a worker's processes say what they, and the tasks that run in them, have to say.

The supervisor never imports the app, so its own words go to standard error, whatever the app sets up. Template and
children do as the supervisor while the app is imported; then what the app has set up counts, if it has at all.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from taskmesh.config.settings import JSON
from taskmesh.core.context import CURRENT
from taskmesh.core.logs import NO_TASK, TaskFilter, without_arguments
from taskmesh.core.printable import in_one_line, printable
from taskmesh.core.redact import redact
from taskmesh.worker.brief_stream import brief_stderr
from taskmesh.worker.own_line import write_as_json

if TYPE_CHECKING:
    from taskmesh.config import Settings
    from taskmesh.worker.options import MeshFacts, WorkerOptions

#: Loggers that say that tasks start, end and fail.
_TELL_ARGUMENTS = frozenset({"taskmesh.task", "taskmesh.worker"})
#: Of a handler that says what comes before the app's import is over.
_EARLY = "taskmesh-early"


class WorkerFormatter(logging.Formatter):
    """Time, level, process, logger, and the task if one is running: `[name id]`. No secrets that can be found.

    What TaskMesh says itself quotes errors and names of others. It is escaped, and its further lines, of tracebacks,
    are indented: no quoted text can look like a line of its own, or steer a terminal.
    """

    def __init__(self) -> None:
        """Make a formatter."""
        super().__init__("%(asctime)s %(levelname)s %(process)d %(name)s%(task)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return all lines of a record."""
        try:
            text = redact(super().format(record))
        except Exception as error:  # noqa: BLE001 - what does not fit its arguments is told without them
            text = redact(super().format(without_arguments(record, error)))
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
        arguments = f" ({facts['arguments']})" if "arguments" in facts else ""
        record.task = "" if task_id == NO_TASK else f" [{in_one_line(f'{name} {task_id}')}{again}{arguments}]"
        return super().formatMessage(record)


class ArgumentsFilter(logging.Filter):
    """Adds the running task's arguments to what the worker says of it. It refuses nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add them."""
        running = CURRENT.get()
        if running is not None and record.name in _TELL_ARGUMENTS:
            from taskmesh.core.arguments_shown import arguments_shown

            record.arguments = arguments_shown(running.job.args, running.job.kwargs)
        return True


def set_up_logging(level: str, form: str = "") -> None:
    """Give the `taskmesh` logger a handler, unless something listens already.

    Args:
        level: Of the logger; empty leaves it.
        form: How lines are written, `text` or `json`; empty for text, or as a handler that is there does it.
    """
    write_as_json(wanted=form == JSON)
    logger = logging.getLogger("taskmesh")
    if level:
        logger.setLevel(level)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = _handler(form)
        handler.name = _EARLY
        logger.addHandler(handler)
    elif form:
        for handler in logger.handlers:
            if handler.name == _EARLY:
                handler.setFormatter(_formatter(form))


def follow(options: WorkerOptions, facts: MeshFacts) -> None:
    """Have a supervisor say what the app's settings want, where its options want nothing."""
    set_up_logging("" if options.log_level else facts.log_level, options.log_format or facts.log_format)


def set_up_app_logging(settings: Settings, level: str = "", form: str = "") -> None:
    """Give the root logger a handler, after the app's import, unless the app has set up logging itself.

    Args:
        settings: Of the mesh; they may say that everything is left as the app's import has left it.
        level: Of the root logger; empty for the setting.
        form: How lines are written; empty for the setting.
    """
    form = form or settings.log_format
    write_as_json(wanted=form == JSON)
    logger, root = logging.getLogger("taskmesh"), logging.getLogger()
    for handler in list(logger.handlers):
        if handler.name == _EARLY:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
    if not settings.configure_logging or not _is_untouched(root):
        return
    root.handlers.clear()
    root.addHandler(_handler(form, arguments=settings.log_arguments))
    root.setLevel(level or settings.log_level)


def _handler(form: str, *, arguments: bool = False) -> logging.Handler:
    # None: the supervisor's patient stream, or what an app has put in the place of standard error
    handler = logging.StreamHandler(brief_stderr())
    handler.setFormatter(_formatter(form))
    handler.addFilter(TaskFilter())
    if arguments:
        handler.addFilter(ArgumentsFilter())
    return handler


def _formatter(form: str) -> logging.Formatter:
    if form != JSON:
        return WorkerFormatter()
    from taskmesh.core.json_log import JsonFormatter

    return JsonFormatter()


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
