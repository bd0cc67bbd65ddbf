"""The server of the probes, by real connections."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh.cli.probing import CannotAsk, Told, ask, quickly, url_for
from taskmesh.config.values import probes
from taskmesh.errors import ConfigError
from taskmesh.metrics import pages, server
from taskmesh.metrics.asking import ASKING_MAX, HEAD_BYTES_MAX
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.pages import Pages
from taskmesh.metrics.server import AT_ONCE_MAX, ProbeServer, place_of
from tests.support import wait_until

#: Far longer than an answer takes.
SOON_S = 90.0


class Process:
    """Somebody who can be asked how he is."""

    def __init__(self) -> None:
        self.why_not_ready: list[str] = []
        self.remarks: list[str] = []
        self.fails = False
        self.asked = self.asked_nodes = 0
        self.server = ProbeServer(
            place_of("127.0.0.1:0"),
            Pages(list, lambda: self.why_not_ready, self.samples, self.of_mesh, lambda: self.remarks),
        )
        self.server.start()

    def samples(self) -> Samples:
        if self.fails:
            raise RuntimeError("cannot count")
        self.asked += 1
        found = Samples()
        found.put("taskmesh_leads", 1)
        return found

    def of_mesh(self) -> Samples:
        self.asked_nodes += 1
        found = Samples()
        found.put("taskmesh_delayed", 3)
        return found

    def ask(self, path: str) -> Told:
        return ask(f"{self.server.url}{path}", SOON_S)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.server.close()


def raw(process: Process, request: str) -> str:
    with socket.create_connection(("127.0.0.1", process.server.port), SOON_S) as connection:
        connection.sendall(request.encode())
        found = b""
        while part := connection.recv(65536):
            found += part
    return found.decode()


def test_it_says_whether_a_process_lives_and_is_ready(process: Process) -> None:
    assert process.ask("/livez") == process.ask("/readyz") == Told(200, "ok")
    process.why_not_ready = ["no node answers", "and more"]
    assert process.ask("/livez") == Told(200, "ok")
    assert process.ask("/readyz") == Told(503, "no node answers\nand more")
    process.remarks = ["the broker is away"]
    assert process.ask("/readyz") == Told(503, "no node answers\nand more\nremark: the broker is away")
    process.why_not_ready = []
    assert process.ask("/readyz") == Told(200, "ok\nremark: the broker is away")
    assert process.ask("/livez") == Told(200, "ok")


def test_clients_that_ask_slowly_hold_up_nobody(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Liveness above all: or whoever opens some connections has a worker killed that works."""
    monkeypatch.setattr(server, "CLIENT_S", 3600.0)
    address = "127.0.0.1", process.server.port
    slow = [socket.create_connection(address, SOON_S) for _ in range(2 * AT_ONCE_MAX)]
    try:
        for connection in slow:
            # one that is left for another may be gone already
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /livez HTTP/1.1\r\n")
        assert process.ask("/livez") == Told(200, "ok")
    finally:
        for connection in slow:
            connection.close()


def open_ones(connections: list[socket.socket]) -> int:
    """Return how many of some connections, on which nothing was said, the server has not closed."""
    found = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            connection.recv(1)
        except BlockingIOError:
            found += 1
        except ConnectionResetError:
            continue
    return found


def answering() -> set[threading.Thread]:
    """Return the threads that answer somebody; those of other tests come and go."""
    return {thread for thread in threading.enumerate() if "(_talk)" in thread.name}


@pytest.mark.parametrize("said", [b"", b"GET /livez HT"], ids=["nothing", "a part"])
def test_idle_connections_hold_no_thread_and_are_left_only_for_others(
    process: Process, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A probe that comes after 200 of them waited for some to be left, one after the other, for seconds."""
    monkeypatch.setattr(server, "CLIENT_S", 3600.0)
    address = "127.0.0.1", process.server.port
    with contextlib.ExitStack() as stack:

        def connect(count: int) -> list[socket.socket]:
            made = [stack.enter_context(socket.create_connection(address, SOON_S)) for _ in range(count)]
            for connection in made:
                with contextlib.suppress(OSError):  # it may have been left for another
                    connection.sendall(said)
            return made

        threads = answering()
        few = connect(ASKING_MAX - 1)
        assert process.ask("/livez") == Told(200, "ok")
        assert len(answering() - threads) <= 1, "that one may be at its end"
        assert open_ones(few) == len(few), "nobody had to be left"
        many = connect(200)
        assert process.ask("/readyz") == Told(200, "ok")
        assert open_ones(few) == 0, "the oldest are left first"
        assert open_ones(many) == open_ones(many[1 - ASKING_MAX :]) == ASKING_MAX - 1
        assert len(answering() - threads) <= 2


def test_who_asks_nothing_is_left_in_time(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLIENT_S", 0.05)
    with socket.create_connection(("127.0.0.1", process.server.port), SOON_S) as silent:
        assert silent.recv(1) == b""

    def is_answered() -> bool:
        # whoever stands still between connecting and asking is left as well
        with contextlib.suppress(CannotAsk):
            return process.ask("/livez") == Told(200, "ok")
        return False

    wait_until(is_answered)


def test_a_request_may_come_in_pieces_and_not_without_end(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.server.port), SOON_S) as connection:
        for part in (b"GET /livez HTTP/1.1\r\nHo", b"st: x\r\n\r", b"\n"):
            connection.sendall(part)
        assert connection.recv(12) == b"HTTP/1.0 200"
    endless = "GET /".ljust(HEAD_BYTES_MAX, "x")
    assert raw(process, endless).startswith("there is no /xxx")


def test_programs_are_told_in_json(process: Process) -> None:
    process.why_not_ready = ["no node answers"]
    told = process.ask("/readyz?json")
    assert (told.status, json.loads(told.text)) == (
        503,
        {"ok": False, "reasons": ["no node answers"], "remarks": []},
    )
    answer = raw(process, "GET /livez HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
    assert json.loads(answer.partition("\r\n\r\n")[2]) == {"ok": True, "reasons": [], "remarks": []}


def test_metrics_come_in_the_format_that_was_asked_for(process: Process) -> None:
    plain = raw(process, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "Content-Type: text/plain; version=0.0.4" in plain
    assert "taskmesh_delayed 3\n" in plain
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    other = raw(process, f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n")
    assert "Content-Type: application/openmetrics-text; version=1.0.0" in other
    assert other.endswith("# EOF\n")


def test_many_who_ask_for_metrics_are_told_what_was_put_together_once(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "METRICS_FRESH_S", 3600.0)
    with ThreadPoolExecutor(8) as scrapers:
        told = set(scrapers.map(process.ask, ["/metrics"] * 40))
    assert (len(told), process.asked) == (1, 1)
    # whoever reads the other format has values of his own, which do not go back behind what he was told
    ask_for = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n"
    assert raw(process, ask_for).endswith("# EOF\n")
    assert process.asked == 2


def test_who_wants_nothing_of_the_mesh_asks_no_node(process: Process) -> None:
    told = process.ask("/metrics?mesh=no").text
    assert "taskmesh_leads 1" in told
    assert "taskmesh_delayed" not in told
    assert process.asked_nodes == 0
    assert "taskmesh_delayed 3" in process.ask("/metrics").text


def test_metrics_are_put_together_anew_after_a_moment(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "METRICS_FRESH_S", 0.0)
    process.ask("/metrics")
    process.ask("/metrics")
    assert process.asked == 2


def test_a_head_has_no_body_and_other_pages_are_named(process: Process) -> None:
    assert raw(process, "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n").endswith("\r\n\r\n")
    told = process.ask("/")
    assert told.status == 404
    assert "/livez, /readyz, /metrics" in told.text
    assert (
        "501" in raw(process, "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").split("\r\n")[0]
    )


def test_an_error_is_an_answer_and_goes_to_the_log(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    process.fails = True
    assert process.ask("/metrics").status == 500
    assert "cannot count" in caplog.text
    assert process.ask("/livez").status == 200


def test_who_says_nothing_holds_up_nobody(process: Process) -> None:
    silent = [socket.create_connection(("127.0.0.1", process.server.port)) for _ in range(5)]
    assert process.ask("/livez").status == 200
    for connection in silent:
        connection.close()


def test_a_port_that_is_taken_is_said_with_what_to_do(process: Process) -> None:
    with pytest.raises(ConfigError, match="give each its own"):
        ProbeServer(("127.0.0.1", process.server.port), lambda _: pytest.fail("asked"))


def test_nobody_answers_when_it_is_closed(process: Process) -> None:
    process.server.close()
    with pytest.raises(CannotAsk, match="refused"):
        process.ask("/livez")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("8484", "127.0.0.1:8484"),
        (8484, "127.0.0.1:8484"),
        (":8484", ":8484"),
        (" 0.0.0.0:80 ", "0.0.0.0:80"),
        ("[::1]:8484", "[::1]:8484"),
        ("worker.internal:0", "worker.internal:0"),
        ("off", ""),
    ],
)
def test_where_to_serve_is_read_from_what_people_write(given: str | int, read: str) -> None:
    assert probes(given) == read


@pytest.mark.parametrize(
    "given", ["", "x", "http://h:1", "h:1/x", "::1:80", "h:65536", "h:-1", True, None, 1.5, ["8484"]]
)
def test_what_is_no_place_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        probes(given)


@pytest.mark.parametrize(
    ("setting", "asked"),
    [
        (":8484", "http://127.0.0.1:8484/livez"),
        ("0.0.0.0:80", "http://127.0.0.1:80/livez"),
        ("[::]:80", "http://[::1]:80/livez"),
        ("10.0.0.7:80", "http://10.0.0.7:80/livez"),
    ],
)
def test_a_process_of_this_host_is_asked_where_it_listens(setting: str, asked: str) -> None:
    assert url_for(setting, "/livez") == asked


@pytest.mark.parametrize("setting", [None, "", "h:0"])
def test_a_place_that_is_not_known_cannot_be_asked(setting: str | None) -> None:
    with pytest.raises(CannotAsk, match="give --url"):
        url_for(setting, "/livez")


def test_the_usual_health_check_needs_no_command_line(
    process: Process, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {"TASKMESH_PROBES": str(process.server.port)}
    assert quickly(["--live"], environ) == quickly([], environ) == 0
    process.why_not_ready = ["not yet"]
    assert quickly(["--ready"], environ) == 1
    assert capfd.readouterr().out == "ok\nok\nnot yet\n"
    process.server.close()
    assert quickly(["--live"], environ) == 1
    assert "refused" in capfd.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["--live", "--ready"], ["--url", "x"], ["--json"]])
def test_others_are_left_to_the_command(words: list[str]) -> None:
    assert quickly(words, {"TASKMESH_PROBES": "1"}) is None
    assert quickly(["--live"], {}) is None


def test_something_else_on_the_port_is_no_probe() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(CannotAsk, match=r"within 0\.2 s"):
        ask(f"http://127.0.0.1:{other.getsockname()[1]}/livez", 0.2)
    with pytest.raises(CannotAsk, match="no address of a probe"):
        ask("https://h/x")
