"""Where the clock never changes, firings are what `cronsim` says; it counts in another way."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskmesh.errors import UsageError
from taskmesh.scheduler.crontab import crontab
from taskmesh.scheduler.timetable import firings

FAR_MS = 8_000 * 366 * 86_400_000


def field(least: int, most: int, *others: str) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    bounds = st.tuples(number, number).map(sorted)
    term = (
        number.map(str)
        | bounds.map(lambda pair: f"{pair[0]}-{pair[1]}")
        | st.tuples(bounds, st.integers(1, most)).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}")
        | st.integers(1, most).map(lambda step: f"*/{step}")
    )
    if others:
        term |= st.sampled_from(others)
    return st.just("*") | st.lists(term, min_size=1, max_size=3).map(",".join)


minute, hour = field(0, 59), field(0, 23)
day, month = field(1, 31, "L", "LW"), field(1, 12, "jan", "SEP")
weekday = field(0, 7, "mon", "FRI", "5L", "mon#2", "0#5", "tue-thu")
lines = st.tuples(minute, hour, day, month, weekday) | st.tuples(minute, minute, hour, day, month, weekday)
begins = st.integers(1, 7_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
)


@settings(max_examples=300, deadline=None)
@given(lines, begins)
@example(("0", "0", "29", "2", "*"), datetime(2096, 3, 1, tzinfo=UTC))
@example(("0", "0", "*", "2", "mon#5"), datetime(2072, 3, 1, tzinfo=UTC))
@example(("59", "59", "23", "31", "12", "*"), datetime(1999, 12, 31, 23, 59, 58, 999_000, tzinfo=UTC))
def test_firings_are_those_of_cronsim(words, begin):
    text = " ".join(words)
    try:
        when = crontab(text)
    except UsageError:
        # a day that no month named has; cronsim looks for it in fifty years
        with pytest.raises((CronSimError, StopIteration)):
            next(CronSim(text, begin))
        return
    expected = [round(moment.timestamp() * 1000) for moment in islice(CronSim(text, begin), 5)]
    found = list(islice(firings(when, round(begin.timestamp() * 1000), FAR_MS), 5))
    assert found[: len(expected)] == expected
    assert (
        len(expected) == 5 or found[len(expected)] > round(begin.timestamp() * 1000) + 50 * 365 * 86_400_000
    )


@settings(max_examples=200, deadline=None)
@given(lines, begins)
def test_backwards_as_well(words, begin):
    text = " ".join(words)
    begin = begin.replace(microsecond=0)
    try:
        when = crontab(text)
    except UsageError:
        return
    expected = [round(at.timestamp() * 1000) for at in islice(CronSim(text, begin, reverse=True), 3)]
    moment = round(begin.timestamp() * 1000)
    for wanted in (at for at in expected if at >= 0):
        moment = when.last_before(moment)
        assert moment == wanted


@settings(max_examples=500, deadline=None)
@given(st.text("0123456789*/,-#L?WmonfriSUNjan ²\u0660", max_size=30) | st.text(max_size=40))
@example("1,2 * * *")
@example("* * * * ²L")
@example("0 0 L/2 * *")
@example("0 0 * * 5L/2")
@example("\x00 * * * *")
@example("both-days")
@example("0 0 31 2 mon both-days")
def test_garbage_is_refused_and_never_breaks_anything(text):
    try:
        when = crontab(text)
    except UsageError as error:
        refused = error
    else:
        assert when.next_after(0) is not None
        return
    assert 1 <= refused.column <= max(len(text), 1)
