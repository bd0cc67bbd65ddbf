"""What goes wrong is told in one line that says what to do, and by the exit code: 2 wrong usage, 1 failure."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest


@pytest.fixture(scope="module")
def place(served):
    """Return a shell with a node, and an app for each way in which one can be wrong."""
    served.write("raising.py", "import json\njson.loads('{')\n")
    served.write("needy.py", "import no_such_module_anywhere\n")
    served.write("leaving.py", "import sys\nsys.exit('not now')\n")
    served.write("empty.py", "mesh = 3\n")
    served.write("two.py", 'from taskmesh import TaskMesh\na = TaskMesh("a")\nb = TaskMesh("b")\n')
    served.write("private.py", 'from taskmesh import TaskMesh\nmesh = TaskMesh("p", embedded="private")\n')
    served.write("setting.py", 'from taskmesh import TaskMesh\nmesh = TaskMesh("s", max_crash=3)\n')
    return served


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("nomodule:mesh", "no module 'nomodule'"),
        ("no/file.py:mesh", "there is no file"),
        ("app:mash", "it has app:mesh"),
        ("empty:mesh", "is a int, not a TaskMesh"),
        ("two", "two:a, two:b"),
        ("no module", "not of the form module:attribute"),
        ("setting:mesh", "did you mean max_crashes"),
    ],
)
def test_a_wrong_app_is_wrong_usage(place, app, said):
    refused = place.run("status", "-A", app, code=2)
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert refused.out == ""


def test_a_worker_says_the_same(place):
    refused = place.run("worker", "app:mash", code=2)
    assert (
        refused.err
        == "taskmesh worker: app 'app:mash': module app has no attribute 'mash'; it has app:mesh\n"
    )


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("raising:mesh", "json.loads('{')"),
        ("needy:mesh", "no_such_module_anywhere"),
        ("leaving:mesh", "not now"),
    ],
)
def test_an_app_whose_import_fails_shows_its_own_traceback(place, app, said):
    failed = place.run("status", "-A", app, code=1)
    assert f"importing {app!r} failed" in failed.err
    assert said in failed.err
    frames = [line for line in failed.err.splitlines() if line.startswith("  File ")]
    assert f"{app.partition(':')[0]}.py" in frames[0]


def test_the_traceback_of_a_worker_s_app_is_shown_as_well(place):
    failed = place.run("worker", "raising:mesh", code=1)
    assert "json.loads('{')" in failed.err


def test_nothing_said_is_answered_with_what_can_be(place):
    for command in (["purge", "default"], ["call", "add", "1"], ["up"]):
        assert "TASKMESH_APP" in place.run(*command, code=2, TASKMESH_APP="").err


def test_a_private_node_is_no_ones_business(place):
    assert "private" in place.run("status", "-A", "private:mesh", code=2).err


def test_a_node_that_is_down(place):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"redis://127.0.0.1:{free.getsockname()[1]}"
    for command in (["queues", "--mesh", "shop"], ["call", "add", "1"]):
        failed = place.run(*command, code=1, TASKMESH_NODES=address)
        assert address in failed.err
        assert len(failed.err.splitlines()) == 1
    report = place.run("doctor", "--json", code=1, TASKMESH_NODES=address).json
    (check,) = [check for check in report["checks"] if check["level"] == "fail"]
    assert (check["check"], address in check["text"]) == ("node", True)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Return what makes a node that answers everything with the same bytes, and returns its address."""
    listening = []

    def make(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            with suppress(OSError):  # until it is closed
                while True:
                    peer, _ = server.accept()
                    with peer:
                        while peer.recv(4096):
                            peer.sendall(answer)

        Thread(target=serve, daemon=True).start()
        return f"redis://:secret@127.0.0.1:{server.getsockname()[1]}"

    yield make
    for server in listening:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "invalid username-password"),
        (b"-NOAUTH Authentication required.\r\n", "Authentication required"),
        (b"-DENIED Redis is running in protected mode\r\n", "protected mode"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol error"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "Protocol error"),
    ],
)
def test_a_node_that_will_not_have_a_worker(place, answering, answer, said):
    """A worker waits for a node that is not there; this one is, and waiting would change nothing."""
    failed = place.run("worker", code=1, TASKMESH_NODES=answering(answer))
    # it may have waited for an answer before, if this process stood still
    (line,) = (each for each in failed.err.splitlines() if " waits for it, " not in each)
    assert said in line
    assert "secret" not in failed.err


def test_a_stale_socket_of_a_node(place):
    path = place.root / "stale"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    failed = place.run("status", code=1, TASKMESH_NODES=f"unix://{path}")
    assert f"{path} is stale" in failed.err
    assert len(failed.err.splitlines()) == 1
    path.unlink()
    assert "there is no socket" in place.run("status", code=1, TASKMESH_NODES=f"unix://{path}").err


def test_a_key_that_does_not_match(place):
    other = {"TASKMESH_KEY": "not the key of this mesh"}
    for command in (["call", "add", "1"], ["worker"]):
        failed = place.run(*command, code=1, **other)
        assert "accepts the key" in failed.err
        assert "Traceback" not in failed.err
    report = place.run("doctor", "--json", code=1, **other).json
    (check,) = [check for check in report["checks"] if check["level"] == "fail"]
    assert check["check"] == "key accepted"


def test_a_node_beyond_this_machine_wants_a_key(place):
    report = place.run(
        "doctor", "--json", code=1, TASKMESH_NODES="redis://192.0.2.1:6379", TASKMESH_CONNECT_TIMEOUT="0.1"
    ).json
    assert [check["check"] for check in report["checks"] if check["level"] == "fail"] == ["key", "node"]


def test_wrong_settings_are_named(place):
    refused = place.run("config", code=2, TASKMESH_MAX_CRASH="3")
    assert "TASKMESH_MAX_CRASHES" in refused.err
    report = place.run("doctor", "--json", code=1, TASKMESH_MAX_CRASH="3").json
    assert {check["check"] for check in report["checks"] if check["level"] == "fail"} == {"settings"}


def test_config_tells_values_and_sources(place):
    shown = place.run(
        "config", "--json", TASKMESH_MAX_CRASHES="7", TASKMESH_KEY="a secret of some length"
    ).json
    assert shown["mesh"] == "shop"
    assert shown["settings"]["max_crashes"] == {"value": 7, "source": "TASKMESH_MAX_CRASHES"}
    assert shown["settings"]["key"]["value"] == "set"
    assert shown["settings"]["grace"]["source"] == "default"
    assert "TASKMESH_STATE_DIR" in shown["variables"]
    assert "secret" not in place.run("config", TASKMESH_KEY="a secret of some length").out
