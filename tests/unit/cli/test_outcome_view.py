"""What came of a task, as programs read it."""

from __future__ import annotations

import json

import pytest

from taskmesh.cli.outcome_view import View, as_document, as_tables
from taskmesh.codec.outcome import ErrorInfo, Outcome


def success(value) -> View:
    return View("i", "SUCCESS", Outcome("i", "SUCCESS", finished_ms=1_700_000_000_000, attempt=1), value)


@pytest.mark.parametrize("value", [1, "x", None, [1, {"a": 2.5}], True])
def test_what_json_can_say_is_said_in_json(value):
    document = as_document(success(value))
    assert (document["value"], document["value_is_repr"]) == (value, False)


@pytest.mark.parametrize("value", [{1, 2}, b"x", object, float("nan"), {(1, 2): 3}])
def test_all_else_is_its_repr(value):
    document = json.loads(json.dumps(as_document(success(value)), allow_nan=False))
    assert (document["value"], document["value_is_repr"]) == (repr(value), True)


def test_a_failure_carries_its_traceback():
    error = ErrorInfo("builtins", "ValueError", "no", "Traceback ...")
    view = View("i", "FAILURE", Outcome("i", "FAILURE", error=error))
    assert as_document(view)["error"] == {"type": "ValueError", "text": "no", "traceback": "Traceback ..."}
    assert view.exit_code == 1
    assert as_tables(view)


@pytest.mark.parametrize(
    ("state", "code"),
    [("PENDING", 0), ("STARTED", 0), ("SUCCESS", 0), ("DEAD", 1), ("REVOKED", 1), ("EXPIRED", 1)],
)
def test_the_exit_code_tells_the_state(state, code):
    assert View("i", state, None).exit_code == code
    assert View("i", state, None, is_late=True).exit_code == 1
