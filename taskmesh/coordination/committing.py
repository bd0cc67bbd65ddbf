"""Deciding a transaction, and doing what was decided: by whoever finds it, as often as need be.

Each step may be repeated, and by two at once. A message is recorded once, for it has its id; a file is changed at a
version that the register of the transaction says, by an operation whose id is known; a lock is given back by the wish
that was granted. All or none is promised, not that nobody sees the first of it before the last.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from taskmesh.consensus.registers import Keep, Operation, Refuse, Verdict, Versioned, Write
from taskmesh.consensus.value import OPERATIONS_MAX
from taskmesh.coordination.acquire import give_back
from taskmesh.coordination.file import bury_owner, dead_among
from taskmesh.coordination.file_state import NOBODY, deleted, version_of, written
from taskmesh.coordination.file_state import PREFIX as FILE
from taskmesh.coordination.means import AskGeneration, Means, Nap, Tell
from taskmesh.coordination.token import next_token
from taskmesh.coordination.transaction import (
    ABORTED,
    COMMITTED,
    DONE,
    Doing,
    FileChange,
    Outgoing,
    TransactionState,
    cut,
    decided,
    done,
    has_bit,
    operation_of,
    pack_doing,
    part_of,
    progressed,
    read_transaction,
    rebased,
    register_of,
    undone,
    unpack_doing,
)
from taskmesh.core.steps import GroupSteps, Pause, Reply, Round
from taskmesh.errors import (
    AgreementError,
    ChangeRejected,
    ChangeUnknown,
    Fenced,
    TransactionAborted,
    TransactionConflict,
    TransactionUnknown,
    VersionConflict,
)

T = TypeVar("T")
#: Whoever was stopped for longer between looking and sending sends nothing any more: what was recorded and has ended
#: may be forgotten by then.
LOOKED_MS_MAX = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Deliver:
    """Record messages; the reply is a list of one `Delivered`.

    Attributes:
        messages: They may be recorded already.
        functions: Content hash -> signed function.
        looked_ms: When it was seen that this was to be done, Unix time.
    """

    messages: tuple[Outgoing, ...]
    functions: Mapping[bytes, bytes]
    looked_ms: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of messages, by their ids.

    Attributes:
        accepted: They are recorded.
        known: Of these, those that were before.
        duplicates: Another message stands for them: id -> its id.
        conflicts: Their idempotency key was given for something else, so they never can be: id -> id and task of that.
        left: They are not recorded yet, and why.
    """

    accepted: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    duplicates: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completed:
    """How far a transaction is.

    Attributes:
        phase: As `TransactionState.phase`; empty if nothing is known of it.
        ids: Of its messages.
        delivered: What became of those that were sent by this.
    """

    phase: str
    ids: tuple[str, ...] = ()
    delivered: Delivered = field(default_factory=Delivered)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One attempt at a transaction.

    Attributes:
        transaction: Its id.
        attempt: Random id.
        doing: What it is to do.
        digest: Of what another attempt would have in common with this one.
        by: Whose it is, for people.
    """

    transaction: str
    attempt: bytes
    doing: Doing
    digest: bytes
    by: str = ""


TransactionSteps: TypeAlias = Generator[
    Round | Pause | Nap | Tell | AskGeneration | Deliver, Sequence[Reply], T
]


# -- deciding -----------------------------------------------------------------------


def commit(means: Means, wanted: Wanted, now_ms: Callable[[], int]) -> GroupSteps[bool]:
    """Decide a transaction; False if another attempt at the same was decided before. `complete` does it.

    Raises:
        TransactionAborted: Nothing was done, and nothing will be.
        TransactionConflict: The same, for the id was decided for something else.
        TransactionUnknown: It may be decided.
        Fenced: Nothing was done, for a file has seen a newer token.
    """
    name = register_of(wanted.transaction)
    try:
        bases = yield from _bases(means, wanted.doing.files)
        packed = pack_doing(wanted.doing)
        parts = cut(packed)
        for number, part in enumerate(parts):
            register = part_of(wanted.transaction, wanted.attempt, number)
            yield from means.registers.change(register, _stored(part), means.operation())
    except Fenced:
        raise
    except AgreementError as error:
        raise _aborted(wanted.transaction, f"it could not be prepared: {error}") from error
    doing = wanted.doing
    state = TransactionState(
        COMMITTED,
        wanted.attempt,
        wanted.digest,
        now_ms(),
        wanted.by,
        len(parts),
        b"" if parts else packed,
        bases,
        messages=len(doing.messages),
        files=len(doing.files),
        releases=len(doing.releases),
    )
    try:
        changed = yield from means.registers.change(name, decided(state), means.operation())
    except ChangeRejected as error:
        raise _aborted(wanted.transaction, str(error)) from error
    except ChangeUnknown as error:
        raise TransactionUnknown(
            f"transaction {wanted.transaction} may be decided or not: {error}. Run it again with "
            f"id={wanted.transaction!r} and the same content: it is done once",
            register=name,
        ) from error
    if changed.answer == b"aborted":
        raise _aborted(wanted.transaction, "it took so long to prepare that the leader gave it up")
    if changed.answer == b"committed":
        return True
    yield from _drop_parts(means, wanted.transaction, wanted.attempt, len(parts))
    if changed.answer == b"other":
        raise TransactionConflict(
            f"transaction {wanted.transaction}: this id was decided for something else, so nothing of this was done: "
            "use another id",
            register=name,
        )
    return False


def _aborted(transaction: str, why: str) -> TransactionAborted:
    return TransactionAborted(
        f"transaction {transaction} is not decided, and nothing of it was done: {why}. It may be run again",
        register=register_of(transaction),
    )


def _bases(means: Means, files: Sequence[FileChange]) -> GroupSteps[tuple[int, ...]]:
    """Return at which versions files stand.

    Raises:
        Fenced: One of them has seen a newer token.
        NoMajority: Too few acceptors answered.
    """
    if not files:
        return ()
    found = yield from means.registers.read_many([FILE + each.path for each in files])
    for each in files:
        verdict = deleted(each.path, if_version=None, fence=each.fence)(found[FILE + each.path])
        if isinstance(verdict, Refuse):
            raise verdict.error
    return tuple(version_of(found[FILE + each.path]) for each in files)


def _stored(part: bytes) -> Callable[[Versioned], Verdict]:
    return lambda found: Keep() if found.content is not None else Write(part)


# -- doing --------------------------------------------------------------------------


def complete(means: Means, transaction: str, now_ms: Callable[[], int]) -> TransactionSteps[Completed]:
    """Do what a transaction was decided to do, as far as that can be done now.

    Raises:
        AgreementError, NodeUnavailable: Not all of it is done; do it again.
    """
    name, looked_ms = register_of(transaction), now_ms()
    state = read_transaction((yield from means.registers.read(name)))
    if state is None or state.phase != COMMITTED:
        return Completed("" if state is None else state.phase, () if state is None else state.ids)
    doing = yield from _doing(means, transaction, state)
    if doing is None:
        # either it was decided after its parts had been swept, or somebody has just done all of it
        change = undone(state.attempt, now_ms())
        changed = yield from means.registers.change(name, change, means.operation())
        after = read_transaction(Versioned(changed.version, changed.content))
        return Completed(
            after.phase if after is not None else ABORTED, after.ids if after is not None else ()
        )
    delivered = yield from _deliver(doing, state, looked_ms)
    for at, (file, base) in enumerate(zip(doing.files, state.bases, strict=True)):
        operation = Operation(operation_of(transaction, state.attempt, at))
        yield from _change_file(means, name, state.attempt, at, file, base, operation)
    for release in doing.releases:
        yield from give_back(means, release.register, release.request)
    ids = tuple(message.task_id.decode() for message in doing.messages)
    if delivered.left:
        positions = {at for at, id_ in enumerate(ids) if id_ in _settled(delivered)}
        if positions:
            yield from means.registers.change(name, progressed(state.attempt, positions), means.operation())
        return Completed(COMMITTED, ids, delivered)
    yield from means.registers.change(name, done(state.attempt, ids, now_ms()), means.operation())
    yield from _drop_parts(means, transaction, state.attempt, state.parts)
    return Completed(DONE, ids, delivered)


def _settled(delivered: Delivered) -> set[str]:
    """Return the ids of messages for which nothing is left to be done."""
    return {*delivered.accepted, *delivered.duplicates, *delivered.conflicts}


def _doing(means: Means, transaction: str, state: TransactionState) -> GroupSteps[Doing | None]:
    """Return what is to be done; None if parts of it are there no more."""
    if not state.parts:
        return unpack_doing(state.inline)
    names = [part_of(transaction, state.attempt, number) for number in range(state.parts)]
    found = yield from means.registers.read_many(names)
    parts = [content for name in names if (content := found[name].content) is not None]
    return unpack_doing(b"".join(parts)) if len(parts) == len(names) else None


def _deliver(doing: Doing, state: TransactionState, looked_ms: int) -> TransactionSteps[Delivered]:
    messages = tuple(each for at, each in enumerate(doing.messages) if not has_bit(state.sent, at))
    if not messages:
        return Delivered()
    (delivered,) = yield Deliver(messages, doing.functions, looked_ms)
    result: Delivered = delivered
    return result


def _change_file(
    means: Means, name: str, attempt: bytes, at: int, file: FileChange, base: int, operation: Operation
) -> TransactionSteps[None]:
    """Change one file, once, whoever else does it as well.

    A token that others have used since does no harm: theirs came after this one's. The same holds where so much was
    written since that the register cannot tell any more whether this was.
    """
    instance, alive = 0, NOBODY
    while True:
        if file.data is None:
            change = deleted(file.path, if_version=base, fence=file.fence)
        else:
            change = written(
                file.path,
                file.data,
                if_version=base,
                fence=file.fence,
                owner=None,
                instance=instance,
                alive=alive,
            )
        try:
            changed = yield from means.registers.change(FILE + file.path, change, operation)
        except Fenced:
            return
        except VersionConflict as conflict:
            if base and conflict.version - base >= OPERATIONS_MAX:
                return
            moved = yield from means.registers.change(
                name, rebased(attempt, at, base, conflict.version), means.operation()
            )
            if not moved.answer:
                return
            base = int(moved.answer)
            continue
        if file.data is None or not changed.answer:
            return
        if changed.answer == b"new":
            instance = yield from next_token(means)
        elif (yield from dead_among(means, {changed.answer})):
            yield from bury_owner(means, changed.answer, FILE + file.path)
        else:
            alive = changed.answer


def _drop_parts(means: Means, transaction: str, attempt: bytes, parts: int) -> GroupSteps[None]:
    """Drop what an attempt was to do: what became of it is known, and what cannot be dropped now is swept later."""
    for number in range(parts):
        try:
            yield from means.registers.delete(part_of(transaction, attempt, number), means.operation())
        except AgreementError:
            return
