"""What hinders is said at once, then once a minute with for how long, and its end."""

from __future__ import annotations

import pytest

from taskmesh.scheduler.hindrance import Hindrance
from tests.support import said_here


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    """Return what was said since the last time."""
    caplog.set_level("INFO", "taskmesh.scheduler")

    def since() -> list[str]:
        messages = [each.getMessage() for each in said_here(caplog)]
        caplog.clear()
        return messages

    return since


def test_it_is_said_at_once_and_each_minute_with_the_reason_of_then(said) -> None:
    hindrance = Hindrance("ann", "lead")
    hindrance.met("no server", 100.0)
    assert said() == ["ann cannot lead: no server"]
    for now_s in (100.5, 130.0, 159.0):
        hindrance.met("no majority", now_s)
    assert said() == []
    hindrance.met("no majority", 160.0)
    hindrance.met("no majority", 161.0)
    hindrance.met("no server", 220.5)
    assert said() == [
        "ann cannot lead, for 60 s now: no majority",
        "ann cannot lead, for 120 s now: no server",
    ]


def test_its_end_is_said_once_and_the_next_one_is_a_new_one(said) -> None:
    hindrance = Hindrance("ann", "lead")
    hindrance.is_over(0.0)
    hindrance.met("no server", 1.0)
    said()
    hindrance.is_over(5.0)
    hindrance.is_over(6.0)
    assert said() == ["ann can lead again, after 4 s"]
    hindrance.met("no server", 7.0)
    assert said() == ["ann cannot lead: no server"]
