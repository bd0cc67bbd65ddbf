"""Several servers of a test's own, to be the nodes of one mesh, whose processes and disks may be harmed."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.faults.server import NEVER, Server


class Nodes:
    """Servers on loopback, each with its own disk; counted from 0."""

    def __init__(
        self, folder: Path, count: int, *, fsync: str = NEVER, servers: Iterable[Server] = ()
    ) -> None:
        """Start them.

        Args:
            folder: For their data and logs.
            count: How many.
            fsync: See `Server`.
            servers: Some more, which run already, and come first.
        """
        self._servers: list[Server] = list(servers)
        try:
            for at in range(count):
                self._servers.append(Server(folder / f"node-{at}", fsync=fsync))
        except BaseException:
            self.close()
            raise

    @property
    def urls(self) -> list[str]:
        """Their addresses, which stay the same over all their lives."""
        return [server.url for server in self._servers]

    def __len__(self) -> int:
        return len(self._servers)

    def __getitem__(self, at: int) -> Server:
        return self._servers[at]

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers)

    def kill(self, at: int) -> None:
        """Kill one, and wait for that; `start` lets it come back with what is on its disk."""
        self._servers[at].kill()

    def start(self, at: int, *, empty: bool = False) -> None:
        """Start one that was killed.

        Args:
            at: Which.
            empty: Whether its disk is lost.
        """
        if empty:
            self._servers[at].empty_disk()
        self._servers[at].start()

    def stop(self, at: int) -> None:
        """Have one stand still, with all its connections open: `go_on` ends that, as does the end of the test."""
        self._servers[at].send(signal.SIGSTOP)

    def go_on(self, at: int) -> None:
        """Let one go on that stands still."""
        self._servers[at].send(signal.SIGCONT)

    def close(self) -> None:
        """Kill those that live."""
        for server in self._servers:
            server.close()
