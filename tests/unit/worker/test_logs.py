"""Whose logging counts in a worker: the app's, if it has set up any."""

from __future__ import annotations

import logging
import sys

import pytest

from taskmesh.worker.logs import WorkerFormatter, set_up_app_logging, set_up_logging


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
    set_up_app_logging("INFO", configure=True)
    (handler,) = root.handlers
    assert isinstance(handler.formatter, WorkerFormatter)
    assert root.level == logging.INFO
    assert logging.getLogger("taskmesh").handlers == []
    assert logging.getLogger("taskmesh.worker").getEffectiveLevel() == logging.INFO


def test_nothing_is_touched_when_that_is_forbidden(untouched):
    root = untouched()
    set_up_logging("")
    set_up_app_logging("INFO", configure=False)
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
    set_up_app_logging("DEBUG", configure=True)
    assert (root.handlers, root.level) == (before, level)


def test_what_a_mere_line_of_the_import_makes_is_no_wish(untouched):
    root = untouched()
    root.addHandler(_plain())
    set_up_app_logging("DEBUG", configure=True)
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
