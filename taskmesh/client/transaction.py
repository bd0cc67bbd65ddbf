"""Transactions, as users see them: messages, files and locks of which all is done, or nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

import msgspec

from taskmesh.broker.announcing import announce
from taskmesh.client.batch import Batch
from taskmesh.client.files import check_path, check_token, file_content
from taskmesh.client.lock import Lock, Semaphore
from taskmesh.codec.envelope import decode_envelope
from taskmesh.coordination.committing import Completed, TransactionSteps, Wanted, commit, complete
from taskmesh.coordination.means import Means
from taskmesh.coordination.transaction import (
    ABORTED,
    ATTEMPT_SIZE,
    COMMITTED,
    DONE,
    FILES_MAX,
    ID,
    IDS_SIZE_MAX,
    MESSAGES_MAX,
    RELEASES_MAX,
    SIZE_MAX,
    Doing,
    FileChange,
    Outgoing,
    Release,
    pack_doing,
    register_of,
)
from taskmesh.core.printable import shown
from taskmesh.core.record import REMEMBER_S, parse
from taskmesh.errors import (
    AgreementError,
    IdempotencyConflict,
    NodeUnavailable,
    PayloadTooLarge,
    TransactionAborted,
    TransactionUnknown,
    UsageError,
)

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator
    from taskmesh.client.hold import Hold
    from taskmesh.client.portal import Portal
    from taskmesh.queue.enqueue import NewMessage

log = logging.getLogger("taskmesh")
OPEN, UNKNOWN = "open", "unknown"


class Transaction(Batch):
    """Messages, files and locks of which all is done, or nothing; `TaskMesh.transaction` makes one.

    Attributes:
        id: Of the transaction.
        state: `open` until the end of the block; then `done`, `committed` (decided: what is not done yet is done by the
            leader), `aborted` (nothing was done) or `unknown` (it may be decided).
    """

    title = "mesh.transaction()"
    a_this = "a transaction"
    or_else = ""

    def __init__(
        self, portal: Portal, coordinator: Callable[[], Coordinator], id_: str | None, *, eager: bool
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            portal: Where messages are sent.
            coordinator: Returns what is shared in this process.
            id_: Of the transaction; None to draw one.
            eager: Whether tasks run at once, in the caller, so that no message is collected.

        Raises:
            UsageError: That is no id.
        """
        super().__init__(portal.sender)
        if id_ is not None and not (isinstance(id_, str) and ID.fullmatch(id_)):
            raise UsageError(
                f"transaction id {shown(id_)[:120]}: expected 1 to 100 of A-Z a-z 0-9 _ . @ : + = ~ -"
            )
        self.id = id_ or os.urandom(16).hex()
        self.state = OPEN
        self._portal = portal
        self._coordinator = coordinator
        self._eager = eager
        self._files: dict[str, FileChange] = {}
        self._releases: dict[bytes, tuple[Lock | Semaphore, Hold]] = {}

    def __repr__(self) -> str:
        """Show id and state."""
        return f"<transaction {self.id}: {self.state}>"

    # -- collecting -------------------------------------------------------------------

    def write(self, path: str, data: bytes | str, *, fence: int | None = None) -> None:
        """Have a file written, whatever is in it; of several writes to one path the last counts.

        Args:
            path: As of `mesh.files.write`.
            data: The content, 64 KiB at most; text is written as UTF-8.
            fence: The token of a lock, as of `mesh.files.write`.

        Raises:
            UsageError, PayloadTooLarge: Something cannot be.
        """
        self._check_open()
        self._files[check_path(path)] = FileChange(path, file_content(path, data), check_token(fence))

    def delete(self, path: str, *, fence: int | None = None) -> None:
        """Have a file deleted, if there is one then; see `write`."""
        self._check_open()
        self._files[check_path(path)] = FileChange(path, None, check_token(fence))

    def release(self, lock: Lock | Semaphore) -> None:
        """Have a lock, or a permit, given back that this thread or coroutine holds.

        Raises:
            LockError: It is not held.
            UsageError: It is neither.
        """
        self._check_open()
        if not isinstance(lock, (Lock, Semaphore)):
            raise UsageError(f"tx.release({shown(lock)[:80]}): expected a lock or a semaphore that is held")
        hold = lock.to_be_given_back()
        self._releases[hold.request] = lock, hold

    def send(self) -> None:
        """Refuse: all of it is decided when the block ends.

        Raises:
            UsageError: Always.
        """
        raise UsageError("a transaction is decided at the end of its `with` block; send() is of mesh.batch()")

    def _check_open(self) -> None:
        if not self.is_open:
            raise UsageError(
                f"transaction {self.id} is {self.state}: what it does is said inside its `with` block"
            )

    # -- the block --------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._check_new()
        if not self._eager:
            self._portal.open_to_send()
        self.open()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if not self._is_to_be_decided(error):
            return
        coordinator = self._coordinator()
        steps = self._commit(coordinator, coordinator.means)
        self._settle(coordinator.conversing.run(steps))

    async def __aenter__(self) -> Self:
        self._check_new()
        if not self._eager:
            await self._portal.open_to_send_async()
        self.open()
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if not self._is_to_be_decided(error):
            return
        coordinator = self._coordinator()
        means = await coordinator.open_async()
        self._settle(await coordinator.conversing.run_async(self._commit(coordinator, means)))

    def _check_new(self) -> None:
        if self.is_open or self.state != OPEN:
            raise UsageError(f"transaction {self.id} has a block already: make another with the same id")

    def _is_to_be_decided(self, error: BaseException | None) -> bool:
        """End the block, and tell whether there is anything to decide; until that is done, nothing of it counts."""
        self.close()
        has_something = bool(self._messages or self._files or self._releases)
        self.state = DONE if error is None and not has_something else ABORTED
        return error is None and has_something

    # -- deciding ---------------------------------------------------------------------

    def _commit(self, coordinator: Coordinator, means: Means) -> TransactionSteps[Completed]:
        now_ms = self._portal.link.session.now_ms
        wanted = self._wanted(coordinator.owner, now_ms())
        for _, hold in self._releases.values():
            trouble = hold.trouble()
            if trouble is not None:
                raise trouble
        self.state = UNKNOWN
        try:
            is_own = yield from commit(means, wanted, now_ms)
        except TransactionUnknown:
            for _, hold in self._releases.values():
                hold.lose(f"transaction {self.id} may have given it back")
            raise
        except AgreementError:
            self.state = ABORTED
            raise
        self.state = COMMITTED
        for lock, hold in self._releases.values():
            lock.is_given_back(hold, self.id)
        completed = Completed(COMMITTED)
        try:
            completed = yield from complete(means, self.id, now_ms)
        except (AgreementError, NodeUnavailable) as error:
            log.info(
                "transaction %s is decided; what is left of it is done by the leader: %s", self.id, error
            )
        if not is_own:
            # what the other attempt gave back was another's
            for _, hold in self._releases.values():
                coordinator.sessions.owe(hold.session, hold.register, hold.request)
        if completed.phase == ABORTED:
            self.state = ABORTED
            raise TransactionAborted(
                f"transaction {self.id} was decided so late that the leader had given it up: nothing of it was done. "
                "It may be run again",
                register=register_of(self.id),
            )
        self.state = DONE if completed.phase == DONE else COMMITTED
        if self.sender.broker is not None:
            announce(self.sender.broker, self._messages.values())
        return completed

    def _wanted(self, owner: str, now_ms: int) -> Wanted:
        """Return what is to be decided.

        Raises:
            UsageError: It is too much, or a message can never be sent.
        """
        for what, count, most in (
            ("messages", len(self._messages), MESSAGES_MAX),
            ("files", len(self._files), FILES_MAX),
            ("locks", len(self._releases), RELEASES_MAX),
        ):
            if count > most:
                raise UsageError(f"transaction {self.id}: {count} {what}, and at most {most} fit in one")
        for message in self._messages.values():
            if message.created_ms < now_ms - REMEMBER_S * 1000:
                raise UsageError(
                    f"transaction {self.id}: the id of message {message.task_id.decode()} is more than "
                    f"{REMEMBER_S // 60} minutes old, so it may have been forgotten: use a new id"
                )
        doing = Doing(
            tuple(map(_outgoing, self._messages.values())),
            self._functions,
            tuple(self._files.values()),
            tuple(Release(hold.register, hold.request) for _, hold in self._releases.values()),
        )
        size, ids = len(pack_doing(doing)), sum(map(len, self._messages))
        for what, bytes_, most in (("all in all", size, SIZE_MAX), ("of task ids", ids, IDS_SIZE_MAX)):
            if bytes_ > most:
                raise PayloadTooLarge(
                    f"transaction {self.id}: {bytes_} bytes {what}, and at most {most} fit in one",
                    size=bytes_,
                    limit=most,
                )
        return Wanted(self.id, os.urandom(ATTEMPT_SIZE), doing, self._digest(), owner)

    def _digest(self) -> bytes:
        """Return what tells whether another attempt wants the same: not of ids and times, which each draws anew."""
        messages = []
        for message in self._messages.values():
            wire = parse(message.record).envelope
            envelope = decode_envelope(wire, self._portal.link.messages)
            keys = () if message.keys is None else message.keys[:-1]
            messages.append((envelope.task, envelope.queue, envelope.body, message.priority, keys))
        releases = [hold.register for _, hold in self._releases.values()]
        packed = msgspec.msgpack.encode((messages, list(self._files.values()), releases))
        return blake2b(packed, digest_size=16).digest()

    # -- afterwards -------------------------------------------------------------------

    def _settle(self, completed: Completed) -> None:
        """Tell the handles what became of their messages.

        Raises:
            IdempotencyConflict: All else is done, and a message is not, for its key was given for another call.
        """
        delivered = completed.delivered
        own = list(self._messages)
        ids = completed.ids or tuple(task_id.decode() for task_id in own)
        for task_id, first in zip(own, ids, strict=True):
            name = task_id.decode()
            stands = delivered.duplicates.get(first) or (first if first != name else None)
            self._accepted(task_id, known=first in delivered.known or first in delivered.left, first=stands)
        self._messages.clear()
        for refused, (first, task) in delivered.conflicts.items():
            raise IdempotencyConflict(
                f"transaction {self.id} is done, and its message {refused} is not recorded: its idempotency_key was "
                f"given for another call, message {first} to task {task}",
                task_id=refused,
                first_id=first,
                first_task=task,
            )


def _outgoing(message: NewMessage) -> Outgoing:
    return Outgoing(
        message.task_id,
        message.record,
        message.slot,
        message.queue,
        message.priority,
        message.due_ms,
        message.expires_ms,
        message.function,
        message.keys,
    )
