"""What a task is told about retries: Celery's names, and what they come to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from taskmesh.client.kind import Kind
from taskmesh.client.options import SendOptions, TaskOptions, task_options
from taskmesh.codec.envelope import decode_envelope
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.core.record import parse
from taskmesh.core.retry import DEFAULT, RetryPolicy

MESSAGES = Keyring(Key.of(b"k" * 32)).signer("message", "shop")
NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, RetryPolicy(max_retries=3, delay_s=180.0, backoff_s=0.0, backoff_max_s=600.0, jitter=True)),
        ({"max_retries": None}, RetryPolicy(max_retries=None)),
        ({"max_retries": 0}, RetryPolicy(max_retries=0)),
        ({"retry_backoff": True}, RetryPolicy(backoff_s=1.0)),
        ({"retry_backoff": False}, RetryPolicy(backoff_s=0.0)),
        ({"retry_backoff": 5}, RetryPolicy(backoff_s=5.0)),
        (
            {"retry_backoff": "1m", "retry_backoff_max": "1h"},
            RetryPolicy(backoff_s=60.0, backoff_max_s=3600.0),
        ),
        ({"default_retry_delay": timedelta(minutes=1)}, RetryPolicy(delay_s=60.0)),
        ({"retry_deadline": "1d", "retry_jitter": False}, RetryPolicy(deadline_s=86_400.0, jitter=False)),
        ({"autoretry_for": OSError}, RetryPolicy(autoretry_for=(OSError,))),
        ({"autoretry_for": [OSError, KeyError]}, RetryPolicy(autoretry_for=(OSError, KeyError))),
        ({"throws": (KeyError,), "autoretry_for": None}, RetryPolicy(throws=(KeyError,))),
    ],
)
def test_options_become_a_policy(given, policy):
    assert task_options(given) == TaskOptions(retry=policy)


def test_a_task_that_says_nothing_shares_the_default():
    """A function that travels by value is then sent as it is."""
    assert task_options({"queue": "mail"}).retry is DEFAULT


@pytest.mark.parametrize("countdown_s", [0.0, 5.0])
def test_a_message_says_when_it_is_first_due(countdown_s):
    """The record's moment says so only until it has passed, and a deadline begins there."""
    options = SendOptions("q", False, 60, extras={"mine": 1}, countdown_s=countdown_s)
    kind = Kind(
        "task",
        options,
        function="",
        main="",
        channel=b"",
        sender="",
        signer=MESSAGES,
        max_size=1000,
        compress_over=1000,
    )
    head = kind.head(b"0000", NOW_MS)
    message = kind.message("id-1", (), {}, slot=b"0000", now_ms=NOW_MS, created_ms=NOW_MS, head=head)
    envelope = decode_envelope(parse(message.record).envelope, MESSAGES)
    due = {"due": NOW_MS + 5000} if countdown_s else {}
    assert envelope.extras == {"mine": 1} | due
