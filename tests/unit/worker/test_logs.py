"""Whose logging counts in a worker: the app's, if it has set up any."""

from __future__ import annotations

import json
import logging
import os
import re
import sys

import pytest

from taskmesh.config import Settings, load_settings
from taskmesh.core.context import CURRENT, Running
from taskmesh.core.json_log import JsonFormatter
from taskmesh.worker.logs import WorkerFormatter, set_up_app_logging, set_up_logging
from taskmesh.worker.own_line import own_line, write_as_json


def settings(**arguments) -> Settings:
    return load_settings("logs", arguments, environ={}, cwd="/")


SETTINGS = settings()


@pytest.fixture
def untouched(monkeypatch):
    """Return what makes a root logger, and one named `taskmesh`, that nobody has touched, and returns the first.

    To be called in the test: pytest adds handlers of its own when the test itself begins.
    """
    loggers = logging.getLogger(), logging.getLogger("taskmesh")
    levels = [logger.level for logger in loggers]

    def make():
        for logger, level in zip(loggers, (logging.WARNING, logging.NOTSET), strict=True):
            monkeypatch.setattr(logger, "handlers", [])
            logger.setLevel(level)
        return loggers[0]

    yield make
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_an_untouched_root_logger_gets_a_handler_and_the_level(untouched):
    root = untouched()
    set_up_logging("DEBUG")
    set_up_app_logging(SETTINGS, "INFO")
    (handler,) = root.handlers
    assert isinstance(handler.formatter, WorkerFormatter)
    assert root.level == logging.INFO
    assert logging.getLogger("taskmesh").handlers == []
    assert logging.getLogger("taskmesh.worker").getEffectiveLevel() == logging.INFO


def test_nothing_is_touched_when_that_is_forbidden(untouched):
    root = untouched()
    set_up_logging("")
    set_up_app_logging(settings(configure_logging=False), "INFO")
    assert (root.handlers, root.level) == ([], logging.WARNING)
    assert logging.getLogger("taskmesh").handlers == []


def _plain():
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    return handler


def _filtered():
    handler = _plain()
    handler.addFilter(lambda _record: True)
    return handler


def _with_format():
    handler = _plain()
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


@pytest.mark.parametrize(
    ("handlers", "level"),
    [
        ([logging.NullHandler], logging.WARNING),
        ([_plain], logging.INFO),
        ([_plain, _plain], logging.WARNING),
        ([_filtered], logging.WARNING),
        ([_with_format], logging.WARNING),
    ],
)
def test_any_wish_of_the_app_counts(untouched, handlers, level):
    root = untouched()
    for make in handlers:
        root.addHandler(make())
    root.setLevel(level)
    before = list(root.handlers)
    set_up_app_logging(SETTINGS, "DEBUG")
    assert (root.handlers, root.level) == (before, level)


def test_what_a_mere_line_of_the_import_makes_is_no_wish(untouched):
    root = untouched()
    root.addHandler(_plain())
    set_up_app_logging(SETTINGS, "DEBUG")
    (handler,) = root.handlers
    assert isinstance(handler.formatter, WorkerFormatter)


def test_a_line_tells_the_task_and_the_attempt_from_the_second_on():
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "hi", None, None)
    record.process = 42
    vars(record).update(task_id="id1", task_name="shop.add", attempt=1)
    assert WorkerFormatter().format(record).endswith(" INFO 42 shop [shop.add id1]: hi")
    record.attempt = 2
    assert WorkerFormatter().format(record).endswith(" shop [shop.add id1 attempt 2]: hi")


def test_a_record_that_no_filter_has_seen_is_formatted_all_the_same():
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "hi", None, None)
    assert WorkerFormatter().format(record).endswith(" shop: hi")
    try:
        raise ValueError("x")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: x" in WorkerFormatter().format(record)


def test_what_is_quoted_can_neither_steer_a_terminal_nor_look_like_a_line():
    evil = "a\x00\x1b[2J\n2026-01-01 ERROR 1 taskmesh: forged\r"
    record = logging.LogRecord("taskmesh.worker", logging.INFO, __file__, 1, "failed: %s", (evil,), None)
    vars(record).update(task_id="id1", task_name="shop\n.add", attempt=1)
    try:
        raise ValueError(evil)
    except ValueError:
        record.exc_info = sys.exc_info()
    text = WorkerFormatter().format(record)
    assert set(text) & {"\x00", "\x1b", "\r"} == set()
    first, *others = text.splitlines()
    assert first.endswith(r" taskmesh.worker [shop\n.add id1]: failed: a\x00\x1b[2J")
    assert all(line.startswith("  ") for line in others)


def test_what_an_app_says_is_left_as_it_is():
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "a\nb\tc", None, None)
    assert WorkerFormatter().format(record).endswith(" shop: a\nb\tc")


# --- JSON


@pytest.fixture
def in_a_task():
    """Return a message that is being run, with a secret among its arguments."""

    class Job:
        args = (1, "redis://u:hunter2@host")
        kwargs = {"password": "hunter2", "name": "a\nb"}  # noqa: RUF012 - nobody changes it

    running = Running("id1", "shop.add", "mail", None, 2, 0, "w1", Job(), None, "", lambda _running: None)
    token = CURRENT.set(running)
    yield running
    CURRENT.reset(token)


def documents(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture
def as_json(untouched):
    """Return what sets up logging as JSON."""

    def set_up(**arguments):
        untouched()
        set_up_app_logging(settings(log_format="json", **arguments), "DEBUG")

    yield set_up
    write_as_json(wanted=False)


def test_a_line_is_a_document_that_knows_its_task(as_json, in_a_task, capsys):
    as_json()
    logging.getLogger("shop").warning(
        "at %s", "amqp://u:hunter2@b", extra={"order": 5, "token": "hunter2", "odd": {1}}
    )
    (document,) = documents(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("time"))
    assert document.pop("process") == os.getpid()
    assert document == {
        "level": "WARNING",
        "logger": "shop",
        "message": "at amqp://u:***@b",
        "worker": "w1",
        "task_id": "id1",
        "task_name": "shop.add",
        "attempt": 2,
        "queue": "mail",
        "extra": {"order": 5, "token": "***", "odd": "{1}"},
    }


def test_a_traceback_is_one_field_of_one_line(as_json, capsys):
    as_json()
    try:
        raise ValueError("password=hunter2\nand more")
    except ValueError:
        logging.getLogger("shop").exception("failed")
    (document,) = documents(capsys)
    assert "task_id" not in document
    assert document["exception"].startswith("Traceback")
    assert document["exception"].endswith("and more")
    assert "password=***" in document["exception"]


def test_what_json_cannot_say_costs_no_line(as_json, capsys):
    as_json()
    inside = []
    inside.append(inside)

    class Evil:
        def __repr__(self):
            raise RuntimeError

    facts = {"nan": float("nan"), "inside": inside, "huge": 10**5000, "evil": Evil(), "bytes": b"x"}
    for name, value in facts.items():
        logging.getLogger("shop").warning("line %s", name, extra={name: value})
    assert [document["message"] for document in documents(capsys)] == [f"line {name}" for name in facts]


def test_lines_without_a_logger_are_documents_as_well(as_json):
    as_json()
    document = json.loads(own_line("taskmesh worker", "node redis://u:hunter2@a is away"))
    assert (document["logger"], document["message"]) == ("taskmesh worker", "node redis://u:***@a is away")
    write_as_json(wanted=False)
    assert own_line("taskmesh worker", "no") == "taskmesh worker: no\n"


# --- arguments and secrets


@pytest.mark.parametrize("form", ["text", "json"])
def test_arguments_are_told_only_where_that_is_asked_for(as_json, in_a_task, capsys, form):
    as_json()
    logging.getLogger("taskmesh.task").debug("starts")
    assert "host" not in capsys.readouterr().err
    as_json(log_arguments=True)
    if form == "text":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(WorkerFormatter())
    logging.getLogger("taskmesh.task").debug("starts")
    logging.getLogger("shop").debug("mine")
    first, second = capsys.readouterr().err.splitlines()
    told = json.loads(first)["arguments"] if form == "json" else first
    assert r"1, 'redis://u:***@host', password=***, name='a\nb'" in told
    assert "host" not in second


@pytest.mark.parametrize("formatter", [WorkerFormatter(), JsonFormatter()])
def test_no_line_tells_a_secret(formatter):
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "%s", ({"api_key": "hunter2"},), None)
    assert "hunter2" not in formatter.format(record)
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "%s", ({"name": "hunter2"},), None)
    assert "hunter2" in formatter.format(record)


class Unspeakable:
    """It raises when it is to be shown."""

    def __repr__(self):
        raise RuntimeError("hunter2")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    ("message", "arguments"),
    [("hello %s %d", ("password=hunter2",)), ("hello %s", (Unspeakable(),)), (Unspeakable(), ())],
    ids=["too few", "not shown", "no text"],
)
def test_a_line_whose_arguments_do_not_fit_is_told_without_them(
    as_json, untouched, capsys, form, message, arguments
):
    """Python's logging would print a traceback, which is no JSON, and the arguments as they are."""
    if form == "json":
        as_json()
    else:
        untouched()
        set_up_app_logging(settings(), "DEBUG")
    logging.getLogger("shop").warning(message, *arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert "its arguments cannot be told: " in line
    assert "test_logs.py:" in line
    assert "hunter2" not in line
    assert (form == "json") == line.startswith("{")


def test_what_a_formatter_of_the_users_own_is_given(as_json):
    """`taskmesh.JsonFormatter` by name in a configuration; it needs no filter beside it."""
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "hi", None, None)
    assert json.loads(JsonFormatter().format(record))["message"] == "hi"
