"""Runs one message: verify, decode, run, and say how it ended.

The order is that of trust: size, header, key, signature, id, allow-list, bounded decompression,
decoding, running. Nothing of a message is unpickled or imported before its signature is verified.
"""

from __future__ import annotations

import fnmatch
import inspect
import logging
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from os import getpid
from time import monotonic
from typing import Any

from taskmesh.codec.attempts import history_with, open_history
from taskmesh.codec.envelope import Envelope, decode_envelope
from taskmesh.codec.functions import decode_function, open_function
from taskmesh.codec.outcome import (
    RAW_BYTES_MAX,
    Outcome,
    PastAttempt,
    encode_outcome,
    expired_outcome,
)
from taskmesh.codec.pickling import decode_call, encode_value
from taskmesh.codec.signing import Signer
from taskmesh.core.context import CURRENT, Contact, Running, Terminated, current_task
from taskmesh.core.hooks import Await, Hooks, await_safely
from taskmesh.core.limits import Limits, limits_of
from taskmesh.core.observed import Observed
from taskmesh.core.rate import Rate
from taskmesh.core.record import AT_MOST_ONCE, HEAD_LENGTH, REVOKE_REQUESTED
from taskmesh.core.retrier import Retrier, reason_of
from taskmesh.core.retry import DEFAULT, Carried, RetryPolicy
from taskmesh.errors import (
    Malformed,
    NewerFormat,
    NotAllowed,
    NotPicklable,
    PayloadTooLarge,
    TrustError,
)
from taskmesh.queue.commit import RELEASED, SNOOZED
from taskmesh.worker.job import Job
from taskmesh.worker.needs import GuardLike, TaskLike
from taskmesh.worker.verdict import DEAD, SUCCESS, Ended, Judge, NoThread, state_after

log = logging.getLogger("taskmesh.worker")

PARKED, EXPIRED, REVOKED = b"S", b"X", b"V"
#: What stands in a record for how much was noted of attempts, and for its flags, where there is nothing.
NO_HISTORY, NO_FLAGS = b"00000000", ord("0")
NOTHING_BEFORE: tuple[PastAttempt, ...] = ()
#: Functions sent by value that a child keeps decoded.
FUNCTIONS_MAX = 256
#: Widths of names in records that a child remembers.
OFFSETS_MAX = 1000


class Runner:
    """Runs messages of one mesh in one child."""

    def __init__(
        self,
        tasks: Mapping[str, TaskLike],
        *,
        hooks: Hooks,
        messages: Signer,
        results: Signer,
        functions: Signer,
        fetch_function: Callable[[str], bytes | None],
        ask_start: Callable[[str, Rate, str], tuple[bool, float]],
        now_ms: Callable[[], int],
        chance: Callable[[], float],
        worker: str,
        max_message_size: int,
        max_result_size: int,
        allow_tasks: tuple[str, ...],
        allow_by_value: bool,
        unknown_task_grace_s: float,
        run_coroutine: Callable[[Any], Any],
        before_start: Callable[[str], None],
        after_end: Callable[[str, float], None],
        guard: GuardLike,
        limits: Limits,
        open_contact: Callable[[Running], Contact],
    ) -> None:
        """Prepare.

        Args:
            tasks: The app's tasks by name.
            hooks: What is called before and after runs.
            messages: Verifies envelopes.
            results: Signs outcomes.
            functions: Verifies functions sent by value.
            fetch_function: Reads a function's signed blob by hash; None if the node has none.
            ask_start: Asks the node for a start of a limited task, see `queue.rate`: its name, its limit and the
                message's id.
            now_ms: The node's clock.
            chance: Returns a number from 0 to 1, evenly.
            worker: Name of the worker.
            max_message_size: Bytes of arguments, unpacked.
            max_result_size: Bytes of a value.
            allow_tasks: Patterns of task names that may run.
            allow_by_value: Whether functions sent by value may run.
            unknown_task_grace_s: How long a message may wait for a build that knows its task.
            run_coroutine: Runs what an `async def` task returned.
            before_start: Called with the task's name when its message is about to be run.
            after_end: Called with the task's name and how many seconds it took.
            guard: Keeps tasks within their time limits.
            limits: Of tasks that have none of their own.
            open_contact: Opens the contact by which a running task speaks with the mesh.
        """
        self._tasks = tasks
        self._hooks = hooks
        self._messages = messages
        self._results = results
        self._retrier = Retrier(now_ms, chance)
        self._judge = Judge(
            self._retrier,
            messages=messages,
            results=results,
            now_ms=now_ms,
            worker=worker,
            max_message_size=max_message_size,
        )
        self._functions = functions
        self._fetch_function = fetch_function
        self._ask_start = ask_start
        self._now_ms = now_ms
        self._worker = worker
        self._max_message_size = max_message_size
        self._max_result_size = max_result_size
        self._allow_tasks = () if "*" in allow_tasks else allow_tasks
        self._allow_by_value = allow_by_value
        self._grace_ms = int(unknown_task_grace_s * 1000)
        self._run_coroutine = run_coroutine
        self._before_start = before_start
        self._after_end = after_end
        self._guard = guard
        self._limits = limits
        self._open_contact = open_contact
        self._default_limits = limits or None
        self._pid = getpid()
        self._offsets: dict[bytes, int] = {}
        self._decoded: OrderedDict[str, Callable[..., Any]] = OrderedDict()
        self._decoding = threading.Lock()

    def run(
        self,
        task_id: str,
        token: str,
        record: bytes,
        reachable: Callable[[Job], Callable[..., Any]] | None = None,
    ) -> Ended:
        """Run the message in a claimed record.

        Args:
            task_id: Its id.
            token: Of the claim.
            record: The record.
            reachable: Makes of a job's function what is called in its place.

        Returns:
            The letter of its new state and the signed outcome; for a parked message, until when.
        """
        job = self.open(task_id, token, record)
        if not isinstance(job, Job):
            return job
        if reachable is not None:
            job.function = reachable(job)
        envelope = job.envelope
        self._before_start(envelope.task)
        limits = self.limits_of(envelope)
        running = self._running(job)
        context = CURRENT.set(running)
        observed = self._observed(job, self._run_coroutine) if self._hooks.watch_tasks else None
        begun_s = monotonic()
        try:
            try:
                if limits is not None:
                    result = self._guard.call(limits, job)
                else:
                    result = job.function(*job.args, **job.kwargs)
                    if inspect.iscoroutine(result):
                        result = self._run_coroutine(result)
                ended = self._returned(job, result)
                if observed is not None:
                    observed.returned(result)
            except Terminated:
                raise  # this process ends, and another says how the message has ended
            except BaseException as error:  # noqa: BLE001 - a task may raise anything: SystemExit, CancelledError
                ended = self._raised(job, error)
                if observed is not None:
                    observed.raised(reason_of(error))
            if observed is not None and getpid() == self._pid:
                observed.after(state_after(ended), monotonic() - begun_s)
        finally:
            if getpid() != self._pid:
                # the task forked, and this is the copy: it has no part in the worker
                os._exit(0)
            CURRENT.reset(context)
            if running.contact is not None:
                running.contact.close()
            if limits is not None:
                self._guard.done(job)
            self._after_end(envelope.task, monotonic() - begun_s)
        return ended

    async def run_async(
        self, task_id: str, token: str, record: bytes, call: Callable[[Job], Awaitable[Any]]
    ) -> Ended:
        """As `run`, on an event loop, whose task this is.

        Args:
            task_id: Its id.
            token: Of the claim.
            record: The record.
            call: Calls a job's function and awaits what comes of it.
        """
        job = self.open(task_id, token, record)
        if not isinstance(job, Job):
            return job
        limits = self.limits_of(job.envelope)
        running = self._running(job)
        CURRENT.set(running)  # in the context of this asyncio task, which ends with it
        # hooks are called as elsewhere; what those return that are `async def` is awaited when all have been called
        of_hooks: list[Any] = []
        observed = self._observed(job, of_hooks.append) if self._hooks.watch_tasks else None
        if of_hooks:
            await await_safely(of_hooks)
        begun_s = monotonic()
        try:
            try:
                result = await call(job)
                ended = self._returned(job, result)
                if observed is not None:
                    observed.returned(result)
            except NoThread as error:
                log.warning("task %s (%s) goes back, not begun: %s", job.task_id, job.name, error)
                ended = RELEASED, b""
            except BaseException as error:  # noqa: BLE001 - a task may raise anything: SystemExit, CancelledError
                ended = self._raised(job, error)
                if observed is not None:
                    observed.raised(reason_of(error))
            if observed is not None and getpid() == self._pid:
                observed.after(state_after(ended), monotonic() - begun_s)
                if of_hooks:
                    await await_safely(of_hooks)
        finally:
            if getpid() != self._pid:
                # the task forked, and this is the copy: it has no part in the worker
                os._exit(0)
            if running.contact is not None:
                running.contact.close()
            if limits is not None:
                self._guard.done(job)
        return ended

    # -- before ---------------------------------------------------------------------

    def open(self, task_id: str, token: str, record: bytes) -> Job | Ended:
        """Verify and decode the message in a claimed record.

        Returns:
            What is to be run, or how it ended without that: see `run`.
        """
        started_ms = self._now_ms()
        try:
            attempt, crashes = int(record[56:58], 16), int(record[58:60], 16)
            envelope_at = self._envelope_at(record[94:HEAD_LENGTH])
            wire = record[envelope_at:]
            flags = int(record[61:62], 16) if record[61] != NO_FLAGS else 0
        except ValueError as error:
            reason = f"Malformed: the head of its record cannot be read: {error}"
            return self._dead(task_id, token, started_ms, reason, record)
        earlier = NOTHING_BEFORE
        try:
            envelope = decode_envelope(
                wire, self._messages, expect_id=task_id, max_size=self._max_message_size + 65536
            )
            if record[94:102] != NO_HISTORY:
                history = record[envelope_at - int(record[94:102], 16) : envelope_at]
                before = open_history(history, self._results, expect_id=task_id)
                attempt, earlier = before.attempt + 1, history_with(before)
            if envelope.expires_ms and started_ms >= envelope.expires_ms:
                outcome = expired_outcome(task_id, token, started_ms, self._worker, earlier)
                return EXPIRED, encode_outcome(outcome, self._results)
            if flags & REVOKE_REQUESTED:
                return REVOKED, self._ended(
                    task_id,
                    "REVOKED",
                    token,
                    "while an earlier run of it went on",
                    started_ms,
                    earlier=earlier,
                )
            found = self._function(envelope)
            if found is None:
                return self._park(
                    task_id,
                    record,
                    token,
                    started_ms,
                    wire,
                    f"no worker of this build knows the task {envelope.task!r}",
                    earlier,
                )
            args, kwargs = decode_call(
                envelope.encoding, envelope.body, envelope.clear_size, self._max_message_size
            )
        except NewerFormat as error:
            return self._park(task_id, record, token, started_ms, wire, str(error), earlier)
        except (TrustError, PayloadTooLarge) as error:
            reason = f"{type(error).__name__}: {error}"
            return self._dead(task_id, token, started_ms, reason, wire, earlier)
        function, policy, rate = found
        if rate is not None:
            due_ms = self._wait_for_start(envelope.task, rate, task_id)
            if due_ms:
                return SNOOZED, b"%d" % due_ms
        if flags & AT_MOST_ONCE and policy.autoretry_for:
            policy = replace(policy, autoretry_for=())
        return Job(
            task_id, token, envelope, function, args, kwargs, attempt, crashes, started_ms, policy, earlier
        )

    def _observed(self, job: Job, await_: Await) -> Observed | None:
        """Tell hooks that a run begins, and return what tells them of its end; None if none asks for this task."""
        task = self._tasks.get(job.envelope.task) if not job.envelope.function else None
        own = task.own_hooks if task is not None else None
        if own is None and not self._hooks.watch_all_tasks:
            return None
        observed = Observed(self._hooks, own, current_task(), job.args, job.kwargs, await_)
        observed.before()
        return observed

    def limits_of(self, envelope: Envelope) -> Limits | None:
        """Return the time limits of a run; None if it has none."""
        if envelope.extras is None and (envelope.function or not self._tasks[envelope.task].is_limited):
            return self._default_limits
        options = None if envelope.function else self._tasks[envelope.task].options
        return limits_of(envelope.extras, options, self._limits)

    def _running(self, job: Job) -> Running:
        envelope = job.envelope
        return Running(
            job.task_id,
            envelope.task,
            envelope.queue,
            envelope.headers,
            job.attempt,
            job.crashes,
            self._worker,
            job,
            self._retrier,
            job.token,
            self._open_contact,
        )

    # -- after ----------------------------------------------------------------------

    def _raised(self, job: Job, error: BaseException) -> Ended:
        """Return how a message goes on whose task raised."""
        return self._judge.raised(job, error, self._guard.called_off(job))

    def _returned(self, job: Job, value: object) -> Ended:
        """Return how a message ended whose task returned a value."""
        if job.envelope.ignore_result:
            return SUCCESS, self._judge.outcome(job, "SUCCESS")
        try:
            encoding, wire = encode_value(value, max_size=self._max_result_size)
        except (NotPicklable, PayloadTooLarge) as error:
            # the task has done its work: to run it again would not mend its value
            return self._judge.failed(job, error)
        return SUCCESS, self._judge.outcome(job, "SUCCESS", wire, encoding)

    def _envelope_at(self, widths: bytes) -> int:
        """Return where the envelope begins, from the widths of what stands before it."""
        at = self._offsets.get(widths)
        if at is None:
            at = HEAD_LENGTH + int(widths[:8], 16) + sum(int(widths[i : i + 2], 16) for i in (8, 10, 12))
            self._offsets[widths] = at
            if len(self._offsets) > OFFSETS_MAX:
                self._offsets.clear()
        return at

    def _wait_for_start(self, task: str, rate: Rate, task_id: str) -> int:
        """Return when a message of a limited task is to come back (ms), or 0 if it may start now."""
        while True:
            granted, moment_ms = self._ask_start(task, rate, task_id)
            if not granted:
                return math.ceil(moment_ms)
            # the answer may have been long on its way: too late, and a window could see one start too many
            if self._now_ms() <= moment_ms + rate.grace_us / 1000:
                return 0

    def _function(self, envelope: Envelope) -> tuple[Callable[..., Any], RetryPolicy, Rate | None] | None:
        """Return what to run, when that is repeated and how often it may start; None when this build does not know it.

        Raises:
            TrustError: It must not be run here.
        """
        if self._allow_tasks and not any(
            fnmatch.fnmatchcase(envelope.task, name) for name in self._allow_tasks
        ):
            raise NotAllowed(
                f"allow_tasks of this worker ({', '.join(self._allow_tasks)}) forbids {envelope.task!r}"
            )
        if not envelope.function:
            task = self._tasks.get(envelope.task)
            return (task.run, task.retry_policy, task.rate_limit) if task is not None else None
        if not self._allow_by_value:
            raise NotAllowed("this worker runs no functions sent by value (allow_by_value is off)")
        function = self._by_value(envelope.function)
        if type(function) is Carried:
            return function.run, function.policy, function.rate
        return function, DEFAULT, None

    def _by_value(self, content_hash: str) -> Callable[..., Any]:
        with self._decoding:
            function = self._decoded.get(content_hash)
            if function is not None:
                self._decoded.move_to_end(content_hash)
                return function
        wire = self._fetch_function(content_hash)
        if wire is None:
            raise Malformed(f"the function {content_hash} that was sent by value is not on the node any more")
        function = decode_function(open_function(wire, self._functions, expect_hash=content_hash))
        with self._decoding:
            self._decoded[content_hash] = function
            if len(self._decoded) > FUNCTIONS_MAX:
                self._decoded.popitem(last=False)
        return function

    # -- what does not run --------------------------------------------------------

    def _park(
        self,
        task_id: str,
        record: bytes,
        token: str,
        now_ms: int,
        wire: bytes,
        reason: str,
        earlier: tuple[PastAttempt, ...],
    ) -> Ended:
        """Leave the message for a build that knows it, or give it up after the grace."""
        try:
            until_ms = int(record[74:86], 16)
        except ValueError:
            until_ms = 1  # nobody knows since when it waits
        if until_ms and now_ms >= until_ms:
            return self._dead(task_id, token, now_ms, f"UnknownTask: {reason}", wire, earlier)
        log.warning("task %s is left for another build of the workers: %s", task_id, reason)
        return PARKED, b"%d" % (now_ms + self._grace_ms)

    def _dead(
        self,
        task_id: str,
        token: str,
        now_ms: int,
        reason: str,
        wire: bytes,
        earlier: tuple[PastAttempt, ...] = NOTHING_BEFORE,
    ) -> Ended:
        log.error("task %s becomes a dead letter: %s", task_id, reason)
        return DEAD, self._ended(task_id, "DEAD", token, reason, now_ms, wire[:RAW_BYTES_MAX], earlier)

    def _ended(
        self,
        task_id: str,
        state: str,
        token: str,
        reason: str,
        now_ms: int,
        raw: bytes = b"",
        earlier: tuple[PastAttempt, ...] = NOTHING_BEFORE,
    ) -> bytes:
        """Return the outcome of a message that was not run."""
        return encode_outcome(
            Outcome(
                task_id,
                state,
                token,
                finished_ms=now_ms,
                worker=self._worker,
                reason=reason,
                raw=raw,
                attempts=earlier,
            ),
            self._results,
        )
