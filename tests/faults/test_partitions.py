"""The network falls apart between three acceptors, their candidates, and the node: in the kernel, for real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmesh import TaskMesh
from tests.faults.country import Country
from tests.faults.leaders import KEY, Contender, Contest, environ
from tests.faults.scale import scaled
from tests.faults.server import ALWAYS, Server
from tests.integration.locks.holders import Holder
from tests.support import wait_until

NODE, *ACCEPTORS = range(4)


@pytest.fixture
def country() -> Iterator[Country]:
    """The node in a place of its own, and three more, each with an acceptor and a candidate."""
    country = Country(4)
    yield country
    country.close()


class Divided(Contest):
    """Candidates beside an acceptor each; the leader's place is cut off."""

    def __init__(self, country: Country, servers: list[Server], folder: Path) -> None:
        self._country = country
        self._servers = servers
        self._wire = {"TASKMESH_ACCEPTORS": ",".join(each.url for each in servers[1:])}
        super().__init__(servers[NODE], folder, candidates=3)

    def settings(self) -> dict[str, Any]:
        return {"acceptors": [each.url for each in self._servers[1:]]}

    def contender(self, name: str, server: Server, folder: Path, env: dict[str, str]) -> Contender:
        env = {**env, **self._wire, "TASKMESH_NODES": server.url}
        return Contender("contest", name, server.port, folder, env, self._country.within(place_of(name)))

    def put(self, place: int) -> subprocess.CompletedProcess[str]:
        """Write a small file from a place."""
        words = ["-m", "taskmesh", "files", "put", "--mesh", "contest", "a", "-"]
        return subprocess.run(
            [*self._country.within(place), sys.executable, *words],
            env=environ(TASKMESH_NODES=self._servers[NODE].url, **self._wire),
            input=f"from {place}",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    # -- losing -----------------------------------------------------------------------

    def _pulled(self, old: Contender) -> None:
        self._country.pull(place_of(old.name))

    def _after_pulled(self, old: Contender) -> None:
        self._comes_back(old, lambda: self._country.plug_in(place_of(old.name)))

    def _without_majority(self, old: Contender) -> None:
        """It reaches the node, which takes messages, and the acceptor beside it, and no other."""
        place = place_of(old.name)
        self._country.cut(place, [each for each in ACCEPTORS if each != place])

    def _after_without_majority(self, old: Contender) -> None:
        place = place_of(old.name)
        others = [each for each in ACCEPTORS if each != place]
        refused = self.put(place)
        assert refused.returncode == 1, (refused.stdout, refused.stderr)
        assert "majority" in refused.stderr
        assert self.mesh.files.read("a") is None
        assert self.put(others[0]).returncode == 0
        assert self.mesh.files.read("a").text == f"from {others[0]}"  # type: ignore[union-attr]
        self.mesh.files.delete("a")
        self._comes_back(old, lambda: self._country.mend(place, others))


def started(country: Country, make_server: Callable[..., Server]) -> list[Server]:
    """Start the node and the acceptors, each in its place."""
    return [
        make_server(host=country.host(place), within=country.within(place), fsync=ALWAYS)
        for place in (NODE, *ACCEPTORS)
    ]


def place_of(name: str) -> int:
    """Return where a candidate is."""
    return ACCEPTORS[int(name.removeprefix("c"))]


@pytest.mark.needs_root
def test_a_minority_does_nothing_and_a_majority_goes_on(
    country: Country, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    """The leader is cut off, from the node as well or from other acceptors only: each moment comes once."""
    servers = started(country, make_server)
    contest = Divided(country, servers, tmp_path)
    try:
        for how in ("pulled", "without_majority", *scaled((), ("without_majority", "pulled"))):
            contest.lose(how)
        contest.check()
    finally:
        contest.close()


@pytest.mark.needs_root
def test_who_holds_a_lock_in_a_minority_knows_before_others_have_it(
    country: Country, make_server: Callable[..., Server]
) -> None:
    """It reaches the node and one acceptor of three; when it reaches the others again, it has lost the lock."""
    servers = started(country, make_server)
    acceptors = [each.url for each in servers[1:]]
    own, *others = ACCEPTORS
    env = environ(TASKMESH_ACCEPTORS=",".join(acceptors))
    with TaskMesh("divided", nodes=[servers[NODE].url], acceptors=acceptors, key=KEY) as mesh:
        mesh.files.write("there", "all acceptors are")
        holder = Holder("divided", servers[NODE].url, env, country.within(own))
        try:
            first = holder.ask("acquire", "x", ttl=6, lock_delay=0)
            assert holder.ask("check", "x") == "held"
            country.cut(own, others)
            lock = mesh.lock("x", wait=90)
            assert lock.acquire()
            assert holder.ask("check", "x")["error"] == "LockInJeopardy"
            assert lock.token > first
            country.mend(own, others)
            wait_until(
                lambda: holder.ask("check", "x")["error"] == "LockLost", what="it finds itself replaced"
            )
            assert lock.is_held
        finally:
            holder.close()
