"""Processes that run find the registers again: after everything was lost, and after they slept through changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.scheduler.candidate import Standing
from tests.faults.server import Server
from tests.integration.agreement.registers import read, write
from tests.support import wait_until


@pytest.fixture
def appender(make_acceptors, data_node, tmp_path: Path) -> Iterator[tuple[list[Server], Path]]:
    """Have a process of its own append to a register all the time; returns the acceptors and its log."""
    servers = make_acceptors(3)
    log, stop = tmp_path / "log", tmp_path / "stop"
    urls = ",".join(server.url for server in servers)
    words = ["-m", "tests.integration.agreement.appender", data_node.url, urls, "1", str(log), str(stop)]
    process = subprocess.Popen([sys.executable, *words])
    yield servers, log
    stop.touch()
    assert process.wait(90) == 0


def done(log: Path) -> int:
    return log.read_text().count('"outcome": "ok"') if log.exists() else 0


def goes_on(log: Path) -> None:
    before = done(log)
    wait_until(lambda: done(log) >= before + 3, what="the process goes on")


def empty(*servers: Server) -> None:
    for server in servers:
        server.kill()
        server.empty_disk()
        server.start()


def test_a_running_process_finds_what_was_made_anew_after_a_total_loss(appender, make_mesh):
    servers, log = appender
    goes_on(log)
    empty(*servers)
    assert AcceptorCare(make_mesh(servers).agreement).readmit().number == 1
    goes_on(log)


def test_a_running_process_finds_what_a_readmission_went_on_with(appender, make_mesh):
    servers, log = appender
    goes_on(log)
    empty(*servers[:2])
    assert AcceptorCare(make_mesh(servers).agreement).readmit().number == 3
    goes_on(log)


def test_who_slept_through_several_changes_asks_the_data_node(make_acceptors, make_mesh):
    """Nobody is left of those it knew, nor of those that came after them."""
    first, second, third = (make_acceptors(3) for _ in range(3))
    sleeper = make_mesh(first)
    write(sleeper, "file/a", b"1")
    care = AcceptorCare(make_mesh(first).agreement)
    for servers, gone in ((second, first), (third, second)):
        care.change([server.url for server in servers])
        for server in gone:
            server.kill()
    assert read(sleeper, "file/a") == b"1"
    assert write(sleeper, "file/a", b"2") > 1
    assert sorted(sleeper.agreement.registers.chain.addresses) == sorted(server.url for server in third)


def test_somebody_leads_again_after_a_total_loss(make_acceptors, make_mesh):
    """With a token that is greater: the data node knows the last one."""
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    standing = Standing(mesh.link, mesh.agreement, "cat").start()
    try:
        wait_until(lambda: standing.tenure is not None, what="it leads")
        before = standing.tenure
        empty(*servers)
        AcceptorCare(make_mesh(servers).agreement).readmit()
        wait_until(lambda: standing.tenure not in (None, before), what="it leads again")
        assert standing.tenure.token > before.token
    finally:
        standing.stop()
        standing.join(90)
