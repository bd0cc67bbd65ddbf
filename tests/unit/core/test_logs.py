"""What log records tell of the running task."""

from __future__ import annotations

import logging

import pytest

from taskmesh import TaskFilter, TaskMesh, get_task_logger


@pytest.fixture
def lines():
    """Return the lines that the logger `of-tasks` has said, by a format of the user's own."""

    class Kept(logging.Handler):
        def emit(self, record):
            said.append(self.format(record))

    said: list[str] = []
    logger = logging.getLogger("of-tasks")
    handler = Kept()
    handler.setFormatter(logging.Formatter("%(task_name)s %(task_id)s %(attempt)d %(worker)s %(message)s"))
    handler.addFilter(TaskFilter())
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)


def test_a_record_knows_the_task_in_which_it_was_made(lines):
    mesh = TaskMesh("logs", eager=True)

    @mesh.task(name="speak")
    def speak():
        get_task_logger("of-tasks").warning("inside")

    handle = speak.delay()
    handle.get()
    logging.getLogger("of-tasks").warning("outside")
    inside, outside = lines
    assert inside.startswith(f"speak {handle.id} 1 ")
    assert outside == "- - 0 - outside"


def test_what_a_record_has_already_is_kept(lines):
    """A record may come from another process, through a queue."""
    logging.getLogger("of-tasks").warning("hi", extra={"task_id": "other", "attempt": 7})
    assert lines == ["- other 7 - hi"]
