"""`taskmesh queue weight` and `taskmesh task rate-limit`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli


@pytest.fixture
def run(data_node, make_acceptors, make_mesh, monkeypatch: pytest.MonkeyPatch):
    """Run a command about a mesh with one acceptor, and return what it printed."""
    (acceptor,) = make_acceptors(1)
    make_mesh([acceptor]).link.open()
    monkeypatch.setenv("TASKMESH_NODES", data_node.url)
    monkeypatch.setenv("TASKMESH_KEY", "0" * 32)
    monkeypatch.setenv("TASKMESH_ACCEPTORS", acceptor.url)

    def command(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, [*words, "--mesh", "agreed"])
        assert done.exit_code == code, done.output
        return done.output if code else done.stdout

    return command


def document(output: str) -> Any:
    return json.loads(output)


def test_a_queue_is_weighed_shown_and_weighs_what_it_did(run):
    assert document(run("queue", "weight", "mail", "3", "--json")) == {
        "queue": "mail",
        "weight": 3,
        "changed": True,
    }
    assert "weighs 3" in run("queue", "weight", "mail")
    (row,) = document(run("queues", "--json"))
    assert (row["queue"], row["weight"]) == ("mail", 3)
    assert "weight" in run("queues")
    assert document(run("queue", "weight", "mail", "--reset", "--json"))["changed"]
    assert "no other weight is set" in run("queue", "weight", "mail")
    assert document(run("queues", "--json")) == []


def test_a_queue_that_is_forgotten_loses_its_weight(run):
    run("queue", "weight", "mail", "3")
    assert document(run("queue", "forget", "mail", "--json"))["forgotten"] == ["mail"]
    assert document(run("queues", "--json")) == []


def test_a_weight_that_is_none_is_refused(run):
    assert "1<=x<=1000" in run("queue", "weight", "mail", "0", code=2)
    assert "or --reset" in run("queue", "weight", "mail", "2", "--reset", code=2)


def test_a_task_is_limited_shown_and_goes_by_its_code_again(run):
    assert document(run("task", "rate-limit", "app.add", "10", "--json")) == {
        "task": "app.add",
        "rate_limit": "10/s",
        "changed": True,
    }
    assert document(run("task", "rate-limit", "--json")) == [{"task": "app.add", "rate_limit": "10/s"}]
    assert "10/s at most, by all workers together" in run("task", "rate-limit", "app.add")
    assert "as often as it can" in run("task", "rate-limit", "app.add", "none")
    assert "no other limit is set" in run("task", "rate-limit", "app.add", "--reset")
    assert "no task of mesh agreed" in run("task", "rate-limit")


def test_a_limit_that_is_none_is_refused(run):
    assert "expected a text such as '100/s'" in run("task", "rate-limit", "app.add", "fast", code=2)
    assert "Name it" in run("task", "rate-limit", "--reset", code=2)
