"""What all commands have in common: help, examples, exit codes, --json, suggestions."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from taskmesh.cli.celery_commands import INSTEAD, INSTEAD_OF_INSPECT
from taskmesh.cli.failure import Failure
from taskmesh.cli.main import SECTIONS, cli
from taskmesh.core.version import VERSION
from taskmesh.errors import ConfigError, KeyMismatch, NodeUnavailable, UnknownTask

SUMMARIES = {name: summary for part in SECTIONS.values() for name, (_, summary) in part.items()}


def leaves(group: click.Group, path: tuple[str, ...] = ()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name)


LEAVES = list(leaves(cli))


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    return command


def test_there_are_commands():
    assert {("worker",), ("status",), ("dead", "retry"), ("key", "rotate"), ("down",)} <= set(LEAVES)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_a_command_shows_an_example_and_its_exit_codes_and_speaks_json(path):
    shown = CliRunner().invoke(cli, [*path, "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert "Exit codes:" in shown.output
    assert "  2 " in shown.output
    assert "--json" in shown.output


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_list_says_what_the_command_says(name):
    """The list is written apart, so that showing it imports no command."""
    first, _, _ = (command_at((name,)).help or "").replace("\n", " ").partition(".")
    assert SUMMARIES[name] == f"{first}."


def test_the_list_imports_no_command():
    code = (
        "import sys; from taskmesh.cli.main import cli; cli.main(['--help'], standalone_mode=False);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stderr.split())
    assert loaded & {"asyncio", "kombu", "redis", "rich", "taskmesh.app", "taskmesh.cli.status"} == set()
    assert "status" in run.stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["statsu"], "status"),
        (["wroker"], "worker"),
        (["dead", "lsit"], "list"),
        (["key", "rotat"], "rotate"),
        (["pause", "images"], "queue pause or schedule pause?"),
        (["resume", "images"], "queue resume or schedule resume?"),
        (["stats"], "inspect stats?"),
        (["retry"], "dead retry?"),
    ],
)
def test_an_unknown_command_is_told_what_was_meant(words, meant):
    run = CliRunner().invoke(cli, words)
    assert run.exit_code == 2
    assert f"did you mean {meant}" in run.stderr


@pytest.mark.parametrize("word", INSTEAD)
def test_a_command_of_celery_is_answered_with_what_there_is(word):
    run = CliRunner().invoke(cli, [word])
    assert run.exit_code == 2
    assert "did you mean" not in run.stderr
    said = " ".join(run.stderr.split())
    assert f"there is no command {word!r}: {INSTEAD[word]}" in said
    named = set(re.findall(r"`taskmesh ([a-z]+)", INSTEAD[word]))
    assert named <= SUMMARIES.keys()


@pytest.mark.parametrize("word", INSTEAD_OF_INSPECT)
def test_a_command_of_celerys_inspect_is_answered_with_what_there_is(word):
    run = CliRunner().invoke(cli, ["inspect", word])
    assert run.exit_code == 2
    assert f"there is no command {word!r}: {INSTEAD_OF_INSPECT[word]}" in " ".join(run.stderr.split())
    assert set(re.findall(r"`taskmesh ([a-z]+)", INSTEAD_OF_INSPECT[word])) <= SUMMARIES.keys()


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["call", "app.add", "--eta", "2030-01-01"], "use --countdown"),
        (["call", "app.add", "--args", "[1]"], "after the task's name"),
        (["inspect", "active", "-d", "one"], "use --worker"),
        (["inspect", "ping", "--destination", "one"], "use --worker"),
        (["inspect", "scheduled", "-d", "one"], "on the node"),
        (["inspect", "stats", "-t", "5"], "leave it out"),
        (["purge", "-f"], "use --yes"),
        (["purge", "-Q", "mail"], "`taskmesh purge QUEUE`"),
        (["worker", "app:mesh", "-q"], "use -l WARNING"),
    ],
)
def test_an_option_of_celery_is_answered_with_what_there_is(words, instead):
    run = CliRunner().invoke(cli, words)
    assert run.exit_code == 2
    said = " ".join(run.stderr.split())
    assert "is an option of Celery and means nothing here" in said
    assert instead in said
    assert "did you mean" not in said.lower()


def test_a_wild_guess_is_answered_without_one():
    run = CliRunner().invoke(cli, ["xyzzy"])
    assert run.exit_code == 2
    assert "there is no command 'xyzzy'" in run.stderr
    assert "did you mean" not in run.stderr


def test_a_file_above_names_the_app_as_seen_from_itself(tmp_path, monkeypatch):
    (tmp_path / "taskmesh.toml").write_text('app = "app_named_by_a_file_above.py:mesh"\n')
    (tmp_path / "app_named_by_a_file_above.py").write_text(
        "from taskmesh import TaskMesh\nmesh = TaskMesh('above')\n"
    )
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setattr(sys, "path", [*sys.path])
    run = CliRunner().invoke(cli, ["config", "--json"])
    assert (run.exit_code, json.loads(run.stdout)["mesh"]) == (0, "above"), run.stderr


def test_up_without_an_app_advises_no_option_that_it_lacks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASKMESH_APP", raising=False)
    run = CliRunner().invoke(cli, ["up"])
    assert (run.exit_code, "-A" in run.stderr, "--mesh" in run.stderr) == (2, True, False)


@pytest.mark.parametrize(
    "variables", [{"TASKMESH_NODES": "redis://127.0.0.1:1"}, {"TASKMESH_EMBEDDED": "private"}]
)
def test_down_has_nothing_to_stop_for_a_mesh_without_an_embedded_node_here(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = CliRunner().invoke(cli, ["down", "--mesh", "shop", "--json"])
    assert run.exit_code == 0, run.stderr
    assert json.loads(run.stdout) == {"stopped": [], "left": []}
    assert "nothing to stop" in run.stderr


def test_the_version():
    run = CliRunner().invoke(cli, ["--version"])
    assert (run.exit_code, run.output) == (0, f"taskmesh {VERSION}\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (UnknownTask("x"), 2),
        (KeyMismatch("x"), 1),
        (NodeUnavailable("x", node="n"), 1),
    ],
)
def test_what_the_caller_can_correct_is_wrong_usage(error, code):
    assert Failure.of(error).exit_code == code


@pytest.mark.parametrize(
    "words",
    [
        ["status", "-A", "app", "--mesh", "shop"],
        ["-A", "app", "status", "--mesh", "shop"],
        ["worker", "app", "-A", "two"],
        ["worker", "app", "--mesh", "shop"],
        ["worker", "app", "--pool", "gevent"],
        ["worker", "app", "--pool", "async:0"],
        ["worker", "app", "--pool", "async:5", "-c", "5"],
        ["worker", "app", "-c", "0"],
        ["worker", "app", "-Q", "no queue"],
        ["worker", "app", "--grace", "-1"],
        ["worker", "app", "-l", "LOUD"],
        ["down", "--all", "--mesh", "shop"],
        ["call", "add", "--kwargs", "x=1"],
        ["status", "--mesh", "no/name"],
        ["dead", "list", "--mesh", "shop", "--limit", "0"],
    ],
)
def test_what_contradicts_itself_is_wrong_usage(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(cli, words)
    assert run.exit_code == 2
    assert run.stderr
    assert run.stdout == ""


def test_celerys_name_of_the_scheduler_means_it():
    shown = CliRunner().invoke(cli, ["beat", "--help"])
    assert shown.exit_code == 0
    assert "Stand for leader" in shown.output
