"""Locks and semaphores, as users hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.client.holding import Holding
from taskmesh.coordination.line import EXCLUSIVE, PERMIT, SHARED
from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator
    from taskmesh.config.arguments import Duration

TTL_S = 30.0
#: All holders of a semaphore stand in one register, beside those who wait.
PERMITS_MAX = 200


class Lock(Holding):
    """A lock of all processes of a mesh; `TaskMesh.lock` makes one.

    It saves work; its token makes it safe. A process that was stopped for long goes on as if it still held it: so give
    `token` to what you write to, and have that refuse one that is older than the highest it has seen.
    """

    def __init__(
        self,
        coordinator: Callable[[], Coordinator],
        name: str,
        *,
        ttl: Duration = TTL_S,
        wait: Duration | None = None,
        mode: str = EXCLUSIVE,
        lock_delay: Duration | None = None,
    ) -> None:
        """Prepare; see `TaskMesh.lock`."""
        if mode not in (EXCLUSIVE, SHARED):
            raise UsageError(f"mode={mode!r}: expected 'exclusive' or 'shared'")
        super().__init__(
            coordinator, "lock", name, ttl=ttl, wait=wait, mode=mode, limit=1, lock_delay=lock_delay
        )


class Semaphore(Holding):
    """So many permits for all processes of a mesh; `TaskMesh.semaphore` makes one."""

    def __init__(
        self,
        coordinator: Callable[[], Coordinator],
        name: str,
        permits: int,
        *,
        ttl: Duration = TTL_S,
        wait: Duration | None = None,
        lock_delay: Duration | None = None,
    ) -> None:
        """Prepare; see `TaskMesh.semaphore`."""
        if not isinstance(permits, int) or isinstance(permits, bool) or not 1 <= permits <= PERMITS_MAX:
            raise UsageError(f"semaphore {name}: {permits!r} permits: expected 1 to {PERMITS_MAX}")
        super().__init__(
            coordinator,
            "semaphore",
            name,
            ttl=ttl,
            wait=wait,
            mode=PERMIT,
            limit=permits,
            lock_delay=lock_delay,
        )
