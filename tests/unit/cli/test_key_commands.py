"""`taskmesh key` without a mesh: the file alone."""

from __future__ import annotations

import json
import stat

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli
from taskmesh.nodes.keyfile import read_key_file


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return what runs a command in an empty folder, with an account of its own, and reads its JSON."""
    monkeypatch.chdir(tmp_path)
    for name in ("TASKMESH_APP", "TASKMESH_KEY", "TASKMESH_KEY_FILE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*words: str, code: int = 0):
        done = CliRunner().invoke(cli, [*words])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if "--json" in words and code == 0 else done

    return run


def test_a_new_key_file_is_for_its_owner_only_and_never_replaced(run, tmp_path):
    made = run("key", "new", "--out", "mesh.key", "--json")
    path = tmp_path / "mesh.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path).active.name == made["id"]
    refused = run("key", "new", "--out", "mesh.key", code=1)
    assert "rotate" in refused.stderr
    assert read_key_file(path).active.name == made["id"]


def test_a_new_key_is_printed_where_no_file_is_named(run):
    done = run("key", "new")
    assert done.stdout.splitlines()[-1].startswith("active ")
    assert "secret" in done.stderr


def test_a_rotation_in_three_steps(run):
    old = run("key", "new", "--out", "k", "--json")["id"]
    file = ("--file", "k", "--json")
    staged = run("key", "rotate", *file)
    assert [row["state"] for row in staged["keys"]] == ["active", "accepted"]
    assert staged["keys"][0]["id"] == old
    assert staged["accepted_by_mesh"] is None
    new = staged["keys"][1]["id"]
    for _ in range(2):  # a repeat does not go back to the old one
        active = run("key", "rotate", "--activate", new, *file)
        assert [(row["id"], row["state"]) for row in active["keys"]] == [(new, "active"), (old, "accepted")]
    for _ in range(2):
        retired = run("key", "retire", old, *file)
        assert [(row["id"], row["state"]) for row in retired["keys"]] == [(new, "active"), (old, "retired")]
    shown = run("key", "id", *file)
    assert (shown["active"], shown["accepted"], shown["retired"]) == (new, [], [old])


def test_what_cannot_be_done_is_refused(run):
    own = run("key", "new", "--out", "k", "--json")["id"]
    assert "active" in run("key", "retire", own, "--file", "k", code=1).stderr
    assert "not an accepted key" in run("key", "retire", "00000000", "--file", "k", code=1).stderr
    assert "no accepted key" in run("key", "rotate", "--activate", "00000000", "--file", "k", code=2).stderr
    assert "taskmesh key new" in run("key", "id", code=1).stderr


def test_a_file_that_cannot_be_written_is_a_failure(run, tmp_path):
    assert "cannot be written" in run("key", "new", "--out", "no/folder/k", code=1).stderr
    (tmp_path / "file").touch()
    assert "cannot be written" in run("key", "new", "--out", "file/k", code=1).stderr


def test_a_text_cannot_be_rotated(run, monkeypatch):
    monkeypatch.setenv("TASKMESH_KEY", "0123456789abcdef")
    assert run("key", "id", "--json")["source"] == "TASKMESH_KEY"
    assert "cannot be rotated" in run("key", "rotate", code=2).stderr


def test_the_secret_is_never_shown(run, tmp_path):
    run("key", "new", "--out", "k")
    secret = read_key_file(tmp_path / "k").active.secret.hex()
    shown = [run("key", "id", "--file", "k"), run("key", "rotate", "--file", "k")]
    assert all(secret not in done.output for done in shown)
