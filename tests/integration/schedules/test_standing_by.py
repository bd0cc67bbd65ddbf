"""Operators see who leads and who would lead next, by `status`, on real servers."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli
from taskmesh.coordination import candidates
from taskmesh.coordination.candidacy import LOOK_S
from taskmesh.coordination.candidates import STAND_BACK_S, STAND_BY_MAX, TELL_S
from taskmesh.coordination.leader import Candidate
from taskmesh.scheduler import candidate, teller
from taskmesh.scheduler.teller import Teller
from tests.support import wait_until


@pytest.fixture
def schedulers(mesh, monkeypatch, tmp_path):
    """Return what `taskmesh status` tells of those who stand: (name, whether it leads), the leader first."""
    mesh.link.open()
    monkeypatch.setenv("TASKMESH_NODES", ",".join(mesh.settings.nodes))
    monkeypatch.setenv("TASKMESH_KEY", mesh.settings.key)
    monkeypatch.chdir(tmp_path)

    def ask():
        told = CliRunner().invoke(cli, ["status", "--json", "--mesh", mesh.name])
        assert told.exit_code == 0, told.output
        return [(each["name"], each["leads"]) for each in json.loads(told.stdout)["schedulers"]]

    return ask


def test_a_status_shows_whether_anybody_stands_by(mesh, stand, schedulers):
    first = stand("ann")
    wait_until(lambda: schedulers() == [("ann", True)])
    stand("bob")
    wait_until(lambda: schedulers() == [("ann", True), ("bob", False)])
    wait_until(lambda: "ann leads, bob stands by" in told_in_words(mesh))
    first.join(90)
    wait_until(lambda: schedulers() == [("bob", True)])
    wait_until(lambda: "bob leads, nobody stands by" in told_in_words(mesh))


def told_in_words(mesh) -> str:
    return CliRunner().invoke(cli, ["status", "--mesh", mesh.name]).stdout


def test_of_a_large_fleet_so_many_stand_by(mesh, schedulers, monkeypatch):
    # what was said counts until the test is over, however busy the machine is
    monkeypatch.setattr(candidates, "COUNTS_S", 3600.0)
    tellers = [
        Teller(mesh.link, Candidate(f"{at:016x}", f"n{at}", f"host-{at}:1"), lambda: False)
        for at in range(STAND_BY_MAX + 4)
    ]
    for each in tellers:
        each.tell()
    assert len(schedulers()) == STAND_BY_MAX + 4
    waits = [each.turn() for each in tellers]
    assert waits[:STAND_BY_MAX] == [TELL_S] * STAND_BY_MAX
    assert all(STAND_BACK_S / 2 <= wait_s <= 2 * STAND_BACK_S for wait_s in waits[STAND_BY_MAX:])
    assert {name for name, _ in schedulers()} == {f"n{at}" for at in range(STAND_BY_MAX)}
    mesh.link.run(candidates.withdraw(mesh.link.session, [f"{0:016x}"]))
    assert [each.turn() == TELL_S for each in tellers[-2:]] == [True, False]


def test_who_stands_back_looks_seldom_until_it_is_needed(mesh, stand, schedulers, monkeypatch):
    back_s = 1.0
    monkeypatch.setattr(candidates, "OF_HOST_MAX", 1)
    monkeypatch.setattr(candidate, "LOOK_BACK_S", back_s)
    monkeypatch.setattr(teller, "STAND_BACK_S", 0.2)
    first = stand("ann")
    wait_until(lambda: schedulers() == [("ann", True)])
    second = stand("bob")
    wait_until(lambda: schedulers() == [("ann", True), ("bob", False)])
    third = stand("cid")
    wait_until(lambda: third._candidacy is not None and third._candidacy.look_s == back_s)
    wait_until(lambda: schedulers() == [("ann", True), ("bob", False)])
    second.join(90)
    wait_until(lambda: schedulers() == [("ann", True), ("cid", False)])
    wait_until(lambda: third._candidacy.look_s == LOOK_S)
    first.join(90)
    wait_until(lambda: schedulers() == [("cid", True)])
