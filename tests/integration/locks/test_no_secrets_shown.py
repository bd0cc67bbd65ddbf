"""Whatever a command says, in words or as JSON, about a mesh that answers or one that refuses: no key, no password."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import redis
from click.testing import CliRunner

from taskmesh import TaskMesh
from taskmesh.cli.main import SECTIONS, cli

PASSWORD = "pw-hunter2-of-the-node"
WRONG = "pw-hunter2-which-is-wrong"
KEY = "key-hunter2-of-the-mesh-0123456789"
BROKER = "pw-hunter2-of-the-broker"

#: Every command that ends by itself, with what it needs.
LOOKS = [
    ["status"], ["queues"], ["workers"], ["leader"], ["inspect"], ["result", "no-such-task"], ["nodes"], ["doctor"],
    ["config"], ["queue", "list"], ["task", "list"], ["schedule", "list"], ["revoke", "no-such-task"],
    ["purge", "default", "--yes"], ["dead", "list"], ["lock", "list"], ["files", "list"], ["transaction", "list"],
    ["acceptors"], ["key", "show"], ["ring", "--nodes", "3"], ["call", "shop.add", "1"], ["probe"],
]  # fmt: skip
#: Those that go on until somebody ends them, and what ends what others use.
LASTING = {"demo", "worker", "up", "scheduler", "events", "top", "down"}


@pytest.fixture
def address(url):
    """Return what makes the address of the node, with a user who has a password, with some password."""
    node = redis.Redis.from_url(url)
    node.execute_command("ACL", "SETUSER", "shop", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    place = urlsplit(url)
    yield lambda password: f"unix://shop:{password}@{place.path}"
    node.execute_command("ACL", "DELUSER", "shop")
    node.close()


def test_the_list_has_every_command():
    assert {words[0] for words in LOOKS} | LASTING >= {name for part in SECTIONS.values() for name in part}


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_no_command_tells_the_key_or_a_password(address, monkeypatch, password):
    name = "told"
    for variable, value in {
        "TASKMESH_NODES": address(password),
        "TASKMESH_KEY": KEY,
        "TASKMESH_BROKER": f"memory://user:{BROKER}@host",
        "TASKMESH_SEND_TIMEOUT": "0.5",
    }.items():
        monkeypatch.setenv(variable, value)
    if password == PASSWORD:
        with TaskMesh(name, send_timeout=60) as mesh:
            mesh.task(name="shop.add")(print).delay(1)
    for words in LOOKS:
        for more in ([], ["--json"]):
            done = CliRunner().invoke(cli, [*words, "--mesh", name, *more])
            assert "hunter2" not in done.output, words
            assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_worker_tells_the_password_that_is_refused(address, form):
    words = ["worker", "--mesh", "told", "--log-format", form, "-l", "DEBUG"]
    done = subprocess.run(
        [sys.executable, "-m", "taskmesh", *words],
        env={"TASKMESH_NODES": address(WRONG), "TASKMESH_KEY": KEY, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "refuses" in done.stderr or "unix://" in done.stderr
    if form == "json":
        import json

        assert all(json.loads(line)["message"] for line in done.stderr.splitlines())
