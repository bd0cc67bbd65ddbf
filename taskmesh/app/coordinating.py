"""Locks, semaphores, elections and small files that all processes of a mesh share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from taskmesh.app.wiring import Wiring

if TYPE_CHECKING:
    from taskmesh.client.files import Files
    from taskmesh.client.lock import Lock, Semaphore


class Coordinating(Wiring):
    """What a mesh offers to processes that must agree on who does what."""

    def lock(
        self,
        name: str,
        *,
        ttl: float = 30.0,
        wait: float | None = None,
        mode: Literal["exclusive", "shared"] = "exclusive",
        lock_delay: float | None = None,
    ) -> Lock:
        """Return a lock: `with mesh.lock("reindex") as lock: write(..., lock.token)`.

        Whoever waits is served in the order of coming. The lease is renewed by a thread of this process for as long as
        it lives.

        Args:
            name: 1 to 200 printable ASCII characters, no spaces.
            ttl: The lease in seconds, 2 to 3600: about so long after a process vanished are its locks free.
            wait: How many seconds to wait for it; None for as long as it takes, 0 for not at all.
            mode: Any number may hold it `shared`, or one `exclusive`.
            lock_delay: For how many seconds nobody has it after its holder vanished, so that what he sent last arrives
                before what the next one sends; up to 60. The lease if not given. Say 0 where tokens are checked.

        Raises:
            UsageError: One of them is impossible.
        """
        from taskmesh.client.lock import Lock

        return Lock(lambda: self.coordinator, name, ttl=ttl, wait=wait, mode=mode, lock_delay=lock_delay)

    def semaphore(
        self,
        name: str,
        permits: int,
        *,
        ttl: float = 30.0,
        wait: float | None = None,
        lock_delay: float | None = None,
    ) -> Semaphore:
        """Return a semaphore: at most so many hold it at once. `with mesh.semaphore("api", 5): ...`.

        Args:
            name: As of a lock.
            permits: 1 to 200; all who use it at the same time must name the same number.
            ttl: The lease in seconds, as of a lock.
            wait: How many seconds to wait for a permit, as of a lock.
            lock_delay: For how many seconds nobody has the permit of a process that vanished, as of a lock.

        Raises:
            UsageError: One of them is impossible.
        """
        from taskmesh.client.lock import Semaphore

        return Semaphore(lambda: self.coordinator, name, permits, ttl=ttl, wait=wait, lock_delay=lock_delay)

    @property
    def files(self) -> Files:
        """Small files that all processes of the mesh share: `mesh.files.write("config/limits", b"...")`."""
        from taskmesh.client.files import Files

        return Files(lambda: self.coordinator)
