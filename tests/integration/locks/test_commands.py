"""`taskmesh lock` and `taskmesh files`, on a real node."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli
from taskmesh.errors import LockError

#: A short lease that outlives a machine which stands still for some seconds.
TTL_S = 8.0


@pytest.fixture
def run(mesh, url, monkeypatch):
    """Run a command about the mesh of this test."""
    monkeypatch.setenv("TASKMESH_NODES", url)
    mesh.link.open()

    def command(*words: str, given: bytes = b"", code: int = 0) -> str:
        result = CliRunner().invoke(cli, [*words, "--mesh", mesh.name], input=given)
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.output

    return command


def test_transactions_are_listed_and_shown(mesh, run):
    assert json.loads(run("transaction", "list", "--json")) == []
    task = mesh.task(name="add")(lambda a, b: a + b)
    with mesh.transaction("pay-7") as tx:
        handle = task.delay(1, 2)
        tx.write("orders/7", "paid")
    (found,) = json.loads(run("transaction", "list", "--json"))
    assert [found[name] for name in ("id", "state", "messages", "files", "locks")] == [
        "pay-7",
        "done",
        1,
        1,
        0,
    ]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found["since"])) < timedelta(minutes=10)
    assert "at_ms" not in found
    assert "pay-7" in run("transaction", "list")
    assert run("transaction", "show", "pay-7").splitlines()[1:] == [
        "messages: 1, files: 1, locks: 0",
        handle.id,
    ]
    assert json.loads(run("transaction", "show", "pay-7", "--json")) == found
    assert "transaction pay-8 is not known" in run("transaction", "show", "pay-8", code=2)


def test_locks_are_listed_and_broken(mesh, other, run):
    assert json.loads(run("lock", "list", "--json")) == []
    lock = mesh.lock("x", ttl=TTL_S)
    lock.acquire()
    told = threading.Event()
    lock.on_jeopardy(lambda error: told.set())
    other.semaphore("s", 3).acquire()
    found = json.loads(run("lock", "list", "--json"))
    assert [(one["kind"], one["name"], one["permits"]) for one in found] == [
        ("lock", "x", 1),
        ("semaphore", "s", 3),
    ]
    assert found[0]["holders"][0]["token"] == lock.token
    assert str(lock.token) in run("lock", "list")
    assert "taken away from 1 holder" in run("lock", "break", "x", "--no-delay")
    assert other.lock("x").acquire(wait=0)
    # the holder learns of it with its next renewal
    assert told.wait(90)
    with pytest.raises(LockError, match="taken away by `taskmesh lock break`"):
        lock.check()
    assert "nobody holds election x" in run("lock", "break", "x", "--kind", "election")


def test_a_lock_that_is_broken_is_free_after_its_delay_only(mesh, other, run):
    mesh.lock("x", ttl=TTL_S).acquire()
    run("lock", "break", "x")
    assert not other.lock("x").acquire(wait=0)
    assert "(lost)" in run("lock", "list")
    assert other.lock("x").acquire(wait=90)


def test_files_are_written_shown_and_deleted(mesh, run):
    assert "is at version" in run("files", "put", "config/a", given=b"rate=5\n")
    assert run("files", "cat", "config/a") == "rate=5\n"
    file = json.loads(run("files", "cat", "config/a", "--json"))
    assert (file["text"], file["size"], file["fence"]) == ("rate=5\n", 7, 0)
    assert [found["path"] for found in json.loads(run("files", "ls", "config/", "--json"))] == ["config/a"]
    assert "config/a" in run("files", "ls")
    assert "not at version 0" in run("files", "put", "config/a", "--if-version", "0", given=b"x", code=1)
    assert "deleted" in run("files", "rm", "config/a", "--if-version", str(file["version"]))
    assert "there was no file" in run("files", "rm", "config/a")
    assert "there is no file config/a" in run("files", "cat", "config/a", code=1)


def test_an_operator_names_a_token_too(mesh, run):
    mesh.files.write("a", b"\xff", fence=7)
    assert "--fence" in run("files", "put", "a", given=b"2", code=1)
    run("files", "put", "a", "--fence", "8", given=b"2")
    assert mesh.files.read("a").fence == 8


def test_what_is_too_large_for_a_file_is_not_measured(mesh, run):
    told = run("files", "put", "a", given=b"x" * 100_000, code=2)
    assert "more than 65536 bytes" in told
    assert mesh.files.read("a") is None


def test_a_file_that_is_no_text_is_shown_as_it_is(mesh, run):
    mesh.files.write("a", b"\xff\x00")
    assert json.loads(run("files", "cat", "a", "--json"))["base64"] == "/wA="


def test_watching_prints_a_document_a_line(mesh, run, monkeypatch):
    mesh.files.write("a", b"1")
    lines = []

    def echo(text: str = "", *, err: bool = False) -> None:
        if err:
            return  # the end of the line that Ctrl-C left
        lines.append(json.loads(text))
        if lines[-1]["kind"] == "deleted":
            raise KeyboardInterrupt
        mesh.files.delete("a")

    monkeypatch.setattr("taskmesh.cli.files.click.echo", echo)
    run("files", "watch", "--json", code=130)
    assert [(line["kind"], line["path"]) for line in lines] == [("written", "a"), ("deleted", "a")]
    assert lines[0]["file"]["text"] == "1"
