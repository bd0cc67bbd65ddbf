"""What a service manager is told, over a real socket."""

from __future__ import annotations

import os
import socket

import pytest

from taskmesh.worker.options import WorkerOptions
from taskmesh.worker.service import Service
from taskmesh.worker.vitals import RELOADING, STOPPING, WORKING, Vitals


class Manager:
    """Hears what a service tells."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return the lines of the next datagram; none if there is none."""
        try:
            return self.socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return []


@pytest.fixture(params=["file", "abstract"])
def address(request, tmp_path):
    return (
        str(tmp_path / "notify") if request.param == "file" else f"@taskmesh-test-{os.getpid()}-{id(request)}"
    )


@pytest.fixture
def manager(address):
    made = Manager(address)
    yield made
    made.socket.close()


def test_ready_is_said_once_and_only_when_it_is(manager, address):
    service = Service({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000"})
    service.turned(lambda: ["no child is ready\nyet", "and more"])
    assert manager.heard() == ["WATCHDOG=1", "STATUS=no child is ready yet; and more"]
    service._next_s = 0.0
    service.turned(list)
    assert manager.heard() == ["READY=1", "WATCHDOG=1", "STATUS=ready"]
    service._next_s = 0.0
    service.turned(list)
    assert manager.heard() == ["WATCHDOG=1"]
    service._next_s = 0.0
    service.turned(lambda: ["no node answers"])
    assert manager.heard() == ["WATCHDOG=1", "STATUS=no node answers"]
    service.stops("so be it")
    assert manager.heard() == ["STOPPING=1", "STATUS=so be it"]


def test_a_turn_is_told_only_now_and_then(manager, address):
    service = Service({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3600000000"})
    for _ in range(1000):
        service.turned(list)
    assert manager.heard()
    assert not manager.heard()


def test_ready_is_said_again_until_it_was_heard(address):
    service = Service({"NOTIFY_SOCKET": address})
    service.turned(list)  # nobody is there
    late = Manager(address)
    service._next_s = 0.0
    service.turned(list)
    assert late.heard() == ["READY=1", "STATUS=ready"]
    late.socket.close()


def test_remarks_are_told_and_keep_it_from_nothing(manager, address):
    service = Service({"NOTIFY_SOCKET": address})
    service.turned(list, lambda: ["the broker is away"])
    assert manager.heard() == ["READY=1", "STATUS=ready; the broker is away"]


def test_a_manager_that_does_not_read_holds_nobody_up(manager, address):
    service = Service({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"})
    for _ in range(10_000):
        service._next_s = 0.0
        service.turned(list)


def test_the_variables_are_for_this_process_alone(manager, address):
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "HOME": "/"}
    service = Service(environ)
    assert environ == {"HOME": "/"}
    service.turned(list)
    assert manager.heard() == ["READY=1", "STATUS=ready"]  # the watchdog is another's


def test_nothing_is_asked_where_nobody_listens():
    def never() -> list[str]:
        raise AssertionError

    service = Service({})
    assert not service.is_heard
    service.turned(never)
    service.stops("")


def test_the_loop_tells_of_itself_and_nobody_else_does(manager, address, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    vitals = Vitals(WorkerOptions(app="app"))
    assert not manager.heard()
    vitals.enters(WORKING)
    assert manager.heard() == ["WATCHDOG=1", "STATUS=no node knows the worker yet"]
    assert not manager.heard()
    vitals.enters(STOPPING)
    assert manager.heard()[0] == "STOPPING=1"


def test_a_worker_of_another_service_is_not_that_service(manager, address, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    vitals = Vitals(WorkerOptions(app="app", parent=os.getppid()))
    vitals.enters(WORKING)
    assert not manager.heard()
    assert os.environ["NOTIFY_SOCKET"] == address


def test_who_reloads_does_not_stop_and_its_loop_turns_meanwhile(manager, address, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    vitals = Vitals(WorkerOptions(app="app", reload=True))
    vitals.enters(RELOADING)
    assert manager.heard() == ["WATCHDOG=1", f"STATUS={vitals.why_not_ready()[0]}"]
    vitals._service._next_s = 0.0
    vitals.turned()  # a task may take long to finish
    assert manager.heard() == ["WATCHDOG=1"]
    vitals.enters(STOPPING)
    assert manager.heard()[0] == "STOPPING=1"


@pytest.mark.parametrize("microseconds", ["0", "9" * 400, "9" * 5000, "²", "-5", "soon"])
def test_a_watchdog_that_no_manager_would_set_is_none(manager, address, microseconds):
    service = Service({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": microseconds})
    service.turned(list)
    assert manager.heard() == ["READY=1", "STATUS=ready"]
