"""Sending what is no task yet, or many at once, and finding again what was sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from taskmesh.app.wiring import Wiring
from taskmesh.client.result import AsyncResult
from taskmesh.client.task import AsyncTask, Task, callable_task
from taskmesh.core.lines import check_queue

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from taskmesh.client.batch import Batch
    from taskmesh.client.transaction import Transaction
    from taskmesh.client.transactions import TransactionStatus

P = ParamSpec("P")
R = TypeVar("R")


class Sending(Wiring):
    """What a mesh offers to callers, beside its tasks themselves."""

    @overload
    def submit(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[R]: ...

    @overload
    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send any callable to be run by a worker: a task, a function, a lambda, a closure.

        The function travels by value, with the globals that it uses as they are now. All arguments are its own: to give
        options such as a queue, `mesh.by_value(function).apply_async(args, queue="mail")`.

        Raises:
            WrongArguments: The function does not take these arguments (a `TypeError`).
            NotPicklable: The function or an argument cannot be sent.
            SendRejected, SendUnknown: As `Task.delay`.
        """
        return callable_task(self, function).delay(*args, **kwargs)

    @overload
    def by_value(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...

    @overload
    def by_value(self, function: Callable[P, R], /) -> Task[P, R]: ...

    def by_value(self, function: Callable[..., Any], /) -> Any:
        """Return any callable as what `submit` sends: a task that is known nowhere and travels with its messages.

        For `apply_async` with options, `map`, `starmap` and their like. A task is returned as it is.

        Raises:
            UsageError: It is no callable.
        """
        return callable_task(self, function)

    def result(self, task_id: str) -> AsyncResult[Any]:
        """Return a handle on any message of the mesh, whichever process sent it."""
        return self.portal.find(task_id, inline=self.eager)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect what this thread or coroutine sends, and send it in few round trips when the block ends.

        Handles have their ids at once, and results when the block has ended. Leaving the block by an exception
        sends nothing. All that is collected stays in memory: for a million calls, prefer `starmap`.

        Raises:
            BatchError: At the end: some were not accepted; its `batch.send()` sends those again.
        """
        from taskmesh.client.batch import Batch

        batch = Batch(self.portal.sender)
        if not self.eager:
            self.portal.open_to_send()
        batch.open()
        try:
            yield batch
        finally:
            batch.close()
        batch.send()

    def transaction(self, id: str | None = None) -> Transaction:
        """Have all of it done, or none: `with mesh.transaction() as tx:`, or `async with`.

        What this thread or coroutine sends in the block is collected, and so are `tx.write(path, data)`,
        `tx.delete(path)` and `tx.release(lock)`. At the end of the block all of that is decided at once, and done.
        Leaving it by an exception does nothing. Should this process die after the decision, the leader does the rest.

        Args:
            id: Of the transaction, up to 100 of `A-Z a-z 0-9 _ . @ : + = ~ -`; drawn if not given. What was decided
                under an id is done once, however often it is run again within an hour.

        Raises:
            UsageError: That is no id. At the end: the transaction is too large.
            TransactionAborted: At the end: nothing was done, and nothing will be.
            TransactionConflict: The same, since the id was decided for something else.
            TransactionUnknown: At the end: it may be decided. Run it again with the same id.
            Fenced, LockError: At the end: nothing was done, for a token is too old or a lock is not held any more.
        """
        from taskmesh.client.transaction import Transaction

        return Transaction(self.portal, lambda: self.coordinator, id, eager=self.eager)

    def transaction_statuses(self) -> list[TransactionStatus]:
        """Return the transactions that are decided and still known, the oldest first.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        from taskmesh.client.transactions import transaction_statuses

        return transaction_statuses(self.coordinator)

    def executor(self, *, queue: str | None = None) -> Executor:
        """Return a `concurrent.futures.Executor` whose calls are run by the mesh's workers.

        Args:
            queue: Where its calls go; if not given, tasks go to theirs and the others to the default queue.
        """
        from taskmesh.client.executor import MeshExecutor

        return MeshExecutor(self, queue=check_queue(queue) if queue is not None else None)
