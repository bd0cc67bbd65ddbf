"""Operators see who leads and who would lead next, by `status`, on real servers."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli
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
