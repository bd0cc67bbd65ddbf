"""Locks, semaphores, elections and small files that all processes of a mesh share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from taskmesh.app.wiring import Wiring

if TYPE_CHECKING:
    from taskmesh.client.election import Election
    from taskmesh.client.files import Files
    from taskmesh.client.lines import LockStatus
    from taskmesh.client.lock import Lock, Semaphore
    from taskmesh.config.arguments import Duration


class Coordinating(Wiring):
    """What a mesh offers to processes that must agree on who does what."""

    def lock(
        self,
        name: str,
        *,
        ttl: Duration = 30.0,
        wait: Duration | None = None,
        mode: Literal["exclusive", "shared"] = "exclusive",
        lock_delay: Duration | None = None,
    ) -> Lock:
        """Return a lock: `with mesh.lock("reindex") as lock: write(..., lock.token)`.

        Whoever waits is served in the order of coming. The lease is renewed by a thread of this process for as long as
        it lives.

        Args:
            name: 1 to 200 printable ASCII characters, no spaces.
            ttl: The lease in seconds, 2 to 3600, or a timedelta, or a text such as `1m`, like all times here: about
                so long after a process vanished are its locks free.
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
        ttl: Duration = 30.0,
        wait: Duration | None = None,
        lock_delay: Duration | None = None,
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

    def election(
        self, name: str, *, ttl: Duration = 6.0, candidate: str = "", lock_delay: Duration = 0.0
    ) -> Election:
        """Return an election: one of those who campaign leads. `election.campaign()`, then `election.is_leader`.

        Args:
            name: As of a lock.
            ttl: The lease in seconds, 2 to 3600: about so long after a leader vanished the next one leads.
            candidate: What others see of this one; host and process if not given.
            lock_delay: For how many seconds nobody leads after a leader vanished, as of a lock.

        Raises:
            UsageError: One of them is impossible.
        """
        from taskmesh.client.election import Election

        return Election(lambda: self.coordinator, name, ttl=ttl, candidate=candidate, lock_delay=lock_delay)

    def lock_statuses(self) -> list[LockStatus]:
        """Return who holds which locks, semaphores and elections, and who waits for them.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        from taskmesh.client.lines import lock_statuses

        return lock_statuses(self.coordinator)

    def break_lock(self, name: str, *, kind: str = "lock", delay: bool = True) -> int:
        """Take a lock away from whoever holds it, and return how many did.

        The holder learns of it when it next renews its lease.

        Args:
            name: Its name.
            kind: `lock`, `semaphore` or `election`.
            delay: Whether the next one has it after the lock-delay only.

        Raises:
            UsageError: There is no such kind.
            AgreementError: It may still be held.
        """
        from taskmesh.client.lines import break_lock

        return break_lock(self.coordinator, kind, name, delay=delay)

    @property
    def files(self) -> Files:
        """Small files that all processes of the mesh share: `mesh.files.write("config/limits", b"...")`."""
        from taskmesh.client.files import Files

        return Files(lambda: self.coordinator)
