"""Runs one message, and says how it ended: after it was opened, within its time limits, between hooks."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from os import getpid
from time import monotonic
from typing import Any

from taskmesh.codec.envelope import Envelope
from taskmesh.codec.pickling import encode_value
from taskmesh.codec.signing import Signer
from taskmesh.config import Settings
from taskmesh.core.context import CURRENT, Contact, Running, Terminated, current_task
from taskmesh.core.hooks import Await, Hooks, await_safely
from taskmesh.core.limits import Limits, limits_of
from taskmesh.core.observed import Observed
from taskmesh.core.rate import Rate
from taskmesh.core.retrier import Retrier, reason_of
from taskmesh.errors import NotPicklable, PayloadTooLarge
from taskmesh.metrics.sheet import Sheet
from taskmesh.queue.commit import RELEASED
from taskmesh.queue.rate import Start
from taskmesh.worker.job import Job
from taskmesh.worker.needs import EventsLike, GuardLike, TaskLike
from taskmesh.worker.opening import Opener
from taskmesh.worker.verdict import SUCCESS, Ended, Judge, NoThread, state_after

log = logging.getLogger("taskmesh.worker")


class Runner:
    """Runs messages of one mesh in one child."""

    def __init__(
        self,
        tasks: Mapping[str, TaskLike],
        settings: Settings,
        *,
        hooks: Hooks,
        messages: Signer,
        results: Signer,
        functions: Signer,
        fetch_function: Callable[[str], bytes | None],
        ask_start: Callable[[str, Rate | None, str], Start],
        is_limited: Callable[[str], bool],
        now_ms: Callable[[], int],
        chance: Callable[[], float],
        worker: str,
        run_coroutine: Callable[[Any], Any],
        before_start: Callable[[str], None],
        after_end: Callable[[str, float], None],
        guard: GuardLike,
        limits: Limits,
        open_contact: Callable[[Running], Contact],
        events: EventsLike,
        sheet: Sheet | None = None,
    ) -> None:
        """Prepare.

        Args:
            tasks: The app's tasks by name.
            settings: Of the mesh.
            hooks: What is called before and after runs.
            messages: Verifies envelopes.
            results: Signs outcomes.
            functions: Verifies functions sent by value.
            fetch_function: See `Opener`.
            ask_start: See `Opener`.
            is_limited: See `Opener`.
            now_ms: The node's clock.
            chance: Returns a number from 0 to 1, evenly.
            worker: Name of the worker.
            run_coroutine: Runs what an `async def` task returned.
            before_start: Called with the task's name when its message is about to be run.
            after_end: Called with the task's name and how many seconds it took.
            guard: Keeps tasks within their time limits.
            limits: Of tasks that have none of their own.
            open_contact: Opens the contact by which a running task speaks with the mesh.
            sheet: Counts runs for metrics; None if they are not wanted.
            events: Tells of runs while somebody listens.
        """
        self._tasks = tasks
        self._hooks = hooks
        self._retrier = Retrier(now_ms, chance)
        self._judge = Judge(
            self._retrier,
            messages=messages,
            results=results,
            now_ms=now_ms,
            worker=worker,
            max_message_size=settings.max_message_size,
        )
        self._open = Opener(
            tasks,
            settings,
            messages=messages,
            results=results,
            functions=functions,
            fetch_function=fetch_function,
            ask_start=ask_start,
            is_limited=is_limited,
            now_ms=now_ms,
            worker=worker,
        ).open
        self._worker = worker
        self._max_result_size = settings.max_result_size
        self._run_coroutine = run_coroutine
        self._before_start = before_start
        self._after_end = after_end
        self._guard = guard
        self._limits = limits
        self._default_limits = limits or None
        self._open_contact = open_contact
        self._sheet = sheet
        self._events = events
        self._pid = getpid()

    # Two ways to call a function: in this thread, and on a loop. They share all but their outlines: one outline,
    # a generator, would be felt by tasks that take microseconds.

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
        job = self._open(task_id, token, record)
        if not isinstance(job, Job):
            if self._events.is_wanted:
                self._events.not_opened(task_id, token, record, job[0])
            return job
        self._limit(job)
        refusal = self._guard.refusal(job.limits, job) if job.limits is not None else ""
        if refusal:
            return self._refused(job, refusal)
        if reachable is not None:
            job.function = reachable(job)
        self._before_start(job.envelope.task)
        running = self._begin(job)
        context = CURRENT.set(running)
        if self._hooks.watch_tasks:
            self._observe(job, self._run_coroutine)
            if job.will:
                self._guard.leave_will(job.will)
        row = self._sheet.begin(job.envelope.task, job.waited_s) if self._sheet is not None else None
        if self._events.is_wanted:
            self._events.started(job)
        begun_s, raised = monotonic(), ""
        try:
            try:
                if job.limits is None:
                    result = job.function(*job.args, **job.kwargs)
                    if inspect.iscoroutine(result):
                        result = self._run_coroutine(result)
                else:
                    result = self._guard.call(job.limits, job)
                ended = self._returned(job, result)
            except Terminated:
                raise  # this process ends, and another says how the message has ended
            except BaseException as error:  # noqa: BLE001 - a task may raise anything: SystemExit, CancelledError
                ended, raised = self._raised(job, error), type(error).__name__
            if job.observed is not None:
                self._tell_end(job.observed, job, ended, monotonic() - begun_s)
        finally:
            CURRENT.reset(context)
            self._end(job, running)
            seconds = monotonic() - begun_s
            self._after_end(job.envelope.task, seconds)
        if self._sheet is not None and row is not None:
            self._sheet.end(row, ended[0], seconds)
        if self._events.is_wanted:
            self._events.ended(job, ended[0], seconds, raised)
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
        job = self._open(task_id, token, record)
        if not isinstance(job, Job):
            if self._events.is_wanted:
                self._events.not_opened(task_id, token, record, job[0])
            return job
        self._limit(job)
        refusal = self._guard.refusal(job.limits, job) if job.limits is not None else ""
        if refusal:
            return self._refused(job, refusal)
        running = self._begin(job)
        CURRENT.set(running)  # in the context of this asyncio task, which ends with it
        # hooks are called as elsewhere; what those return that are `async def` is awaited when all have been called
        of_hooks: list[Any] = []
        if self._hooks.watch_tasks:
            self._observe(job, of_hooks.append)
            await await_safely(of_hooks)
        row = self._sheet.begin(job.envelope.task, job.waited_s) if self._sheet is not None else None
        if self._events.is_wanted:
            self._events.started(job)
        begun_s, raised = monotonic(), ""
        try:
            try:
                ended = self._returned(job, await call(job))
            except NoThread as error:
                log.warning("task %s (%s) goes back, not begun: %s", job.task_id, job.name, error)
                ended = RELEASED, b""
            except BaseException as error:  # noqa: BLE001 - a task may raise anything: SystemExit, CancelledError
                ended, raised = self._raised(job, error), type(error).__name__
            if job.observed is not None:
                self._tell_end(job.observed, job, ended, monotonic() - begun_s)
                await await_safely(of_hooks)
        finally:
            self._end(job, running)
        if self._sheet is not None and row is not None:
            self._sheet.end(row, ended[0], monotonic() - begun_s)
        if self._events.is_wanted:
            self._events.ended(job, ended[0], monotonic() - begun_s, raised)
        return ended

    # -- before ---------------------------------------------------------------------

    def _limit(self, job: Job) -> None:
        """Note the limits of a run."""
        envelope = job.envelope
        if envelope.extras is None and (envelope.function or not self._tasks[envelope.task].is_limited):
            job.limits = self._default_limits
        else:
            job.limits = self._limits_of(envelope)

    def _begin(self, job: Job) -> Running:
        """Return what the task can know of itself."""
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

    def _limits_of(self, envelope: Envelope) -> Limits | None:
        options = None if envelope.function else self._tasks[envelope.task].options
        return limits_of(envelope.extras, options, self._limits)

    def _observe(self, job: Job, await_: Await) -> None:
        """Tell hooks that a run begins, if any asks for this task; they are told of its end then."""
        task = self._tasks.get(job.envelope.task) if not job.envelope.function else None
        own = task.own_hooks if task is not None else None
        if own is not None or self._hooks.watch_all_tasks:
            job.observed = Observed(self._hooks, own, current_task(), job.args, job.kwargs, await_)
            job.observed.before()

    def _refused(self, job: Job, reason: str) -> Ended:
        """Return how a message ended that must not run here."""
        ended = self._judge.refused(job, reason)
        if self._events.is_wanted:
            self._events.ended(job, ended[0], 0.0)
        return ended

    # -- after ----------------------------------------------------------------------

    def _returned(self, job: Job, value: object) -> Ended:
        """Return how a message ended whose task returned a value."""
        if job.observed is not None:
            job.observed.returned(value)
        if job.envelope.ignore_result:
            return SUCCESS, self._judge.outcome(job, "SUCCESS")
        try:
            encoding, wire = encode_value(value, max_size=self._max_result_size)
        except (NotPicklable, PayloadTooLarge) as error:
            # the task has done its work: to run it again would not mend its value
            return self._judge.failed(job, error)
        return SUCCESS, self._judge.outcome(job, "SUCCESS", wire, encoding)

    def _raised(self, job: Job, error: BaseException) -> Ended:
        """Return how a message goes on whose task raised."""
        ended = self._judge.raised(job, error, self._guard.called_off(job))
        if job.observed is not None:
            job.observed.raised(reason_of(error))
        return ended

    def _tell_end(self, observed: Observed, job: Job, ended: Ended, seconds: float) -> None:
        """Tell hooks how a run ended; not in a copy of this process that the task has forked."""
        job.observed = None  # they refer to each other
        if getpid() == self._pid:
            observed.after(state_after(ended), seconds)
            if job.will:
                self._guard.leave_will(b"")

    def _end(self, job: Job, running: Running) -> None:
        """Let go of what a run had about it."""
        if getpid() != self._pid:
            # the task forked, and this is the copy: it has no part in the worker
            os._exit(0)
        if running.contact is not None:
            running.contact.close()
        if job.limits is not None:
            self._guard.done(job)
