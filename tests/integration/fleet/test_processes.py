"""The fleet runs: each command and each health check of docker-compose.yml and of the units, as plain processes."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from taskmesh.nodes.server_binary import find_server
from tests.faults.server import free_port
from tests.integration.fleet.by_hand import NODES, SCHEDULERS, WORKERS, Places, shown, shown_environment
from tests.integration.fleet.files import ROOT, command_of, compose, container_of, of_kind, seconds, unit
from tests.integration.fleet.files import WORKERS as FOLDER
from tests.support import wait_until

BIN = Path(sys.executable).parent


def surroundings(**more: str) -> dict[str, str]:
    """Return this process's variables without those of a mesh, and some more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKMESH_")}
    return {**kept, **more}


class Fleet:
    """Processes that were started, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, words: list[str], **how) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = process = subprocess.Popen(
                words, stdout=log, stderr=subprocess.STDOUT, **how
            )
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def ends(self, name: str, within_s: float) -> int:
        """Tell one to stop, as the engine and systemd would, and return its exit code."""
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes[name].wait(within_s)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    for process in reversed(made.processes.values()):
        process.kill()
        process.wait()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "taskmesh.key"
    subprocess.run([BIN / "taskmesh", "key", "new", "--out", path], check=True, capture_output=True)
    return path


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Return what imports the app of the image as a caller's."""
    opened = []

    def load(environ: dict[str, str]):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("shop", FOLDER / "app" / "shop.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        opened.append(module.mesh)
        return module

    yield load
    for mesh in opened:
        mesh.close()


@pytest.mark.needs_server
def test_the_health_check_of_a_node(fleet, tmp_path):
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if client is None:
        pytest.skip("neither valkey-cli nor redis-cli is on the PATH; the image of the nodes has the first")
    name = NODES[0]
    places = Places({name: free_port()}, str(tmp_path), "", server=str(find_server()), client=client)

    def code() -> int:
        return subprocess.run(
            places.health_check(name), capture_output=True, check=False, timeout=90
        ).returncode

    assert code() != 0
    (tmp_path / name).mkdir()
    fleet.start(name, places.node_command(name))
    wait_until(lambda: code() == 0, what="it is healthy", every_s=0.1)
    assert fleet.ends(name, 90) == 0


@pytest.mark.slow
@pytest.mark.needs_server
def test_the_services_of_the_compose_file(fleet, key, shop, tmp_path):
    names = (*SCHEDULERS, *WORKERS[:2])  # the third comes with a profile
    places = Places(
        ports={name: free_port() for name in (*NODES, *names)},
        data=str(tmp_path),
        key=str(key),
        files=str(FOLDER),
        program=str(BIN / "taskmesh"),
        server=str(find_server()),
    )

    def is_healthy(name: str) -> bool:
        command, environ = places.health_check(name), surroundings(**places.environment(name))
        assert fleet.processes[name].poll() is None, fleet.log(name)
        return not subprocess.run(
            command, env=environ, capture_output=True, check=False, timeout=90
        ).returncode

    for name in NODES:
        (tmp_path / name).mkdir()
        fleet.start(name, places.node_command(name))
    for name in names:
        environ = surroundings(**places.environment(name))
        fleet.start(name, places.command(name), env=environ, cwd=ROOT)
    for name in names:
        wait_until(lambda name=name: is_healthy(name), what=f"{name} is healthy", every_s=0.5)
    for name in names:  # Kubernetes asks the same processes in another way
        kind = name if name in WORKERS else "scheduler"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container_of(of_kind("Deployment")[kind])[probe]["httpGet"]["path"]
            page = f"http://127.0.0.1:{places.ports[name]}{path}"
            wait_until(lambda page=page: status_of(page) == 200, what=f"{page} answers", every_s=0.5)

    app = shop(places.environment(WORKERS[0]))
    assert app.add.delay(1, 2).get(timeout=90) == 3
    assert app.pause.delay(0.01).get(timeout=90) == 0.01
    waits = app.digest.delay(10)
    wait_until(lambda: [member.state for member in app.mesh.nodes.members()] == ["up"] * 3)

    def doctor_is_content() -> bool:
        """On a machine that stands still now and then, one look may find a node late."""
        doctor = subprocess.run(
            [BIN / "taskmesh", "doctor"],
            env=surroundings(**places.environment(WORKERS[0])),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        told.append(doctor.stdout + doctor.stderr)
        return doctor.returncode == 0

    told: list[str] = []
    try:
        wait_until(doctor_is_content)
    except AssertionError as error:
        raise AssertionError(told[-1]) from error
    assert waits.state == "PENDING"

    for name in (*reversed(names), *NODES):
        within_s = seconds(
            compose()["services"][name if name in WORKERS else "scheduler"]["stop_grace_period"]
        )
        assert fleet.ends(name, within_s) == 0, fleet.log(name)


def status_of(page: str) -> int:
    """Return the status by which a page is answered."""
    try:
        with urlopen(page, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code


class Manager:
    """The socket that systemd would listen on."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(0.01)
        self.told: list[str] = []

    def hears(self, word: str) -> bool:
        """Tell whether a word was told by now."""
        with contextlib.suppress(TimeoutError):
            while word not in self.told:
                self.told += self._socket.recv(4096).decode().split("\n")
        return word in self.told

    def close(self) -> None:
        self._socket.close()


@pytest.mark.slow
@pytest.mark.parametrize(("file", "instance"), [("taskmesh-worker@", "cpu"), ("taskmesh-scheduler", "")])
def test_the_units(fleet, key, shop, make_nodes, tmp_path, file, instance):
    path = FOLDER / "systemd" / f"{file}.service"
    said = unit(path)
    words = [
        word.replace("/opt/taskmesh/venv/bin", str(BIN)).replace("/etc/taskmesh", str(FOLDER))
        for word in command_of(path, instance)
    ]
    assert said["WorkingDirectory"] == ["/opt/taskmesh/app"]
    assert "TASKMESH_KEY_FILE=/etc/taskmesh/taskmesh.key" in said["Environment"]
    environ = {  # as taskmesh.env would have it
        "TASKMESH_APP": "shop:mesh",
        "TASKMESH_NODES": make_nodes(1).urls[0],
        "TASKMESH_KEY_FILE": str(key),
        "TASKMESH_CONCURRENCY": "1",
    }
    app = shop(environ)
    app.add.delay(1, 2)  # so there is such a mesh
    manager = Manager(tmp_path / "notify")
    watchdog_us = int(seconds(said["WatchdogSec"][0]) * 1e6)
    try:
        process = fleet.start(
            "unit",
            words,
            env=surroundings(**environ, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=str(watchdog_us)),
            cwd=FOLDER / "app",
        )
        wait_until(lambda: manager.hears("READY=1"), what="it is ready")
        assert manager.told[-1] in {"STATUS=ready", "WATCHDOG=1"}
        wait_until(lambda: manager.hears("WATCHDOG=1"), what="its loop turns")
        if instance:
            assert app.digest.delay(1).get(timeout=90)
        assert process.poll() is None
        assert not manager.hears("STOPPING=1")  # and whatever was told is read: there is room for that word
        # KillMode=mixed: to this process alone
        assert fleet.ends("unit", seconds(said["TimeoutStopSec"][0])) == 0, fleet.log("unit")
        assert manager.hears("STOPPING=1")
    finally:
        manager.close()


def test_the_list_of_processes_is_the_compose_file_s():
    said = (FOLDER / "README.md").read_text().splitlines()
    processes = [line for line in said if line.endswith(".pid") and "&" in line]
    assert processes == [shown(name) for name in (*NODES, *SCHEDULERS, *WORKERS)]
    assert [line for line in said if line.startswith("export ")] == shown_environment()
