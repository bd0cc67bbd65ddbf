"""Every exception of TaskMesh, as one tree.

Families follow what the caller can do: fix the call, try again, or give up.

    TaskMeshError
    ├── UsageError                  fix the call
    │   ├── ConfigError             a setting is unknown, impossible or missing
    │   │   ├── KeyMismatch         this process holds no key that the mesh accepts
    │   │   ├── BrokerRefused       the broker does not let this account, or this queue, in
    │   │   ├── UpgradeNeeded       the mesh was made by a newer TaskMesh
    │   │   └── ServerBinaryMissing no valkey-server to start the embedded node with
    │   ├── AppNotFound             `module:attribute` does not lead to a TaskMesh
    │   ├── ImpossibleView          a view of the nodes that contradicts itself
    │   ├── InvalidTaskId           an id that is not 1 to 200 printable ASCII characters (also a TaskNotFound)
    │   ├── WrongArguments          arguments that the function does not take (also a TypeError)
    │   ├── NotPicklable            an argument or function that cannot be sent
    │   ├── PayloadTooLarge         larger than `max_message_size` or `max_result_size`
    │   └── UnknownTask             no task of this name is registered here
    ├── SendError                   a send did not plainly succeed
    │   ├── SendRejected            certainly not recorded
    │   │   ├── IdempotencyConflict its idempotency key was given for another call
    │   │   └── QueueFull           the node's memory is nearly full
    │   ├── SendUnknown             may be recorded: send the same id again
    │   └── BatchError              some of many: ids accepted, rejected, unknown
    ├── ResultError                 no value can be returned for this id
    │   ├── TaskTimeout             not finished in time (also a TimeoutError)
    │   ├── TaskRevoked             the message was revoked
    │   ├── TaskExpired             `expires` passed before it began
    │   ├── TaskDead                given up: crashes, not acceptable, rejected
    │   ├── TaskNotFound            nothing is known of this id
    │   ├── ResultExpired           it finished, and its result has been removed
    │   └── RemoteError             the task's exception could not be brought home
    ├── SoftTimeLimitExceeded       raised in a task that runs longer than its `soft_time_limit`
    ├── TimeLimitExceeded           a task ran longer than its `time_limit`, so its process was ended
    ├── MaxRetriesExceededError     a task asked for one retry more than it has
    ├── Verdict                     what a task raises to say how its message goes on
    │   ├── Retry                   it runs again later
    │   ├── Snooze                  the same, and no attempt is charged
    │   ├── Ignore                  it has ended well, without a value
    │   └── Reject                  it becomes a dead letter, or goes back in line
    ├── TrustError                  bytes that must not be decoded
    │   ├── BadSignature            the signature does not match
    │   ├── UnknownKey              signed with a key this process does not hold
    │   ├── RetiredKey              signed with a key that was retired
    │   ├── Malformed               not a TaskMesh wire format
    │   ├── NewerFormat             written by a newer TaskMesh
    │   └── NotAllowed              `allow_tasks` or `allow_by_value` forbids it
    ├── AgreementError              what several acceptors decide could not be decided
    │   ├── ChangeRejected          certainly not done
    │   │   ├── NoMajority          too few acceptors answered
    │   │   ├── VersionConflict     the register, or the file, stands at another version
    │   │   ├── Fenced              the token is older than one that was used since
    │   │   └── TransactionAborted  nothing of a transaction was done, and nothing will be
    │   │       └── TransactionConflict its id was decided for something else
    │   ├── ChangeUnknown           may be done: repeat it with the same operation
    │   │   └── TransactionUnknown  may be decided: run it again with the same id
    │   └── LeadershipLost          this process led, and another does now
    ├── LockError                   a lock, a permit or an election is not held
    │   ├── LockTimeout             it was not free in time (also a TimeoutError)
    │   ├── LockInJeopardy          its lease was not renewed in time: others may have it
    │   └── LockLost                others may have had it, or have it
    ├── NodeUnavailable             a node did not answer
    ├── BrokerUnavailable           a broker did not answer
    ├── NodeFault                   a node answered with an error nobody expected
    ├── StaleView                   the node has a newer epoch than the caller
    ├── WorkerError                 the supervisor or a child could not go on
    └── InvariantBroken             a bug in TaskMesh: please report it
"""

from __future__ import annotations

from typing import Any

#: Times are 12 hex digits of milliseconds in a record; so far ahead nobody means what he says.
AHEAD_S_MAX = 100 * 365 * 86_400.0


def _rebuild(cls: type[TaskMeshError], message: str, facts: dict[str, Any]) -> TaskMeshError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(facts)
    return error


class TaskMeshError(Exception):
    """Base of all errors raised by TaskMesh. Facts are attributes; it survives pickling."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.__dict__.update(facts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]) if self.args else "", self.__dict__.copy())


class UsageError(TaskMeshError):
    """The call itself is wrong; repeating it unchanged cannot help."""


class ConfigError(UsageError):
    """A setting is unknown, impossible or missing."""


class KeyMismatch(ConfigError):
    """This process holds no key that the mesh accepts."""


class BrokerRefused(ConfigError):
    """The `broker` (its address, without a password) does not let us in, has a queue otherwise, or cannot be loaded."""

    broker: str


class UpgradeNeeded(ConfigError):
    """The mesh on the node was written by a newer TaskMesh."""


class ServerBinaryMissing(ConfigError):
    """There is no server binary with which to start the embedded node."""


class ImpossibleView(UsageError):
    """A view of the nodes of a mesh contradicts itself: two members with one id, a slot that nobody keeps."""


class AppNotFound(UsageError):
    """An app path such as `module:mesh` does not lead to a TaskMesh."""


class WrongArguments(UsageError, TypeError):
    """A task was sent with arguments that its function does not take."""

    task: str


class NotPicklable(UsageError):
    """An argument, a value or a function cannot be pickled."""


class PayloadTooLarge(UsageError):
    """A message or a result exceeds its limit."""

    size: int
    limit: int


class UnknownTask(UsageError):
    """No task of this name is registered in this process."""


class SendError(TaskMeshError):
    """A send did not plainly succeed."""


class SendRejected(SendError):
    """The message was certainly not recorded; sending it again is safe."""


class IdempotencyConflict(SendRejected):
    """The idempotency key was given before, for another task or other arguments; or the `task_id`, for another task.

    Attributes:
        task_id: The message that was not recorded.
        first_id: The message that has the key, or the id.
        first_task: Its task.
    """

    task_id: str
    first_id: str
    first_task: str


class QueueFull(SendRejected):
    """The node's memory is nearly full: it takes no new messages for now."""


class SendUnknown(SendError):
    """The message may have been recorded; send the same id again to be sure."""


class BatchError(SendError):
    """Some messages of a batch were not accepted.

    Attributes:
        accepted: Ids that are recorded.
        rejected: Ids that certainly are not, with the reason for each.
        unknown: Ids that may be recorded.
        batch: What was not accepted; `batch.send()` sends it again as it stands. Not kept by pickling.
        results: For `map` and `starmap`: the handles of all messages. Not kept by pickling.
    """

    accepted: list[str]
    rejected: dict[str, str]
    unknown: list[str]
    batch: Any
    results: Any

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, message, facts) = super().__reduce__()
        return rebuild, (cls, message, facts | {"batch": None, "results": None})


class ResultError(TaskMeshError):
    """No value can be returned for this id."""

    task_id: str


class TaskTimeout(ResultError, TimeoutError):
    """The task had not finished when the time to wait was over."""


class TaskRevoked(ResultError):
    """The message was revoked before it finished."""


class TaskExpired(ResultError):
    """The message's `expires` passed before it began."""


class TaskDead(ResultError):
    """The message will not be tried again; `reason` says why."""

    reason: str


class TaskNotFound(ResultError):
    """Nothing is known of this id: never sent, or removed after it expired."""


class InvalidTaskId(UsageError, TaskNotFound):
    """A task id must be 1 to 200 printable ASCII characters; so nothing can be known of one that is not."""


class ResultExpired(ResultError):
    """The task was accepted, and its result has been removed since."""


class RemoteError(ResultError):
    """The task failed with an exception that cannot be rebuilt here.

    Attributes:
        type_name: `module.qualname` of the exception on the worker.
        text: `str()` of it.
        remote_traceback: Its formatted traceback.
    """

    type_name: str
    text: str
    remote_traceback: str


class MaxRetriesExceededError(TaskMeshError):
    """A task asked to be tried again, its retries or their time are used up, and it gave no error of its own."""


class Verdict(TaskMeshError):
    """What a task raises to say how its message goes on. It goes no further than to the worker."""


class Retry(Verdict):
    """The message runs again later, as its next attempt; `retry()` of the running task makes and raises it.

    Attributes:
        exc: The error because of which.
        due_ms: Unix time before which it does not run; None leaves that to the task's policy.
        call: New positional and keyword arguments; None for those of before.
        queue: Where it waits from now on; None for where it was.
        priority: From now on; None for that of before.
    """

    def __init__(
        self,
        message: str = "this is to be tried again",
        *,
        exc: BaseException | None = None,
        due_ms: int | None = None,
        call: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> None:
        super().__init__(message)
        self.exc = exc
        self.due_ms = due_ms
        self.call = call
        self.queue = queue
        self.priority = priority


class Snooze(Verdict):
    """The message runs again after some seconds, and no attempt is charged.

    Attributes:
        seconds: How long it waits; 100 years at most.
    """

    def __init__(self, seconds: float) -> None:
        check_seconds("Snooze: seconds", seconds)
        super().__init__(f"this waits for {seconds:g} s")
        self.seconds = seconds


class Ignore(Verdict):
    """The message has ended well: SUCCESS, without a value."""

    def __init__(self, message: str = "what this returns is of no interest") -> None:
        super().__init__(message)


class Reject(Verdict):
    """The message is not wanted.

    Attributes:
        reason: Why, for people.
        requeue: True puts it back at the end of its line, False makes it a dead letter.
    """

    def __init__(self, reason: object = "the task rejected it", requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Celery
        super().__init__(str(reason))
        self.reason = str(reason)
        self.requeue = requeue


class SoftTimeLimitExceeded(TaskMeshError):
    """Raised in a task that runs longer than its `soft_time_limit`; it may catch it, clean up and return.

    Attributes:
        task_id: Id of the message.
        limit_s: The limit.
    """

    task_id: str
    limit_s: float


class TimeLimitExceeded(TaskMeshError):
    """The task ran longer than its `time_limit`, `limit_s`: its process was ended, and it is not tried again."""

    task_id: str
    limit_s: float


class TrustError(TaskMeshError):
    """Bytes that must not be decoded, imported or run."""


class BadSignature(TrustError):
    """The signature does not match the content."""


class UnknownKey(TrustError):
    """Signed with a key that this process does not hold."""


class RetiredKey(TrustError):
    """Signed with a key that was retired."""


class Malformed(TrustError):
    """The bytes are not of a format that TaskMesh writes."""


class NewerFormat(TrustError):
    """The bytes were written by a newer TaskMesh than this one."""


class NotAllowed(TrustError):
    """`allow_tasks` or `allow_by_value` of this worker forbids the message."""


class AgreementError(TaskMeshError):
    """What several acceptors decide together could not be decided."""

    register: str


class ChangeRejected(AgreementError):
    """The change was certainly not made; making it again is safe."""


class NoMajority(ChangeRejected):
    """Too few acceptors answered, so nothing was read or changed."""


class VersionConflict(ChangeRejected):
    """The register does not stand at the version that the caller knows, but at `version`."""

    version: int


class Fenced(ChangeRejected):
    """The token is older than one that was used for the same thing since: whoever has it has lost his lock.

    Attributes:
        token: The one that was given; 0 for none.
        highest: The highest that was used.
    """

    token: int
    highest: int


class ChangeUnknown(AgreementError):
    """The change may have been made, or may be later; repeating it with the same operation makes it once."""


class TransactionAborted(ChangeRejected):
    """Nothing of a transaction was done, and nothing of this attempt will be."""


class TransactionConflict(TransactionAborted):
    """A transaction of this id was decided for something else; nothing of this one was done."""


class TransactionUnknown(ChangeUnknown):
    """A transaction may be decided: then all of it is done. Running it again with the same id does it once."""


class LeadershipLost(AgreementError):
    """This process led, and another does now: what it does as a leader is refused."""


class LockError(TaskMeshError):
    """A lock, a permit of a semaphore or an election, whose name is `name`, is not held."""

    name: str


class LockTimeout(LockError, TimeoutError):
    """It was not free in time."""


class LockInJeopardy(LockError):
    """Its lease could not be renewed in time: it may still be held, or others may have it by now.

    Attributes:
        left_s: How long this process may still rely on it; 0 or less when that is over.
    """

    left_s: float


class LockLost(LockError):
    """It is not held any more: the session was declared dead, somebody broke it, or this process is forked."""


class NodeUnavailable(TaskMeshError):
    """A node could not be reached or did not answer in time.

    Attributes:
        node: Which.
        lasts: Whether waiting is of no use, since somebody has to change something first: it refuses the password,
            it is no Redis.
    """

    node: str
    lasts: bool = False


class BrokerUnavailable(TaskMeshError):
    """The `broker` (its address, without a password) did not answer. Nothing is lost by that: work starts later."""

    broker: str


class NodeFault(TaskMeshError):
    """A node answered with an error that nobody expected."""


class StaleView(TaskMeshError):
    """The node is at a newer epoch than the caller believed."""


class WorkerError(TaskMeshError):
    """A supervisor or a child cannot go on."""


class InvariantBroken(TaskMeshError):
    """Something that must always hold did not: a bug in TaskMesh, please report it."""


def check_seconds(name: str, seconds: object) -> float:
    """Return how many seconds a message is to wait, or raise `UsageError` if no message can wait so long."""
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds <= AHEAD_S_MAX:
        return float(seconds)
    raise UsageError(f"{name}={seconds!r}: expected seconds, from 0 to {AHEAD_S_MAX:.0f} (100 years)")


def is_usage(error: TaskMeshError) -> bool:
    """Tell whether a command that met the error was used wrongly (exit code 2), or has failed (1).

    Settings may be right and yet not fit the machine or the mesh: that is no fault of the command line.
    """
    return isinstance(error, UsageError) and not isinstance(
        error, BrokerRefused | KeyMismatch | UpgradeNeeded | ServerBinaryMissing
    )
