"""What calls and tasks can be given: names, how each is read, and what comes of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from taskmesh.client.keys import KeyText, Unique, read_key, read_unique
from taskmesh.client.readers import flag, seconds
from taskmesh.client.retry_options import RETRY_OPTIONS, Errors, retry_policy
from taskmesh.config.arguments import Duration
from taskmesh.config.values import WEIGHT_MAX
from taskmesh.core.limits import HARD, LIMIT_S_MAX, SOFT, check_limits
from taskmesh.core.lines import check_priority, check_queue
from taskmesh.core.retry import DEFAULT, RetryPolicy
from taskmesh.errors import AHEAD_S_MAX, UsageError

if TYPE_CHECKING:
    from taskmesh.core.rate import Rate

_TTL_S_MAX = 3 * 365 * 86_400.0


class CallArguments(TypedDict, total=False):
    """What one call can be given; it counts before what the task was given. None is as good as not given.

    Attributes:
        queue: Where the message goes.
        priority: 0 to 9; higher is sooner.
        countdown: How long it waits before it may run: seconds, a timedelta or a text such as `10m`.
        eta: The moment before which it may not run, instead of a countdown: a datetime with its zone.
        expires: How long after sending it may begin, or the moment until which it may.
        headers: Facts of your own, for `current_task().headers`: plain values.
        ignore_result: Keep the state of the outcome only.
        result_expires: How long to keep the outcome: seconds, a timedelta or a text such as `1h`.
        at_most_once: Never run it twice: when the process that may have begun it dies, it becomes a dead letter.
        unique: Return the handle of the first message while one like it lives: True for equal arguments, a text, a
            function that makes one of the arguments, or a `Unique` with a time; False for this call not.
        idempotency_key: Return the handle of the first message with this key as long as that one is remembered.
        sequence_key: Messages with this key run in the order of sending, one at a time: a text, or a function that
            makes one of the arguments.
        soft_time_limit: How long it may run before `SoftTimeLimitExceeded` is raised in it; 0 for ever.
        time_limit: How long it may run before the process that runs it is ended; 0 for ever.
    """

    queue: str | None
    priority: int | None
    countdown: Duration | None
    eta: datetime | None
    expires: Duration | datetime | None
    headers: dict[str, Any] | None
    ignore_result: bool | None
    result_expires: Duration | None
    at_most_once: bool | None
    unique: bool | KeyText | Unique | Mapping[str, Any] | None
    idempotency_key: str | None
    sequence_key: KeyText | None
    soft_time_limit: Duration | None
    time_limit: Duration | None


class TaskArguments(TypedDict, total=False):
    """What `@mesh.task(...)` can be given. None is as good as not given.

    Attributes:
        queue: Where its messages go; where the mesh's `routes` or `default_queue` say, if not given.
        priority: 0 to 9; higher is sooner. 4 if not given.
        expires: How long after sending a message may begin.
        ignore_result: Keep the state of outcomes only.
        result_expires: How long to keep outcomes, instead of the mesh's setting.
        max_retries: How many retries there are at most; 3 if not given, None for any number.
        default_retry_delay: How long a retry waits that nothing else says the delay of; 180 s if not given.
        autoretry_for: Classes of errors after which a message is tried again without being asked.
        dont_autoretry_for: Classes among those after which it is not.
        retry_backoff: True for a delay of 1 s which each retry doubles, or its first value in seconds.
        retry_backoff_max: Delay beyond which it does not grow; 600 s if not given.
        retry_jitter: Whether such a delay is drawn between 0 and what it would be; True if not given.
        retry_deadline: How long after a message was due its last attempt may begin; None for ever.
        throws: Classes of errors that are expected: they are logged without their traceback.
        at_most_once: Never run a message twice, see `CallArguments`; it is never tried again automatically.
        rate_limit: How often it may be started by ALL workers together: `"100/s"`, `"10/m"`, `"5/h"`, or a number per
            second.
        unique: Return the handle of the first message while one like it lives, see `CallArguments`.
        sequence_key: Messages with this key run in the order of sending, one at a time, see `CallArguments`.
        typing: Refuse to send a call that the function would refuse. False leaves that to the worker.
        soft_time_limit: How long a run may take before `SoftTimeLimitExceeded` is raised in it; 0 for ever.
        time_limit: How long a run may take before its process is ended; 0 for ever.
    """

    queue: str | None
    priority: int | None
    expires: Duration | None
    ignore_result: bool | None
    result_expires: Duration | None
    max_retries: int | None
    default_retry_delay: Duration | None
    autoretry_for: Errors | None
    dont_autoretry_for: Errors | None
    retry_backoff: bool | Duration | None
    retry_backoff_max: Duration | None
    retry_jitter: bool | None
    retry_deadline: Duration | None
    throws: Errors | None
    at_most_once: bool | None
    rate_limit: str | int | None
    unique: bool | KeyText | Unique | Mapping[str, Any] | None
    sequence_key: KeyText | None
    typing: bool | None
    soft_time_limit: Duration | None
    time_limit: Duration | None


class TaskOptions(msgspec.Struct, frozen=True):
    """What `@mesh.task(...)` was given, read.

    Attributes:
        queue: Where its messages go; None if not said.
        priority: 0 to 9.
        expires_s: How long after sending a message may begin; None for ever.
        ignore_result: Keep the state of the outcome only.
        result_expires_s: How long outcomes are kept; None for the mesh's setting.
        bind: Whether the function is given the task itself as its first argument.
        retry: How often and when runs that fail are repeated.
        at_most_once: Whether a message never runs twice.
        rate_limit: How often it may be started by all workers together; None for any number.
        unique: When its messages are alike; None for never.
        sequence_key: What is run one at a time; None for nothing.
        typing: Refuse to send a call that the function would refuse.
        soft_time_limit_s: How long a run may take before it is told so; 0 for ever, None for the worker's limit.
        time_limit_s: How long a run may take before it is ended; 0 for ever, None for the worker's limit.
    """

    queue: str | None = None
    priority: int = 4
    expires_s: float | None = None
    ignore_result: bool = False
    result_expires_s: int | None = None
    bind: bool = False
    retry: RetryPolicy = DEFAULT
    at_most_once: bool = False
    rate_limit: Rate | None = None
    unique: Unique | None = None
    sequence_key: KeyText | None = None
    typing: bool = True
    soft_time_limit_s: float | None = None
    time_limit_s: float | None = None


class SendOptions(msgspec.Struct, frozen=True):
    """How messages of one kind are sent.

    Attributes:
        queue: Name of the queue.
        ignore_result: Keep the state of the outcome only.
        result_ttl_s: How long the outcome is kept.
        headers: The user's own facts.
        extras: TaskMesh's own facts.
        priority: 0 to 9; higher is sooner.
        countdown_s: How long after sending it may run.
        eta_ms: Unix time before which it may not run; counts before the countdown.
        expires_s: How long after sending it may begin; None for ever.
        expires_at_ms: Unix time until which it may begin; counts before `expires_s`.
        at_most_once: Whether it never runs twice.
        unique: When messages are alike; None for never.
        idempotency_key: Who asks again with this is given the first handle.
        sequence_key: What is run one at a time; None for nothing.
        in_span: Whether the headers carry the span of this send already.
    """

    queue: str
    ignore_result: bool
    result_ttl_s: int
    headers: dict[str, Any] | None = None
    extras: dict[str, Any] | None = None
    priority: int = 4
    countdown_s: float = 0.0
    eta_ms: int | None = None
    expires_s: float | None = None
    expires_at_ms: int | None = None
    at_most_once: bool = False
    unique: Unique | None = None
    idempotency_key: str | None = None
    sequence_key: KeyText | None = None
    in_span: bool = False

    @property
    def has_keys(self) -> bool:
        """Whether what is sent has a key."""
        return not (self.unique is None and self.idempotency_key is None and self.sequence_key is None)

    @property
    def is_timed(self) -> bool:
        """Whether a moment before which it may not run, or after which it may not begin, is said at all."""
        return not (
            self.countdown_s == 0
            and self.eta_ms is None
            and self.expires_s is None
            and self.expires_at_ms is None
        )

    def due_ms(self, now_ms: int) -> int:
        """Return the Unix time before which a message sent now may not run; 0 for none."""
        if self.eta_ms is not None:
            return self.eta_ms if self.eta_ms > now_ms else 0
        return now_ms + math.ceil(self.countdown_s * 1000) if self.countdown_s > 0 else 0

    def expires_ms(self, now_ms: int) -> int:
        """Return the Unix time from which on a message sent now may not begin; 0 for never.

        A time that is over already is told as one that is over by every clock: it never begins.
        """
        if self.expires_at_ms is not None:
            until_ms = self.expires_at_ms
        elif self.expires_s is not None:
            until_ms = now_ms + max(0, math.ceil(self.expires_s * 1000))
        else:
            return 0
        return until_ms if until_ms > now_ms else max(1, min(until_ms, now_ms - _OVER_MS))


#: More than two measurements of the node's clock may differ by.
_OVER_MS = 1000

# -- readers --------------------------------------------------------------------------------


def check_headers(headers: object) -> dict[str, Any]:
    """Return the headers, or raise `UsageError` if they are not a dict with text keys."""
    if not isinstance(headers, dict) or not all(isinstance(key, str) for key in headers):
        raise UsageError(f"headers must be a dict with text keys, not {headers!r}")
    return headers


def check_rate(value: object) -> Rate:
    """Return a rate limit, or raise `UsageError` if it is no text such as `100/s`."""
    from taskmesh.core.rate import read_rate

    try:
        return read_rate(value)
    except ValueError as error:
        raise UsageError(f"rate_limit={value!r}: {error}") from None


def check_limit(value: object) -> str:
    """Return a rate limit, or `none`, as text; raise `UsageError` if it is neither."""
    return "none" if value == "none" else str(check_rate(value))


def check_weight(value: object) -> int:
    """Return the weight of a queue, or raise `UsageError` if it is no whole number from 1 to 1000."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= WEIGHT_MAX:
        return value
    raise UsageError(f"weight={value!r}: expected a whole number from 1 to {WEIGHT_MAX}")


_ttl = seconds("result_expires", 1, _TTL_S_MAX)
_countdown = seconds("countdown", 0, AHEAD_S_MAX)
_expires = seconds("expires", 0, AHEAD_S_MAX)
_soft_time_limit = seconds("soft_time_limit", 0, LIMIT_S_MAX)
_time_limit = seconds("time_limit", 0, LIMIT_S_MAX)


def check_expires(value: object) -> int:
    """Return `result_expires` in whole seconds, or raise `UsageError`."""
    return max(1, int(_ttl(value)))


def moment_ms(name: str, value: datetime) -> int:
    """Return a moment in ms since 1970, or raise `UsageError`; without a zone it would differ between machines."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise UsageError(
            f"{name}={value!r} has no time zone; write datetime.now(UTC) + timedelta(...), or give one with "
            "tzinfo=ZoneInfo(...)"
        )
    ms = math.ceil(value.timestamp() * 1000)
    if ms > (time.time() + AHEAD_S_MAX) * 1000:
        raise UsageError(f"{name}={value!r} is more than 100 years ahead")
    return max(1, ms)


def _eta(value: object) -> int:
    if not isinstance(value, datetime):
        raise UsageError(
            f"eta={value!r}: expected a datetime with its time zone; for a delay in seconds there is countdown="
        )
    return moment_ms("eta", value)


def _call_expires(value: object) -> dict[str, Any]:
    if isinstance(value, datetime):
        return {"expires_at_ms": moment_ms("expires", value), "expires_s": None}
    return {"expires_s": _expires(value), "expires_at_ms": None}


#: Option of a call -> the fields of `SendOptions` that its value sets; extras are added to those that are there.
_CALL: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "queue": lambda value: {"queue": check_queue(value)},
    "priority": lambda value: {"priority": check_priority(value)},
    "countdown": lambda value: {"countdown_s": _countdown(value)},
    "eta": lambda value: {"eta_ms": _eta(value)},
    "expires": _call_expires,
    "headers": lambda value: {"headers": check_headers(value) or None},
    "ignore_result": lambda value: {"ignore_result": flag("ignore_result")(value)},
    "result_expires": lambda value: {"result_ttl_s": check_expires(value)},
    "at_most_once": lambda value: {"at_most_once": flag("at_most_once")(value)},
    "unique": lambda value: {"unique": read_unique(value)},
    "idempotency_key": lambda value: {
        "idempotency_key": read_key("idempotency_key", of_arguments=False)(value)
    },
    "sequence_key": lambda value: {"sequence_key": read_key("sequence_key", of_arguments=True)(value)},
    "soft_time_limit": lambda value: {"extras": {SOFT: _soft_time_limit(value)}},
    "time_limit": lambda value: {"extras": {HARD: _time_limit(value)}},
}
#: Option of a task -> the field of `TaskOptions`, and how its value is read.
_TASK: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "queue": ("queue", check_queue),
    "priority": ("priority", check_priority),
    "expires": ("expires_s", _expires),
    "ignore_result": ("ignore_result", flag("ignore_result")),
    "result_expires": ("result_expires_s", check_expires),
    "bind": ("bind", flag("bind")),
    "rate_limit": ("rate_limit", check_rate),
    "at_most_once": ("at_most_once", flag("at_most_once")),
    "unique": ("unique", read_unique),
    "sequence_key": ("sequence_key", read_key("sequence_key", of_arguments=True)),
    "typing": ("typing", flag("typing")),
    "soft_time_limit": ("soft_time_limit_s", _soft_time_limit),
    "time_limit": ("time_limit_s", _time_limit),
}


def call_options(defaults: SendOptions, given: Mapping[str, Any]) -> SendOptions:
    """Return how one call is sent: what it was given, before what holds for its task.

    Raises:
        UsageError: An option is unknown or impossible, or two contradict each other.
    """
    if not given:
        return defaults
    fields: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for name, value in given.items():
        read = _CALL.get(name)
        if read is None:
            raise _unknown("a call", name, _CALL)
        if value is not None:
            found = read(value)
            extras.update(found.pop("extras", {}))
            fields.update(found)
    if extras:
        fields["extras"] = {**(defaults.extras or {}), **extras}
    if "countdown_s" in fields and "eta_ms" in fields:
        raise UsageError(
            f"countdown={given['countdown']!r} and eta={given['eta']!r}: give one; both say when it may run"
        )
    chosen = msgspec.structs.replace(defaults, **fields)
    if chosen.sequence_key is not None and (chosen.countdown_s > 0 or chosen.eta_ms is not None):
        name = "eta" if chosen.eta_ms is not None else "countdown"
        raise UsageError(
            f"{name}={given.get(name)!r} and sequence_key={chosen.sequence_key!r}: give one; in a sequence the "
            "order of sending counts, and one that waits for a time would hold up all behind it"
        )
    return chosen


def task_options(given: Mapping[str, Any]) -> TaskOptions:
    """Return the options of a task, read.

    Raises:
        UsageError: One is unknown or impossible.
    """
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name in RETRY_OPTIONS:
            continue
        spec = _TASK.get(name)
        if spec is None:
            raise _unknown("@mesh.task", name, {"base": None, "name": None, **_TASK, **RETRY_OPTIONS})
        if value is not None:
            field, read = spec
            fields[field] = read(value)
    options = TaskOptions(**fields, retry=retry_policy(given))
    if options.at_most_once and options.retry.autoretry_for:
        raise UsageError(
            f"at_most_once=True and autoretry_for={given['autoretry_for']!r}: give one; what may run only once "
            "is never tried again by itself"
        )
    check_limits(options.soft_time_limit_s, options.time_limit_s)
    return options


def _unknown(what: str, name: str, known: Mapping[str, Any]) -> UsageError:
    from difflib import get_close_matches

    from taskmesh.client.elsewhere import OF_CALLS, OF_TASKS

    instead = (OF_CALLS if known is _CALL else OF_TASKS).get(name)
    if instead is not None:
        return UsageError(f"{name!r} is an option of Celery and means nothing for {what} here: {instead}")
    if known is _CALL and name in {*_TASK, *RETRY_OPTIONS}:
        return UsageError(f"{name} belongs to the task: @mesh.task({name}=...); a call cannot be given it")
    if known is not _CALL and name in {*_CALL, "task_id"}:
        return UsageError(
            f"{name} belongs to the call: apply_async(args, {name}=...); a task cannot be given it"
        )
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else f"; it knows {', '.join(sorted(known))}"
    return UsageError(f"{what} does not know the option {name!r}{hint}")
