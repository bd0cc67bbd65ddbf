"""`taskmesh acceptors`, `taskmesh nodes`, and what `taskmesh doctor` says of acceptors."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli
from tests.faults.server import NEVER, Server
from tests.integration.agreement.registers import read, write, write_at


@pytest.fixture
def command(data_node: Server, monkeypatch: pytest.MonkeyPatch, make_mesh) -> Callable[..., tuple[int, str]]:
    """Run a command about the mesh, with the acceptors that are given."""

    def run(acceptors: list[Server], *words: str) -> tuple[int, str]:
        monkeypatch.setenv("TASKMESH_NODES", data_node.url)
        monkeypatch.setenv("TASKMESH_KEY", "0" * 32)
        monkeypatch.setenv("TASKMESH_ACCEPTORS", ",".join(server.url for server in acceptors))
        done = CliRunner().invoke(cli, [*words, "--mesh", "agreed"])
        return done.exit_code, done.output

    return run


def listed(command: Callable[..., tuple[int, str]], acceptors: list[Server]) -> list[dict[str, Any]]:
    code, output = command(acceptors, "acceptors", "list", "--json")
    assert code == 0
    return json.loads(output)


def test_the_list_tells_of_each(command, make_acceptors, make_mesh):
    servers = [*make_acceptors(2), *make_acceptors(1, fsync=NEVER)]
    write(make_mesh(servers), "file/a", b"1")
    servers[1].kill()
    first, second, third = listed(command, servers)
    assert (first["address"], first["takes_part"], first["member"]) == (servers[0].url, True, True)
    assert (first["keeps"], first["survives"]) == ("append-only file, fsync always", "power")
    assert (first["maxmemory_policy"], first["configuration"], first["unsafe"]) == ("noeviction", 1, [])
    assert (second["takes_part"], second["why_not"]) == (False, "it does not answer")
    assert third["survives"] == "process"
    assert {"what": "appendfsync no", "remedy": "CONFIG SET appendfsync always"} in third["unsafe"]
    code, output = command(servers, "acceptors", "list")
    assert code == 0
    assert "no: it does not answer" in output
    code, output = command(servers, "nodes", "--json")
    assert [each["address"] for each in json.loads(output)["acceptors"]] == [s.url for s in servers]


def test_a_server_that_forbids_to_be_asked_is_told_of(command, make_acceptors, make_mesh):
    servers = make_acceptors(1)
    write(make_mesh(servers), "file/a", b"1")
    with servers[0].client() as client:
        client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-config"])
    (only,) = listed(command, servers)
    assert "CONFIG GET is forbidden" in only["unsafe"][0]["what"]


def test_a_look_makes_nothing(command, make_acceptors, make_mesh, data_node):
    servers = make_acceptors(1)
    make_mesh(servers).link.open()
    (only,) = listed(command, servers)
    assert (only["instance"], only["takes_part"], only["why_not"]) == ("", False, "not used yet")
    for words in (("acceptors", "list"), ("nodes",)):
        assert "not used yet" in command(servers, *words)[1]
    assert '"not used yet"' in command(servers, "doctor", "--json")[1]
    for server in (data_node, *servers):
        with server.client() as client:
            assert not [*client.keys("tm:agreed:ac:*"), *client.keys("tm:agreed:seat")]


def test_doctor_says_what_is_unsafe_with_the_remedy(command, make_acceptors, make_mesh):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"1")
    with servers[1].client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    servers[2].kill()
    checks = {each["check"]: each for each in json.loads(command(servers, "doctor", "--json")[1])["checks"]}
    assert checks[f"acceptor {servers[0].url}"]["level"] == "ok"
    assert checks[f"acceptor {servers[1].url}"]["remedy"] == "CONFIG SET maxmemory-policy noeviction"
    assert checks[f"acceptor {servers[2].url}"]["level"] == "warn"
    servers[1].kill()
    checks = {each["check"]: each for each in json.loads(command(servers, "doctor", "--json")[1])["checks"]}
    assert checks[f"acceptor {servers[2].url}"]["level"] == "fail"
    assert "1 of 3 acceptors take part, and 2 must" in checks["agreement"]["text"]
    assert "`taskmesh doctor` says how to go on" in command(servers, "schedule", "list")[1]
    assert (
        f"readmit --accept-loss --lost {servers[1].url} --lost {servers[2].url}"
        in checks["agreement"]["remedy"]
    )


def test_all_that_is_unsafe_is_said_with_the_remedy(command, make_acceptors, make_mesh, caplog):
    """At the first start, by doctor and by nodes."""
    (server,) = servers = make_acceptors(1)
    unsafe = {
        "appendonly": "no",
        "appendfsync": "everysec",
        "no-appendfsync-on-rewrite": "yes",
        "maxmemory-policy": "allkeys-lru",
    }
    safe = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
    safe["maxmemory-policy"] = "noeviction"
    for at, (name, value) in enumerate(unsafe.items()):
        with server.client() as client:
            client.config_set(name, value)
        remedy = f"CONFIG SET {name} {safe[name]}"
        if not at:
            write(make_mesh(servers), "file/a", b"1")
            assert f"{name} {value}; remedy: {remedy}" in caplog.text
        doctor = command(servers, "doctor", "--json")[1]
        nodes = json.loads(command(servers, "nodes", "--json")[1])["acceptors"][0]["unsafe"]
        assert remedy in doctor
        assert {"what": f"{name} {value}", "remedy": remedy} in [
            {"what": each["what"].partition(":")[0], "remedy": each["remedy"]} for each in nodes
        ]
        with server.client() as client:
            client.config_set(name, safe[name])


def test_acceptors_come_and_go(command, make_acceptors, make_mesh):
    write(make_mesh([]), "file/a", b"1")
    servers = make_acceptors(5)
    urls = [server.url for server in servers]
    code, output = command(servers[:3], "acceptors", "move", "--json")
    assert (code, json.loads(output)["acceptors"]) == (0, urls[:3])
    assert command(servers[:3], "acceptors", "add", urls[3])[0] == 2
    assert command(servers[:3], "acceptors", "add", *urls[3:])[0] == 0
    assert len(listed(command, servers)) == 5
    code, output = command(servers, "acceptors", "remove", urls[0], urls[1])
    assert (code, output) == (0, f"configuration 4: {', '.join(urls[2:])}\n")
    assert command(servers, "acceptors", "remove", urls[0])[0] == 2
    code, output = command(servers, "acceptors", "replace", urls[2], urls[0], "--json")
    assert json.loads(output)["acceptors"] == [urls[0], *urls[3:]]
    servers[1].kill()
    servers[2].kill()
    assert read(make_mesh(servers), "file/a") == b"1"


def test_back_to_the_node_only_where_that_is_said(command, make_acceptors, make_mesh):
    write(make_mesh(make_acceptors(3)), "file/a", b"1")
    code, output = command([], "acceptors", "move")
    assert (code, "the settings name no acceptors" in output, "--to-node" in output) == (2, True, True)
    code, output = command([], "acceptors", "move", "--to-node")
    assert (code, output) == (0, "configuration 2: data-node\n")
    assert read(make_mesh([]), "file/a") == b"1"


def other_name(server: Server) -> str:
    return server.url.replace("127.0.0.1", "localhost")


def test_one_server_does_not_count_twice(command, make_acceptors, make_mesh):
    servers = make_acceptors(3)
    urls = [server.url for server in servers]
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    code, output = command(servers, "acceptors", "replace", urls[0], urls[1])
    assert (code, f"acceptor {urls[1]} is given twice" in output) == (2, True)
    code, output = command(servers, "acceptors", "replace", urls[0], other_name(servers[1]))
    assert (code, "are one server" in output) == (2, True)
    assert listed(command, servers)[0]["configuration"] == 1
    assert write(mesh, "file/a", b"2") == 2


def test_a_mesh_does_not_begin_with_one_server_under_two_names(command, make_acceptors, make_mesh):
    servers = make_acceptors(2)
    named = [*servers, SimpleNamespace(url=other_name(servers[1]))]
    make_mesh(named).link.open()
    code, output = command(named, "leader")
    assert (code, "are one server" in output) == (2, True)


@pytest.mark.parametrize("address", ["banana", "redis://", "redis://host:port"])
def test_what_is_no_address_is_refused(command, make_acceptors, make_mesh, address):
    servers = make_acceptors(1)
    write(make_mesh(servers), "file/a", b"1")
    code, output = command(servers, "acceptors", "add", address, "redis://127.0.0.1:1")
    assert (code, f"address {address!r}: " in output) == (2, True)


def test_replacing_and_accepting_a_loss(command, make_acceptors, make_mesh):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"1")
    servers[0].kill()
    servers[0].empty_disk()
    servers[0].start()
    assert command(servers, "acceptors", "replace")[1].startswith("configuration 2: ")
    assert command(servers, "acceptors", "replace")[1].startswith("nothing had to be changed")
    write_at(make_mesh(servers), servers[2], "file/a", b"1", configuration=2)
    for server in servers[:2]:
        server.kill()
        server.empty_disk()
        server.start()
    code, output = command(servers, "acceptors", "readmit")
    assert (code, "--accept-loss" in output) == (2, True)
    code, output = command(servers, "acceptors", "readmit", "--accept-loss")
    assert (code, output.startswith("configuration 4: ")) == (0, True)
    assert read(make_mesh(servers), "file/a") == b"1"
