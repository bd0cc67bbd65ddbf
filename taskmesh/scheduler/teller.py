"""A candidate says on the nodes that it stands by, so that people see who leads, and whether anybody would.

In a large fleet only some do; the others stand back, and look seldom whether they are needed.

In a thread of its own: a node that stands still is waited for, and the election must not be.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Self, TypeVar

from taskmesh.coordination.candidates import (
    STAND_BACK_S,
    TELL_S,
    heard,
    is_needed,
    outdated,
    read_notes,
    tell,
    withdraw,
)
from taskmesh.errors import TaskMeshError

if TYPE_CHECKING:
    from taskmesh.coordination.leader import Candidate
    from taskmesh.core.steps import Session, Steps
    from taskmesh.nodes.address import NodeAddress
    from taskmesh.nodes.link import Link

T = TypeVar("T")

log = logging.getLogger("taskmesh.scheduler")
#: How long a node may take.
NODE_S = 1.0
#: How often whoever leads has the nodes forget candidates that are no more.
FORGET_S = 60.0
#: How long the end waits until the nodes know of it.
LAST_WORDS_S = 0.3


class Teller:
    """Tells the nodes of one candidate.

    Attributes:
        stands_back: Whether enough others stand by.
    """

    def __init__(self, link: Link, candidate: Candidate, leads: Callable[[], bool]) -> None:
        """Prepare; `start` begins.

        Args:
            link: To the mesh.
            candidate: Of whom.
            leads: Whether it leads, and its lease lasts.
        """
        self._link = link
        self._candidate = candidate
        self._leads = leads
        self._news = threading.Event()
        self._is_ending = False
        self._told = False
        self._stands_by = self.stands_back = False
        self._chance = Random(candidate.id)  # noqa: S311 - nobody gains by guessing it
        self._forget_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="taskmesh-candidate-tells", daemon=True)

    def start(self) -> Self:
        """Begin, and return this."""
        self._thread.start()
        return self

    def look(self) -> None:
        """Have it told at once if the lead has changed."""
        if self._leads() != self._told:
            self._news.set()

    def end(self) -> None:
        """Say that it stands no more."""
        self._is_ending = True
        self._news.set()
        self._thread.join(LAST_WORDS_S)

    def tell(self) -> None:
        """Say that it stands by, or leads."""
        self._told = self._leads()
        self._stands_by = True
        self._at_each(lambda session: tell(session, self._candidate, leads=self._told))

    def turn(self) -> float:
        """Stand by, if too few others do, and say so; return after how many seconds to look again."""
        self.stands_back = not self._leads() and not self._is_needed()
        if not self.stands_back:
            self.tell()
            return TELL_S
        if self._stands_by:
            self._stands_by = self._told = False
            self._withdraw()
        return STAND_BACK_S * self._chance.uniform(0.5, 1.5)

    def _run(self) -> None:
        try:
            while not self._is_ending:
                wait_s = self.turn()
                if self._told and time.monotonic() >= self._forget_at_s:
                    self._forget_at_s = time.monotonic() + FORGET_S
                    self._at_each(_forget)
                self._news.wait(wait_s)
                self._news.clear()
            if self._stands_by:
                self._withdraw()
        except Exception:
            log.exception("%s is a candidate, but nobody is told of it any more", self._candidate.name)

    def _is_needed(self) -> bool:
        """Ask the first node that answers, each candidate another one."""
        nodes = list(self._link.nodes)
        for node in self._chance.sample(nodes, len(nodes)):
            found = self._at(
                node,
                lambda session: is_needed(
                    session, self._candidate, self._chance.random, has_told=self._stands_by
                ),
            )
            if found is not None:
                return found
        return True

    def _withdraw(self) -> None:
        self._at_each(lambda session: withdraw(session, [self._candidate.id]))

    def _at_each(self, make: Callable[[Session], Steps[None]]) -> None:
        for node in self._link.nodes:
            self._at(node, make)

    def _at(self, node: str, make: Callable[[Session], Steps[T]]) -> T | None:
        """Hold a conversation with a node; return None if it does not answer."""
        try:
            link = self._link.at(node)
            if not _is_down(link.driver.address):
                return link.run(make(self._link.session), within_s=NODE_S)
        except TaskMeshError as error:
            log.debug("node %s is not told who stands for leader: %s", node or "1", error)
        return None


def _is_down(address: NodeAddress) -> bool:
    """Tell whether this is an embedded node that does not run: one that somebody took down is not started for this."""
    return bool(address.embedded) and not Path(address.url.removeprefix("unix://")).exists()


def _forget(session: Session) -> Steps[None]:
    old = outdated(read_notes((yield from heard(session))), session.now_ms())
    if old:
        yield from withdraw(session, old)
