"""Events as lines of text: what was told is read, and what is none is passed over."""

from __future__ import annotations

import json

import pytest

from taskmesh.core.event import LINE_MAX, TEXT_MAX, Event, decode_events, encode_events

WHOLE = Event(
    "succeeded", 1_700_000_000_123, "id-1", "shop.pay", "mail", "w1", attempt=2, seconds=0.25, detail="fine"
)
BARE = Event("leader", 1, worker="w1")


def test_what_was_told_is_read():
    assert decode_events(encode_events([WHOLE, BARE])) == [WHOLE, BARE]


def test_text_can_neither_make_another_event_nor_steer_a_terminal():
    (read,) = decode_events(encode_events([Event("sent", 1, "id", "a\tb\nsent\x1b[2J")]))
    assert read.task == r"a\tb\nsent\x1b[2J"
    raw = b"sent\t1\tid\ttask\x1b[2J\tq\tw\t\t\t"
    assert decode_events(raw)[0].task == r"task\x1b[2J"


def test_long_text_is_cut():
    (read,) = decode_events(encode_events([Event("sent", 1, detail="x" * 10_000)]))
    assert len(read.detail) == TEXT_MAX


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\x00",
        b"sent\t1",
        b"news\t1\ti\tt\tq\tw\t\t\t",
        b"sent\tx\ti\tt\tq\tw\t\t\t",
        b"sent\t-1\ti\tt\tq\tw\t\t\t",
        b"sent\t99999999999999999999\ti\tt\tq\tw\t\t\t",
        b"sent\t1\ti\tt\tq\tw\t1e9\t\t",
        b"sent\t1\ti\tt\tq\tw\t\tnan\t",
        b"sent\t1\ti\tt\tq\tw\t\tinf\t",
        b"sent\t1\ti\tt\tq\tw\t\t-5\t",
        b"sent\t1\ti\tt\tq\tw\t\t\t" + b"x" * LINE_MAX,
    ],
)
def test_what_is_no_event_is_passed_over(line):
    assert decode_events(line + b"\n" + encode_events([BARE])) == [BARE]


def test_json_says_what_there_is_and_nothing_else():
    assert json.loads(json.dumps(WHOLE.as_json())) == {
        "kind": "succeeded",
        "at": "2023-11-14T22:13:20.123+00:00",
        "id": "id-1",
        "task": "shop.pay",
        "queue": "mail",
        "worker": "w1",
        "attempt": 2,
        "seconds": 0.25,
        "detail": "fine",
    }
    assert set(BARE.as_json()) == {"kind", "at", "worker"}
