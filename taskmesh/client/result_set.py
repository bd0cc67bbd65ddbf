"""ResultSet: the handles of many messages."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from taskmesh.client.result import AsyncResult
from taskmesh.client.timeout import read_timeout
from taskmesh.errors import InvariantBroken, TaskTimeout

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.client.waiter import Waiter
    from taskmesh.errors import NodeUnavailable

R_co = TypeVar("R_co", covariant=True)


class ResultSet(Generic[R_co]):
    """The results of a `map`, a `starmap` or any handles put together, in the order in which they were sent."""

    def __init__(self, results: Iterable[AsyncResult[R_co]], portal: Portal | None = None) -> None:
        """Put handles together. They must be of one mesh."""
        self.results: list[AsyncResult[R_co]] = list(results)
        self._portal = portal or (self.results[0]._portal if self.results else None)  # noqa: SLF001 - kin

    def __iter__(self) -> Iterator[AsyncResult[R_co]]:
        """Iterate over the handles in the order in which they were sent."""
        return iter(self.results)

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.results)

    def __getitem__(self, at: int) -> AsyncResult[R_co]:
        """Return one handle."""
        return self.results[at]

    def __repr__(self) -> str:
        """Show how many there are and how many have been heard of."""
        heard = sum(result.outcome is not None for result in self.results)
        return f"<ResultSet of {len(self.results)}, {heard} heard of>"

    def as_completed(self, timeout: float | None = None) -> Iterator[AsyncResult[R_co]]:
        """Yield handles as their messages end, each once.

        Raises:
            TaskTimeout: Some had not ended in time; `get` on a handle that was yielded does not wait.
        """
        timeout = read_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        waiting = {id(result): result for result in self.results}
        ready: deque[AsyncResult[Any]] = deque()
        heard = ready.append
        for result in waiting.values():
            result.reopen()
            result.watch(heard)
        try:
            waiter = self._waiter(list(waiting.values()))
            while waiting:
                while ready:
                    result = ready.popleft()
                    # told of twice when a notice and a reading cross
                    if waiting.pop(id(result), None) is not None:
                        yield result
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if waiting and not waiter.wait(left, lambda: bool(ready)):
                    raise self._late(list(waiting.values()), timeout, waiter.unreachable)
        finally:
            for result in self.results:
                result.unwatch(heard)

    async def as_completed_async(self, timeout: float | None = None) -> AsyncIterator[AsyncResult[R_co]]:  # noqa: ASYNC109
        """As `as_completed`, in an event loop: `async for result in results.as_completed_async(): ...`.

        Raises:
            TaskTimeout: Some had not ended in time; `await` on a handle that was yielded does not wait.
        """
        from taskmesh.client.async_wait import as_completed_async

        if self._portal is not None:
            timeout = read_timeout(timeout)
            async for result in as_completed_async(
                self._portal, self.results, timeout, lambda pending: self._late(pending, timeout)
            ):
                yield result

    def __await__(self) -> Generator[Any, None, list[R_co]]:
        """Wait for all in an event loop; same values and errors as `get`."""
        return self._values().__await__()

    async def _values(self) -> list[R_co]:
        async for _ in self.as_completed_async():
            continue
        return [result.conclude() for result in self.results]

    def _waiter(self, handles: list[AsyncResult[R_co]]) -> Waiter:
        if self._portal is None:
            raise InvariantBroken("a ResultSet without results has nothing to wait for")
        return self._portal.inbox.waiter(handles)

    def _late(
        self,
        pending: list[AsyncResult[R_co]],
        timeout: float | None,
        unreachable: NodeUnavailable | None = None,
    ) -> TaskTimeout:
        return TaskTimeout(
            f"{len(pending)} of {len(self.results)} tasks had not finished within {timeout:g} s, the first of them "
            f"{pending[0].id}{f' ({unreachable})' if unreachable else ''}",
            task_id=pending[0].id,
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all have ended, whatever the outcome, and tell whether they have."""
        return self._missed(timeout) is None

    def _missed(self, timeout: float | None) -> Waiter | None:
        """Wait until all have ended, and return None; if that is not in time, return what has waited."""
        timeout = read_timeout(timeout)
        at = 0
        results = self.results
        for result in results:
            result.reopen()

        def all_settled() -> bool:
            nonlocal at
            while at < len(results) and results[at].is_settled():
                at += 1
            return at == len(results)

        if all_settled():
            return None
        waiter = self._waiter(results)
        return None if waiter.wait(timeout, all_settled) else waiter

    def get(self, timeout: float | None = None, *, propagate: bool = True) -> list[R_co]:
        """Wait for all and return their values in the order in which they were sent.

        Args:
            timeout: Seconds for all together; None for ever.
            propagate: False puts exceptions into the list instead of raising the first.

        Raises:
            TaskTimeout: Some had not ended in time.
            Exception: What the first failed task raised.
        """
        missed = self._missed(timeout)
        if missed is not None:
            pending = [result for result in self.results if not result.is_settled()]
            raise self._late(pending, timeout, missed.unreachable)
        return [result.conclude(propagate=propagate) for result in self.results]

    def join(
        self,
        timeout: float | None = None,
        *,
        propagate: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[R_co]:
        """As `get`, and tell how far it is.

        Args:
            timeout: Seconds for all together; None for ever.
            propagate: False puts exceptions into the list instead of raising the first.
            progress: Called with (ended, all) at the start and whenever more have ended.
        """
        total = len(self.results)
        if progress is not None:
            progress(0, total)
            for done, _ in enumerate(self.as_completed(timeout), 1):
                progress(done, total)
        return self.get(timeout, propagate=propagate)

    def ready(self) -> bool:
        """Tell whether all have ended."""
        return self.completed_count() == len(self.results)

    def completed_count(self) -> int:
        """Return how many have ended, in whatever way, reading in batches those not heard of."""
        unheard = [result for result in self.results if not result.is_settled()]
        if unheard and self._portal is not None:
            self._portal.refresh(unheard)
        return sum(result.is_settled() for result in self.results)

    def successful(self) -> bool:
        """Tell whether all have ended with a value."""
        return self.ready() and all(
            r.outcome is not None and r.outcome.state == "SUCCESS" for r in self.results
        )

    def failed(self) -> bool:
        """Tell whether any has ended without a value."""
        self.completed_count()
        return any(r.outcome is not None and r.outcome.state in ("FAILURE", "DEAD") for r in self.results)

    def forget(self) -> None:
        """Have all outcomes dropped now."""
        if self._portal is not None:
            self._portal.forget(self.results)

    def revoke(self, *, terminate: bool = False, signal: str = "TERM") -> int:
        """Revoke them in few round trips, and return how many are revoked by now.

        Args:
            terminate: End the runs of those that run, too, see `AsyncResult.revoke`.
            signal: By which their processes are told.
        """
        if self._portal is None:
            return 0
        verdicts = self._portal.revoke(self.results, terminate=terminate, signal=signal)
        return sum(verdict is True for verdict in verdicts)
