"""How a runner says that messages end or go on, and what it logs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from taskmesh import JsonFormatter, Reject, Retry, Snooze, TaskMesh, current_task
from taskmesh.codec.envelope import Envelope, decode_envelope, encode_envelope
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.outcome import Outcome, decode_outcome
from taskmesh.codec.pickling import decode_call, decode_error, encode_call
from taskmesh.core.limits import Limits
from taskmesh.core.record import head_parts
from taskmesh.errors import MaxRetriesExceededError, UsageError
from taskmesh.queue.commit import retried
from taskmesh.queue.rate import Start
from taskmesh.worker.limits import Guard
from taskmesh.worker.page import Page, make_page
from taskmesh.worker.runner import Runner
from tests.support import said_here

RING = Keyring(Key.of(b"k" * 32))
MESSAGES, RESULTS, FUNCTIONS = (RING.signer(kind, "verdicts") for kind in ("message", "result", "function"))
NOW_MS = 1_700_000_000_000


class Busy(Exception):
    """Something that passes."""


class Bench:
    """A runner, and messages for it."""

    def __init__(self) -> None:
        self.mesh = TaskMesh("verdicts", embedded="private", max_message_size=1024, max_result_size=1024)
        self.now_ms = NOW_MS
        self.runner = Runner(
            self.mesh.tasks,
            self.mesh.settings,
            hooks=self.mesh.hooks,
            messages=MESSAGES,
            results=RESULTS,
            functions=FUNCTIONS,
            fetch_function=lambda _: None,
            ask_start=lambda *_: Start(True, 0.0, 0.0),
            is_limited=lambda _: False,
            now_ms=lambda: self.now_ms,
            chance=lambda: 0.5,
            worker="w",
            run_coroutine=lambda _: None,
            before_start=lambda _: None,
            after_end=lambda *_: None,
            guard=Guard(Page(make_page(1)).desk(0)),
            limits=Limits(),
            open_contact=lambda _: pytest.fail("nothing runs here"),
            events=SimpleNamespace(is_wanted=False),
        )

    def run(
        self, task: Any, *args: Any, history: bytes = b"", moment_ms: int = 0, **facts: Any
    ) -> tuple[bytes, bytes]:
        """Run a message as if it had been claimed, and return how it ended."""
        encoding, body, clear_size = encode_call(args, {})
        facts = {"created_ms": NOW_MS} | facts
        envelope = encode_envelope(
            Envelope("id-1", task.name, body, encoding, clear_size=clear_size, **facts), MESSAGES
        )
        start, middle, end, names = head_parts(
            state=b"P", queue=b"default", channel=b"", function=b"", priority=4, flags=0, result_ttl_s=60
        )
        end = end[:8] + b"%08x" % len(history) + end[16:]
        record = start + b"0000" + middle + b"%024x" % moment_ms + end + names + history + envelope
        return self.runner.run("id-1", "token", record)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def put_off(told: bytes) -> tuple[int, Outcome, bytes]:
    """Return when a retry is due, its signed history, and its new envelope."""
    length, first = int(told[12:20], 16), 23 + int(told[21:23], 16)
    history = decode_outcome(told[first : first + length], RESULTS, expect_id="id-1")
    return int(told[:12], 16), history, told[first + length :]


def fail(*_: Any) -> None:
    raise Busy("now")


def test_a_retry_says_when_and_what_was_before(bench):
    task = bench.mesh.task(autoretry_for=Busy, retry_backoff=4)(fail)
    letter, told = bench.run(task)
    due_ms, first, envelope = put_off(told)
    # half of the delay: the chance
    assert (letter, due_ms, envelope) == (b"Y", NOW_MS + 2000, b"")
    assert (first.state, first.attempt, first.token, first.worker) == ("RETRY", 1, "token", "w")
    assert (first.error.type_name.rpartition(".")[2], first.error.text) == ("Busy", "now")
    history = told[23:]
    _, told = bench.run(task, history=history)
    due_ms, second, _ = put_off(told)
    assert (due_ms, second.attempt) == (NOW_MS + 4000, 2)
    assert [past.number for past in second.attempts] == [1]


def test_a_retry_signs_its_new_arguments(bench):
    @bench.mesh.task
    def ask(x: int) -> None:
        current_task().retry(args=(x + 1,), countdown=0)

    _, told = bench.run(ask, 1, headers={"who": "ann"}, expires_ms=NOW_MS + 1000)
    due_ms, _, wire = put_off(told)
    envelope = decode_envelope(wire, MESSAGES, expect_id="id-1")
    assert due_ms == NOW_MS
    assert decode_call(envelope.encoding, envelope.body, envelope.clear_size) == ((2,), {})
    assert (envelope.headers, envelope.expires_ms) == ({"who": "ann"}, NOW_MS + 1000)


def test_a_retry_that_goes_elsewhere_signs_the_queue(bench):
    @bench.mesh.task
    def ask(queue: str | None, priority: int | None) -> None:
        current_task().retry(queue=queue, priority=priority, countdown=0)

    _, told = bench.run(ask, "slow", 0, headers={"who": "ann"})
    assert told[20:].startswith(b"004slow")
    envelope = decode_envelope(put_off(told)[2], MESSAGES, expect_id="id-1")
    assert (envelope.queue, envelope.headers) == ("slow", {"who": "ann"})
    assert decode_call(envelope.encoding, envelope.body, envelope.clear_size) == (("slow", 0), {})
    _, told = bench.run(ask, None, 9)
    assert told[20:].startswith(b"900")
    assert put_off(told)[2] == b""


@pytest.mark.parametrize(
    "where",
    [
        {"queue": "a b"},
        {"queue": ""},
        {"queue": 5},
        {"queue": "x" * 101},
        {"priority": 10},
        {"priority": "9"},
    ],
)
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_retry_cannot_go_where_no_message_can_wait(bench, where, by_hand):
    @bench.mesh.task
    def ask() -> None:
        if by_hand:
            raise Retry(**where)
        current_task().retry(**where)

    letter, wire = bench.run(ask)
    error = decode_error(decode_outcome(wire, RESULTS).error)
    assert (letter, type(error)) == (b"F", UsageError)
    (name,) = where
    assert str(error).startswith(name)


def test_what_is_known_of_earlier_attempts_is_kept_when_no_build_knows_the_task_any_more(bench):
    task = bench.mesh.task(autoretry_for=Busy)(fail)
    _, told = bench.run(task)
    del bench.mesh.tasks[task.name]
    letter, _ = bench.run(task, history=told[23:])
    assert letter == b"S"
    letter, wire = bench.run(task, history=told[23:], moment_ms=NOW_MS - 1)
    outcome = decode_outcome(wire, RESULTS)
    assert (letter, [past.number for past in outcome.attempts]) == (b"D", [1])


@pytest.mark.parametrize("arguments", [(b"x" * 2000,), ((each for each in ()),)])
def test_new_arguments_that_cannot_be_sent_fail_the_message(bench, arguments):
    @bench.mesh.task
    def ask() -> None:
        current_task().retry(args=arguments)

    letter, _ = bench.run(ask)
    assert letter == b"F"


@pytest.mark.parametrize(
    ("facts", "tries"),
    [
        ({}, False),
        ({"created_ms": NOW_MS - 4000}, False),
        ({"created_ms": NOW_MS + 1000}, True),
        ({"created_ms": NOW_MS - 4000, "extras": {"due": NOW_MS - 5000}}, False),
        ({"created_ms": NOW_MS - 4000, "extras": {"due": NOW_MS + 1000}}, True),
        ({"created_ms": NOW_MS + 1000, "expires_ms": NOW_MS + 9000}, False),
    ],
)
def test_a_deadline_begins_when_the_message_is_first_due(bench, facts, tries):
    task = bench.mesh.task(autoretry_for=Busy, default_retry_delay=10, retry_deadline=10)(fail)
    letter, _ = bench.run(task, **facts)
    assert letter == (b"Y" if tries else b"F")


def test_a_retry_that_is_raised_without_being_asked_for_is_counted_as_well(bench):
    @bench.mesh.task(max_retries=0)
    def raises() -> None:
        raise Retry

    letter, wire = bench.run(raises)
    outcome = decode_outcome(wire, RESULTS)
    assert letter == b"F"
    assert isinstance(decode_error(outcome.error), MaxRetriesExceededError)


def test_a_rejected_message_keeps_the_error_because_of_which(bench):
    @bench.mesh.task
    def rejects() -> None:
        try:
            fail()
        except Busy as error:
            raise Reject(error) from error

    letter, wire = bench.run(rejects)
    outcome = decode_outcome(wire, RESULTS)
    assert (letter, outcome.reason, outcome.error.text) == (b"D", "rejected: now", "now")


@pytest.mark.parametrize(("throws", "level"), [((Busy,), logging.INFO), ((), logging.ERROR)])
def test_errors_that_are_expected_are_logged_in_a_line(bench, caplog, throws, level):
    task = bench.mesh.task(throws=throws)(fail)
    with caplog.at_level(logging.INFO):
        assert bench.run(task)[0] == b"F"
    (logged,) = said_here(caplog)
    assert logged.levelno == level
    assert "Traceback" not in logged.getMessage()
    assert ("Traceback" in logging.Formatter().format(logged)) is (level == logging.ERROR)


def test_the_traceback_of_a_task_that_failed_is_a_field_in_json(bench, caplog):
    assert bench.run(bench.mesh.task(fail))[0] == b"F"
    document = json.loads(JsonFormatter().format(said_here(caplog)[0]))
    assert "Traceback" not in document["message"]
    assert document["message"].endswith(f".fail) failed: {__name__}.Busy: now")
    assert document["exception"].startswith("Traceback (most recent call last):\n")
    assert ", in fail\n" in document["exception"]


def test_an_error_that_cannot_be_shown_is_logged_all_the_same(bench, caplog):
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def fall_mute() -> None:
        raise Mute

    assert bench.run(bench.mesh.task(fall_mute))[0] == b"F"
    assert "Mute" in JsonFormatter().format(said_here(caplog)[0])


def loose(kind: type[BaseException], **facts: Any) -> BaseException:
    """Return a verdict of a class of the app's own, which checks nothing."""
    derived = type("Loose", (kind,), {"__init__": lambda self: Exception.__init__(self, "loose")})
    verdict = derived()
    vars(verdict).update(facts)
    return verdict


@pytest.mark.parametrize(
    "ask",
    [
        lambda: current_task().retry(countdown=timedelta.max),
        lambda: current_task().retry(countdown=float("nan")),
        lambda: current_task().retry(countdown=-1),
        lambda: current_task().retry(eta=datetime(9999, 1, 1, tzinfo=UTC)),
        lambda: current_task().snooze(1e13),
        lambda: Snooze(-1e10),
        lambda: Snooze(float("nan")),
        lambda: Snooze(float("inf")),
        lambda: Snooze(10**400),
        lambda: Snooze("soon"),  # type: ignore[arg-type]
        lambda: loose(Snooze),
        lambda: loose(Snooze, seconds=float("nan")),
        lambda: loose(Snooze, seconds=1e300),
        lambda: Retry(due_ms=10**20),
    ],
)
def test_a_wait_that_no_message_can_have_fails_it_and_says_so(bench, ask):
    @bench.mesh.task
    def asks() -> None:
        raise ask()

    letter, wire = bench.run(asks)
    error = decode_error(decode_outcome(wire, RESULTS).error)
    assert letter == b"F"
    assert isinstance(error, UsageError)
    assert "100 years" in str(error)


@pytest.mark.parametrize("eta", [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, tzinfo=UTC)])
def test_a_retry_at_a_moment_long_past_runs_now(bench, eta):
    @bench.mesh.task
    def asks() -> None:
        current_task().retry(eta=eta)

    letter, told = bench.run(asks)
    assert (letter, put_off(told)[0]) == (b"Y", NOW_MS)


class Unspeakable(Exception):
    """It cannot even be looked at."""

    def __repr__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize(
    "verdict",
    [loose(Retry), loose(Reject), Retry(due_ms="soon"), Unspeakable()],  # type: ignore[arg-type]
)
def test_a_verdict_that_cannot_be_worked_out_fails_its_message_only(bench, verdict):
    bench.mesh.after_task(lambda *_: None)

    @bench.mesh.task(throws=(Unspeakable,))
    def raises() -> None:
        raise verdict

    letter, wire = bench.run(raises)
    assert (letter, decode_outcome(wire, RESULTS).state) == (b"F", "FAILURE")


@pytest.mark.parametrize("due_ms", [-(10**12), 10**20])
def test_whatever_is_said_a_retry_fits_the_record(due_ms):
    told = retried(due_ms, b"history")
    assert told[12:] == b"00000007-00history"
    assert 0 <= int(told[:12], 16) <= 2**47
