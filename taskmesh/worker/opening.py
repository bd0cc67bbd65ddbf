"""Opens what was claimed: verifies and decodes a message, or says how it ended without being run.

The order is that of trust: size, header, key, signature, id, allow-list, bounded decompression,
decoding. Nothing of a message is unpickled or imported before its signature is verified.
"""

from __future__ import annotations

import fnmatch
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from taskmesh.codec.pickling import decode_call
from taskmesh.codec.signing import Signer
from taskmesh.config import Settings
from taskmesh.core.rate import Rate
from taskmesh.core.record import AT_MOST_ONCE, HEAD_LENGTH, REVOKE_REQUESTED
from taskmesh.core.retry import DEFAULT, Carried, RetryPolicy
from taskmesh.errors import Malformed, NewerFormat, NotAllowed, PayloadTooLarge, TrustError
from taskmesh.queue.commit import SNOOZED
from taskmesh.queue.rate import Start
from taskmesh.worker.job import Job
from taskmesh.worker.needs import TaskLike
from taskmesh.worker.verdict import DEAD, REVOKED, Ended

log = logging.getLogger("taskmesh.worker")

PARKED, EXPIRED = b"S", b"X"
#: What stands in a record for how much was noted of attempts, and for its flags, where there is nothing.
NO_HISTORY, NO_FLAGS = b"00000000", ord("0")
NOTHING_BEFORE: tuple[PastAttempt, ...] = ()
#: Functions sent by value that a child keeps decoded.
FUNCTIONS_MAX = 256
#: Widths of names in records that a child remembers.
OFFSETS_MAX = 1000


class Opener:
    """Opens the messages of one mesh in one child."""

    def __init__(
        self,
        tasks: Mapping[str, TaskLike],
        settings: Settings,
        *,
        messages: Signer,
        results: Signer,
        functions: Signer,
        fetch_function: Callable[[str], bytes | None],
        ask_start: Callable[[str, Rate | None, str], Start],
        is_limited: Callable[[str], bool],
        now_ms: Callable[[], int],
        worker: str,
    ) -> None:
        """Prepare.

        Args:
            tasks: The app's tasks by name.
            settings: Of the mesh: what may run, how large it may be, how long it may wait for a build that knows it.
            messages: Verifies envelopes.
            results: Signs outcomes.
            functions: Verifies functions sent by value.
            fetch_function: Reads a function's signed blob by hash; None if the node has none.
            ask_start: Asks the node for a start of a limited task, see `queue.rate`: its name, the limit that the code
                says and the message's id.
            is_limited: Tells whether an operator has said how often a task of that name may start.
            now_ms: The node's clock.
            worker: Name of the worker.
        """
        self._tasks = tasks
        self._messages = messages
        self._results = results
        self._functions = functions
        self._fetch_function = fetch_function
        self._ask_start = ask_start
        self._is_limited = is_limited
        self._now_ms = now_ms
        self._worker = worker
        self._max_message_size = settings.max_message_size
        self._allow_tasks = () if "*" in settings.allow_tasks else settings.allow_tasks
        self._allow_by_value = settings.allow_by_value
        self._grace_ms = int(settings.unknown_task_grace * 1000)
        self._offsets: dict[bytes, int] = {}
        self._decoded: OrderedDict[str, Callable[..., Any]] = OrderedDict()
        self._decoding = threading.Lock()

    def open(self, task_id: str, token: str, record: bytes) -> Job | Ended:
        """Verify and decode the message in a claimed record.

        Returns:
            What is to be run, or how it ended without that: see `Runner.run`.
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
        if rate is not None or self._is_limited(envelope.task):
            due_ms = self._wait_for_start(envelope.task, rate, task_id)
            if due_ms:
                return SNOOZED, b"%d" % due_ms
        if flags & AT_MOST_ONCE and policy.autoretry_for:
            policy = replace(policy, autoretry_for=())
        return Job(
            task_id, token, envelope, function, args, kwargs, attempt, crashes, started_ms, policy, earlier
        )

    def _envelope_at(self, widths: bytes) -> int:
        """Return where the envelope begins, from the widths of what stands before it."""
        at = self._offsets.get(widths)
        if at is None:
            at = HEAD_LENGTH + int(widths[:8], 16) + sum(int(widths[i : i + 2], 16) for i in (8, 10, 12))
            self._offsets[widths] = at
            if len(self._offsets) > OFFSETS_MAX:
                self._offsets.clear()
        return at

    def _wait_for_start(self, task: str, rate: Rate | None, task_id: str) -> int:
        """Return when a message of a limited task is to come back (ms), or 0 if it may start now."""
        while True:
            start = self._ask_start(task, rate, task_id)
            if not start.granted:
                return math.ceil(start.moment_ms)
            # the answer may have been long on its way: too late, and a window could see one start too many
            if self._now_ms() <= start.latest_ms:
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
