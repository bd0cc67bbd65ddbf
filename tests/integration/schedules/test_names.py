"""The end of a schedule's name is enough for a command, where only one schedule ends so."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from taskmesh import TaskMesh, every
from taskmesh.cli.main import cli


@pytest.fixture
def run(mesh: TaskMesh, monkeypatch: pytest.MonkeyPatch):
    """Run a command about schedules of the mesh, of which two end in `tick` and one in `tock`."""
    task = mesh.task(name="shop.add")(lambda: 3)
    for name in ("one.tick", "two.tick", "one.tock", "tock.tock.x", "alone"):
        mesh.schedule(name, every("1h"), task.s())
    monkeypatch.setenv("TASKMESH_NODES", mesh.settings.nodes[0])
    monkeypatch.setenv("TASKMESH_KEY", mesh.settings.key)

    def command(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["schedule", *words, "--mesh", mesh.name])
        assert done.exit_code == code, done.output
        return done.output if code else done.stdout

    return command


def test_the_end_of_a_name_is_enough_for_every_command(run, mesh: TaskMesh):
    assert json.loads(run("show", "tock", "--json"))["name"] == "one.tock"
    assert "next firings of one.tock" in run("next", "tock")
    assert "schedule one.tock is paused" in run("pause", "tock")
    assert "schedule one.tock is resumed" in run("resume", "tock")
    assert json.loads(run("run-now", "tock", "--json"))["schedule"] == "one.tock"
    assert "schedule one.tock is removed" in run("remove", "tock")
    assert {view.name for view in mesh.schedules.list()} == {"one.tick", "two.tick", "tock.tock.x", "alone"}


@pytest.mark.parametrize("verb", ["show", "next", "pause", "resume", "run-now", "remove"])
def test_where_several_end_so_they_are_named(run, mesh: TaskMesh, verb: str):
    assert "several schedules end in 'tick': one.tick, two.tick" in run(verb, "tick", code=2)
    assert len(mesh.schedules.list()) == 5


def test_a_whole_name_is_that_and_an_unknown_one_is_refused_as_it_was_given(run, mesh: TaskMesh):
    mesh.schedule("one.alone", every("1h"), mesh.tasks["shop.add"].s())
    assert json.loads(run("show", "alone", "--json"))["name"] == "alone"
    assert "no schedule 'nosuch'" in run("show", "nosuch", code=2)
    assert "nosuch did not exist" in run("remove", "nosuch")
