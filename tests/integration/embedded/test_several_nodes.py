"""A mesh with several embedded nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.cli.doctor.finding import Finding, Level
from taskmesh.cli.doctor.nodes import check_nodes
from taskmesh.errors import ConfigError
from taskmesh.nodes import embedded
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.embedded_delete import delete, kept
from taskmesh.nodes.embedded_files import NodePaths
from taskmesh.nodes.embedded_several import places_of
from tests.integration.embedded.processes import answers, ask, is_alive, python
from tests.support import wait_until

EPOCH = "tm:trio:epoch"


def urls(mesh: TaskMesh) -> list[str]:
    return [address.url for address in mesh.addresses()]


@pytest.fixture
def trio(state_root: Path) -> list[embedded.Running]:
    return embedded.ensure_all("trio", 3)


def test_each_has_a_guardian_a_folder_and_a_socket_of_its_own(trio):
    assert len({node.guardian_pid for node in trio} | {node.server_pid for node in trio}) == 6
    assert len({node.data_dir for node in trio}) == len({node.socket_path for node in trio}) == 3
    assert all(answers(node.socket_path) for node in trio)
    assert embedded.running() == trio


def test_together_they_may_hold_what_one_alone_may(trio, state_root):
    (alone,) = embedded.ensure_all("solo")
    limits = [int(ask(node.socket_path, "CONFIG", "GET", "maxmemory")[1]) for node in (alone, *trio)]
    assert limits[1:] == [limits[0] // 3] * 3


def test_who_knows_the_name_finds_all_of_them(trio):
    assert embedded.ensure_all("trio") == embedded.ensure_all("trio", 3) == trio
    with TaskMesh("trio", key="0" * 32) as mesh:
        assert urls(mesh) == [f"unix://{node.socket_path}" for node in trio]


def test_a_mesh_is_made_with_what_its_first_process_asks_for(state_root):
    with TaskMesh("trio", embedded_nodes=3) as mesh, TaskMesh("trio") as plain:
        assert len(urls(mesh)) == 3
        assert urls(plain) == urls(mesh)


@pytest.mark.parametrize(("made_with", "asked"), [(3, 1), (3, 2), (2, 3), (1, 3)])
def test_another_number_is_refused_with_the_reason(state_root, made_with, asked):
    nodes = embedded.ensure_all("trio", made_with)
    with pytest.raises(
        ConfigError, match=rf"'trio' was made with .*, and {asked} (is|are) asked for"
    ) as caught:
        embedded.ensure_all("trio", asked)
    assert "taskmesh down --mesh trio --delete" in str(caught.value)
    assert caught.value.setting == "embedded_nodes"
    assert embedded.running() == nodes


def test_more_copies_than_there_are_nodes_are_refused(state_root):
    with (
        TaskMesh("solo", replicas=2) as mesh,
        pytest.raises(ConfigError, match="there is one; give more nodes"),
    ):
        mesh.addresses()


def test_what_numbers_the_epoch_is_no_guardian(trio):
    """A new one has none, and one that is started again goes on with what it had: the view admits it, or not."""
    assert [ask(node.socket_path, "GET", EPOCH) for node in trio] == [None] * 3
    for node, epoch in zip(trio, ("f00000000007", "x00000000008"), strict=False):
        ask(node.socket_path, "SET", EPOCH, epoch)
        os.kill(node.server_pid, signal.SIGKILL)
    wait_until(lambda: [node.generation for node in embedded.running()] == [2, 2, 1], what="both serve again")
    assert [ask(node.socket_path, "GET", EPOCH) for node in trio] == [b"f00000000007", b"x00000000008", None]


def test_one_that_is_away_is_not_waited_for(trio, monkeypatch):
    """Its guardian will start it again; whoever connects to another meanwhile must not wait until it has."""
    os.kill(trio[1].guardian_pid, signal.SIGSTOP)
    try:
        os.kill(trio[1].server_pid, signal.SIGKILL)
        wait_until(lambda: not answers(trio[1].socket_path), what="the server is gone")
        monkeypatch.setattr(embedded, "_ensured", None)  # to wait would fail
        assert embedded.ensure_all("trio") == [trio[0], trio[2]]
        with TaskMesh("trio", key="0" * 32) as mesh:
            assert len(urls(mesh)) == 3
    finally:
        os.kill(trio[1].guardian_pid, signal.SIGCONT)
    wait_until(lambda: answers(trio[1].socket_path), what="its guardian starts it again")


def test_one_without_guardian_is_started_with_the_others_data_untouched(trio):
    ask(trio[2].socket_path, "SET", "kept", "value")
    os.kill(trio[2].guardian_pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(trio[2].server_pid), what="the server ends with its guardian")
    again = embedded.ensure_all("trio")
    assert again[:2] == trio[:2]
    assert again[2].generation == 2
    assert ask(again[2].socket_path, "GET", "kept") == b"value"


def test_only_the_one_that_is_asked_for_is_started(trio):
    embedded.stop("trio")
    embedded.ensure_at("trio", trio[1].socket_path)
    assert [node.socket_path for node in embedded.running()] == [trio[1].socket_path]
    whereabouts = TaskMesh("trio")._node
    whereabouts.ensure_at(NodeAddress(f"unix://{trio[0].socket_path}", embedded="trio"))
    whereabouts.ensure_at(
        NodeAddress(f"unix://{trio[2].socket_path}")
    )  # of the user's own, as far as one knows
    assert [node.socket_path for node in embedded.running()] == [n.socket_path for n in trio[:2]]


def test_all_are_stopped_together_and_come_back_with_their_data(trio):
    for node in trio:
        ask(node.socket_path, "SET", "kept", node.socket_path)
    assert embedded.stop("trio")
    assert embedded.running() == []
    assert not any(is_alive(node.server_pid) for node in trio)
    assert not embedded.stop("trio")
    again = embedded.ensure_all("trio")
    assert [node.generation for node in again] == [2, 2, 2]
    assert [ask(node.socket_path, "GET", "kept") for node in again] == [n.socket_path.encode() for n in trio]


def test_all_end_when_nobody_needs_them(state_root, monkeypatch):
    monkeypatch.setenv("TASKMESH_EMBEDDED_IDLE_S", "0.2")
    # one may have ended before the last is there
    trio = embedded.ensure_all("trio", 3)
    wait_until(lambda: not any(is_alive(node.guardian_pid) for node in trio), what="they end")


def test_all_are_removed_together(trio):
    places = places_of("trio")
    assert kept() == ["trio"]
    assert delete("trio")
    assert kept() == []
    assert not any(Path(folder).exists() for paths in places for folder in (paths.state, paths.socket_folder))
    assert len(embedded.ensure_all("trio")) == 1


def test_sockets_of_long_names_stand_elsewhere_and_go_as_well(state_root, monkeypatch):
    state_root = state_root / ("d" * 30)
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(state_root))
    name = "m" * (95 - len(f"{state_root}/{socket.gethostname()}/") - len("/hidden"))
    nodes = embedded.ensure_all(name, 2)
    folders = [Path(node.socket_path).parent for node in nodes]
    assert [folder.parent.name == f"taskmesh-{os.getuid()}" for folder in folders] == [False, True]
    delete(name)
    assert not any(folder.exists() for folder in folders)


def test_two_who_make_it_at_once_get_the_same_nodes(state_root):
    code = (
        "from taskmesh.nodes import embedded; "
        "print([n.server_pid for n in embedded.ensure_all('trio', 3, timeout_s=60)])"
    )
    both = [python(code) for _ in range(2)]
    said = [process.communicate(timeout=90)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    now = [node.server_pid for node in embedded.ensure_all("trio")]
    assert len(now) == 3
    # whoever came second does not wait for those that the first one was starting
    assert all(set(json.loads(each)) <= set(now) for each in said)


@pytest.mark.parametrize("content", [b"", b".\n", b".\nnode-3\n", b"node-2\n.\n", b".\n/etc\n", b"\xff"])
def test_a_list_that_cannot_be_understood_is_not_guessed_at(trio, content):
    Path(NodePaths(places_of("trio")[0].state).state, "nodes").write_bytes(content)
    try:
        with pytest.raises(ConfigError, match="should name the folders of the mesh's nodes"):
            embedded.ensure_all("trio")
    finally:
        Path(Path(trio[0].data_dir).parent, "nodes").write_bytes(b".\nnode-2\nnode-3\n")


def test_private_ones_end_together():
    with TaskMesh("trio", embedded="private", embedded_nodes=3) as mesh:
        places = [url.removeprefix("unix://") for url in urls(mesh)]
        assert len(set(places)) == 3
        assert [ask(place, "GET", EPOCH) for place in places] == [None] * 3
        # one that is killed comes back with what it had
        assert ask(places[0], "CONFIG", "GET", "appendonly") == [b"appendonly", b"yes"]
    assert not any(Path(place).parent.exists() for place in places)


def test_processes_that_are_started_find_all_private_ones():
    code = """
        from taskmesh import TaskMesh
        mesh = TaskMesh("trio", embedded="private", embedded_nodes=3)
        print(*[address.url for address in mesh.addresses()])
        """
    with TaskMesh("trio", embedded="private", embedded_nodes=3) as mesh:
        expected = urls(mesh)
        found = python(code).communicate(timeout=90)[0].split()
        assert found == expected
        assert all(answers(url.removeprefix("unix://")) for url in expected)


def test_doctor_names_the_node_that_is_down(trio):
    nodes = [f"unix://{node.socket_path}" for node in trio]
    with TaskMesh("trio", nodes=nodes, key="0" * 32) as mesh:
        mesh.link.open()
        pids = (trio[1].guardian_pid, trio[1].server_pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        wait_until(lambda: not answers(trio[1].socket_path))

        def failing() -> Finding | None:
            """Return what fails, if that is one; the others may need longer for an answer than doctor gives them."""
            found, link = check_nodes(mesh)
            assert link is not None
            failed = [each for each in found if each.level is Level.FAIL]
            return failed[0] if len(failed) == 1 else None

        failed = wait_until(failing)
        assert failed.remedy.startswith(f"{trio[1].socket_path} is stale, no server listens on it")
