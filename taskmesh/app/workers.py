"""Workers that are started from Python, and told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.app.wiring import Wiring

if TYPE_CHECKING:
    from taskmesh.worker.launch import Workers


class OwnWorkers(Wiring):
    """What a mesh offers to programs that start its workers themselves."""

    def workers(
        self,
        concurrency: int | None = None,
        *,
        pool: str | Sequence[str] = (),
        queues: tuple[str, ...] = (),
        name: str = "",
        strategy: str = "",
        scheduler: bool = True,
        log_level: str = "WARNING",
    ) -> Workers:
        """Start worker processes for the length of a `with` block: `with mesh.workers(4): ...`.

        Args:
            concurrency: How many tasks at once; if not given, the setting for processes, else what suits the pool.
            pool: `process`, `thread` or `async`, with `:N` for how many at once; or a list of several, such as
                `["process:4", "async:500=io"]`. Processes if not given.
            queues: Which queues, best first, each with its weight if it has one: `("mail=3", "default")`; the
                default queue if none.
            name: Name of the worker.
            strategy: From which of its queues it takes next; the setting if not given.
            scheduler: Whether it stands for leader, who fires schedules.
            log_level: What they, and the tasks in them, say on standard error, unless the app sets up logging.

        Raises:
            UsageError: One of them is impossible.
        """
        from taskmesh.worker.launch import Workers

        return Workers(
            self,
            concurrency,
            pool=pool,
            queues=queues,
            name=name,
            strategy=strategy,
            scheduler=scheduler,
            log_level=log_level,
        )

    def run_worker(
        self,
        concurrency: int | None = None,
        *,
        pool: str | Sequence[str] = (),
        queues: tuple[str, ...] = (),
        name: str = "",
        strategy: str = "",
        scheduler: bool = True,
        burst: bool = False,
        log_level: str = "WARNING",
    ) -> int:
        """Run a worker here until it is told to stop (SIGTERM, Ctrl-C), and return its exit code."""
        from taskmesh.worker.launch import run_worker

        return run_worker(
            self,
            concurrency,
            pool=pool,
            queues=queues,
            name=name,
            strategy=strategy,
            scheduler=scheduler,
            burst=burst,
            log_level=log_level,
        )
