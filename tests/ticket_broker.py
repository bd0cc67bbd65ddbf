"""A broker of the tests' own, in files: any process finds it, and tests put it into trouble as they like.

As a setting: `broker="tests.ticket_broker:FileBroker?/folder"`. A ticket is a file `<queue>/<number>.waiting`, or
`.out` while somebody has taken it. Files beside the queues make trouble: `away` (nobody answers), `refused` (an
account that may not), `deaf` (connections of before it was made hear nothing). What happens to tickets stands in
`log`, a line each.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskmesh.broker.contract import Ticket
from taskmesh.broker.mesh import MeshBroker
from taskmesh.errors import BrokerRefused, BrokerUnavailable

POLL_S = 0.005


class FileBroker:
    """See `Broker`."""

    def __init__(self, address: str, mesh: str) -> None:
        self.folder = Path(address.partition("?")[2])
        self.folder.mkdir(exist_ok=True, parents=True)
        self.shown = f"files of {mesh}"

    # -- trouble --------------------------------------------------------------------

    def has(self, trouble: str) -> bool:
        return (self.folder / trouble).exists()

    @contextlib.contextmanager
    def in_trouble(self, trouble: str) -> Iterator[None]:
        (self.folder / trouble).touch()
        try:
            yield
        finally:
            (self.folder / trouble).unlink()

    def note(self, *words: str) -> None:
        with (self.folder / "log").open("a") as log:
            log.write(" ".join(words) + "\n")

    def noted(self, what: str) -> int:
        """Return how often that stands in the log."""
        log = self.folder / "log"
        return log.read_text().splitlines().count(what) if log.exists() else 0

    # -- as a broker ------------------------------------------------------------------

    def announce(self, queue: str, count: int = 1) -> None:
        if self.has("away"):
            return
        (self.folder / queue).mkdir(exist_ok=True)
        for _ in range(count):
            (self.folder / queue / f"{time.time_ns():020}-{uuid.uuid4().hex}.waiting").touch()
        self.note("announced", queue)

    def flush(self, timeout_s: float) -> bool:
        return not self.has("away")

    def listen(self, queues: Sequence[str]) -> FileTickets:
        return FileTickets(self, queues)

    def waiting(self, queue: str) -> int | None:
        return None if self.has("away") else len([*(self.folder / queue).glob("*.waiting")])

    def out(self, queue: str) -> int:
        """Return how many tickets are taken and not settled."""
        return len([*(self.folder / queue).glob("*.out")])

    def check(self, queues: Sequence[str] = ()) -> None:
        if self.has("refused"):
            raise BrokerRefused(f"{self.shown}: this account may not listen", broker=self.shown)
        if self.has("away"):
            raise BrokerUnavailable(f"{self.shown}: nobody answers", broker=self.shown)

    def close(self) -> None:
        self.note("closed")


class NoTickets(MeshBroker):
    """One that leaves it to the nodes to wake workers."""

    def __init__(self, address: str, mesh: str) -> None:
        self.shown = f"{address} of {mesh}"


class FileTickets:
    """See `Tickets`."""

    def __init__(self, broker: FileBroker, queues: Sequence[str]) -> None:
        self._broker = broker
        self._queues = tuple(queues)
        self._at_once = 0
        self._out: dict[Path, str] = {}
        self._nudged = threading.Event()
        self._since = time.time()
        self.trouble = ""

    def consume(self, at_once: int) -> None:
        self._at_once = at_once
        self._broker.note("consumes")

    def cancel(self) -> None:
        self._at_once = 0
        self._broker.note("cancels")

    def next(self, timeout_s: float) -> Ticket | None:
        until_s = time.monotonic() + timeout_s
        while True:
            self.trouble = "nobody answers" if self._broker.has("away") else ""
            found = self._take()
            if found is not None or time.monotonic() >= until_s:
                return found
            if self._nudged.wait(POLL_S):
                self._nudged.clear()
                return None

    def _take(self) -> Ticket | None:
        if self.trouble or len(self._out) >= self._at_once or self._is_deaf():
            return None
        for queue in self._queues:
            for ticket in sorted((self._broker.folder / queue).glob("*.waiting")):
                taken = ticket.with_suffix(".out")
                try:
                    ticket.rename(taken)
                except FileNotFoundError:
                    continue  # somebody was faster
                self._out[taken] = queue
                self._broker.note("taken", queue)
                return Ticket(queue, taken)
        return None

    def _is_deaf(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (self._broker.folder / "deaf").stat().st_mtime >= self._since
        return False

    def acknowledge(self, ticket: Ticket) -> None:
        self._broker.note("acknowledged", self._out.pop(ticket.tag))
        ticket.tag.unlink()

    def put_back(self, ticket: Ticket) -> None:
        self._broker.note("put back", self._out.pop(ticket.tag))
        ticket.tag.rename(ticket.tag.with_suffix(".waiting"))

    def renew(self) -> None:
        for taken in [*self._out]:
            self.put_back(Ticket("", taken))
        self._since = time.time()
        self._broker.note("renewed")

    def nudge(self) -> None:
        self._nudged.set()

    def close(self) -> None:
        self.renew()
        self._broker.note("left")
