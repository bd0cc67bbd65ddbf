"""A node that belongs to one test: a real server on loopback, whose process, disk and limits may be harmed."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.server_binary import find_server
from tests.support import wait_until

ALWAYS, NEVER = "always", "no"


#: Outgoing connections get theirs above these: a server that is started anew would find its own taken by one of them.
PORTS = range(10_000, max(20_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])))
#: Processes that share the tests take theirs from so many parts, each from its own.
PARTS = 16


def _own_ports() -> Iterator[int]:
    # not by `random`, which is seeded alike for the same test in each process
    at = random.SystemRandom().randrange(len(PORTS))
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
    while True:
        at += 1
        yield PORTS[(at * PARTS + part) % (len(PORTS) // PARTS * PARTS)]


_ports = _own_ports()


def free_port() -> int:
    """Return a port on which nobody listens now, another one each time."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise AssertionError("ports go round")


class Server:
    """One server; its disk outlives its processes.

    Attributes:
        host: Where it listens: loopback, if nothing else is said.
        port: The same over all its lives.
        disk: The folder with its data.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: str = NEVER,
        env: dict[str, str] | None = None,
        files: int = 0,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        """Start it.

        Args:
            folder: For its data and log.
            fsync: When its append-only file is flushed: `no` survives the death of any process, `always` more.
            env: Further variables of its environment.
            files: How many files it may open; 0 leaves that alone.
            host: Where it listens.
            within: Words before its command, which have it run in a place of its own.
        """
        try:
            self._binary = find_server()
        except ServerBinaryMissing as error:
            pytest.skip(str(error))
        self.host, self.port = host, free_port()
        self._within = within
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True, exist_ok=True)
        self._log = folder / "server.log"
        self._fsync = fsync
        self._env = env or {}
        self._files = files
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def said(self) -> str:
        """Return what it has logged."""
        return self._log.read_text("utf-8", "replace")

    # -- its life -----------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it has loaded its data and answers."""
        self.try_to_start()
        wait_until(self._answers, what=f"the server answers; it said:\n{self.said()}")

    def try_to_start(self) -> None:
        """Start it, whatever comes of that."""
        settings = {
            "port": str(self.port),
            "bind": self.host,
            "protected-mode": "no",
            "dir": str(self.disk),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "aof-load-truncated": "no" if self._fsync == ALWAYS else "yes",
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._within, *self._limited(), str(self._binary), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._env},
            )

    def _limited(self) -> list[str]:
        """Return what stands before its command so that it may open few files only."""
        return ["sh", "-c", f'ulimit -n {self._files}; exec "$@"', "sh"] if self._files else []

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def client(self) -> Redis:
        """Return a connection for looking and for doing harm; nothing is retried."""
        return Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), protocol=2, socket_timeout=10)

    def ended(self, timeout_s: float = 90.0) -> int:
        """Wait until its process has ended, and return the exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """Kill it, and wait for that."""
        self.send(signal.SIGKILL)
        self.ended()

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        """Kill it if it lives."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    # -- its disk -----------------------------------------------------------------

    def copy_disk(self, to: Path) -> None:
        """Copy what stands on its disk now, as a backup would. It must not write meanwhile."""
        shutil.copytree(self.disk, to)

    def put_disk(self, copy: Path) -> None:
        """Have an older disk in place of its own. It must not run."""
        shutil.rmtree(self.disk)
        shutil.copytree(copy, self.disk)

    def empty_disk(self) -> None:
        """Take away all that stands on its disk. It must not run."""
        shutil.rmtree(self.disk)
        self.disk.mkdir()

    def appended(self) -> Path:
        """Return the file to which commands are appended."""
        (found,) = self.disk.glob("appendonlydir/*.incr.aof")
        return found
