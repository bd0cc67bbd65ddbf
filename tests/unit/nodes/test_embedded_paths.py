"""Where a node stands, and who may reach it."""

from __future__ import annotations

import os
import socket

import pytest

from taskmesh.errors import ConfigError
from taskmesh.nodes import embedded_paths
from taskmesh.nodes.embedded_paths import (
    is_reachable_safely,
    machine_memory,
    make_folders,
    paths_of,
    placed,
    why_not_private,
)


@pytest.fixture
def environment(monkeypatch):
    for name in ("TASKMESH_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/users/ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    return monkeypatch


def test_the_state_folder_follows_its_variables(environment):
    assert paths_of("shop").state == "/users/ada/.local/state/taskmesh/host/shop"
    environment.setenv("XDG_STATE_HOME", "relative, and to be ignored by its own rule")
    assert paths_of("shop").state == "/users/ada/.local/state/taskmesh/host/shop"
    environment.setenv("XDG_STATE_HOME", "/xdg")
    assert paths_of("shop").state == "/xdg/taskmesh/host/shop"
    environment.setenv("TASKMESH_STATE_DIR", "/mine")
    assert paths_of("shop").state == "/mine/host/shop"
    assert paths_of("shop").socket == "/mine/host/shop/socket"


def test_asking_for_paths_makes_nothing(environment, tmp_path):
    environment.setenv("TASKMESH_STATE_DIR", str(tmp_path / "state"))
    paths_of("shop")
    assert list(tmp_path.iterdir()) == []


def test_sockets_move_out_of_a_folder_whose_path_is_too_long():
    longest = "/" + "s" * (99 - len("//hidden"))
    assert placed(longest).socket == longest + "/socket"
    too_long = placed(longest + "s")
    assert too_long.state == longest + "s"
    assert too_long.socket_folder.startswith(f"/tmp/taskmesh-{os.getuid()}/")
    assert len(too_long.hidden_socket) < 100
    assert too_long.socket == placed(longest + "s").socket
    assert too_long.socket != placed(longest + "t").socket


def test_bytes_count_not_characters():
    assert placed("/" + "ä" * 60).socket.startswith("/tmp/")


@pytest.mark.parametrize(
    ("mode", "answer"),
    [
        (0o700, None),
        (0o750, "others may read it"),
        (0o701, "others may read it"),
        (0o720, "others may write into it (mode 0720)"),
        (0o777, "others may write into it (mode 0777)"),
    ],
)
def test_what_makes_a_folder_private(tmp_path, mode, answer):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    assert why_not_private(str(folder)) == answer


def test_a_folder_of_somebody_else_is_not_private(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert why_not_private(str(tmp_path)) == f"it belongs to user {me}, not to user {me + 1}"


def test_a_link_or_a_file_is_not_private(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert why_not_private(str(tmp_path / "file")) == "it is not a folder"
    assert why_not_private(str(tmp_path / "link")) == "it is not a folder"


def test_sockets_elsewhere_are_safe_only_below_a_folder_of_ours(tmp_path, monkeypatch):
    """Anybody may make the folder in /tmp before we do."""
    paths = embedded_paths.NodePaths(str(tmp_path / "state"), str(tmp_path / "shared" / "sockets"))
    assert not is_reachable_safely(paths)
    make_folders(paths)
    assert is_reachable_safely(paths)
    (tmp_path / "shared").chmod(0o777)
    assert not is_reachable_safely(paths)
    with pytest.raises(ConfigError, match="shared cannot hold"):
        make_folders(paths)


def test_a_machine_has_memory():
    assert machine_memory() > 1 << 20
