"""The async driver against nodes that are slow, silent or wrong, and through TLS."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmesh.core.steps import Call, NoAnswer, Reply, Steps
from taskmesh.nodes import async_connection
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.async_driver import AsyncDriver
from taskmesh.nodes.embedded import PrivateNode
from taskmesh.nodes.sync_driver import SyncDriver
from tests.support import await_until, wait_until

TESTS_LAST_S = 120
HANDSHAKE = b"CLIENT"


def ask(*commands: tuple[bytes, ...]) -> Steps[list[Reply]]:
    replies = yield [Call(None, b"", words) for words in commands]
    return replies


def in_loop(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TESTS_LAST_S))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, since a socket's may not be long."""
    path = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


class Impostor:
    """A node that answers `+OK` to the handshake of each connection, and then what it is told to."""

    def __init__(self, path: Path, answer: Callable[[socket.socket, bytes], None]) -> None:
        self.url = f"unix://{path}"
        self.connections = 0
        self.asked = False
        self._answer = answer
        self._open: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1 << 20):
                if HANDSHAKE in data:
                    connection.sendall(b"+OK\r\n")
                else:
                    self.asked = True
                    self._answer(connection, data)
        except OSError:
            return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join(90)
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()
        for connection in self._open:
            connection.close()


@pytest.fixture
def impostor(folder: Path) -> Iterator[Callable[..., Impostor]]:
    made: list[Impostor] = []

    def make(answer: Callable[[socket.socket, bytes], None]) -> Impostor:
        made.append(Impostor(folder / f"{len(made)}.sock", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def driver_to(url: str, answer_timeout_s: float = TESTS_LAST_S) -> AsyncDriver:
    sync = SyncDriver(
        NodeAddress(url), name="faults", connect_timeout_s=TESTS_LAST_S, answer_timeout_s=TESTS_LAST_S
    )
    return AsyncDriver(sync, answer_timeout_s=answer_timeout_s)


def test_a_silent_node_is_no_answer_in_time_for_all_who_wait(impostor):
    """And the connection is given up: a late reply must not be taken for that to a later question."""
    node = impostor(lambda _connection, _data: None)
    driver = driver_to(node.url, answer_timeout_s=0.1)

    async def main() -> None:
        for times in (1, 2):
            replies = await asyncio.gather(*[driver.run(ask((b"PING",), (b"PING",))) for _ in range(3)])
            assert {type(reply) for some in replies for reply in some} == {NoAnswer}
            assert node.connections == times

    in_loop(main())
    driver.close()


def test_a_cancelled_conversation_does_not_hide_a_silent_node(impostor):
    """The reply that nobody waits for is still overdue: those behind it must not wait for ever."""
    node = impostor(lambda _connection, _data: None)
    driver = driver_to(node.url, answer_timeout_s=0.2)

    async def main() -> None:
        first = asyncio.create_task(driver.run(ask((b"PING",))))
        second = asyncio.create_task(driver.run(ask((b"PING",))))
        await await_until(lambda: node.asked)
        first.cancel()
        assert [type(reply) for reply in await second] == [NoAnswer]

    in_loop(main())
    driver.close()


def test_a_cancelled_conversation_does_not_keep_its_loop_alive(impostor):
    node = impostor(lambda _connection, _data: None)
    driver = driver_to(node.url)

    async def main() -> None:
        asking = asyncio.create_task(driver.run(ask((b"PING",))))
        await await_until(lambda: node.asked)
        asking.cancel()
        await asyncio.wait([asking])

    loop = asyncio.new_event_loop()
    alive = weakref.ref(loop)
    loop.run_until_complete(main())
    loop.close()
    del loop
    # the thread that connected for it may be on its way out still
    wait_until(lambda: gc.collect() is not None and alive() is None, what="the loop is gone")


def test_replies_that_come_in_pieces(impostor):
    def dribble(connection: socket.socket, data: bytes) -> None:
        for _ in range(data.count(b"PING")):
            for byte in b"*2\r\n$3\r\na\r\n\r\n:1\r\n":
                connection.sendall(bytes([byte]))

    driver = driver_to(impostor(dribble).url)

    async def main() -> None:
        replies = await asyncio.gather(*[driver.run(ask((b"PING",))) for _ in range(5)])
        assert replies == [[[b"a\r\n", 1]]] * 5

    in_loop(main())
    driver.close()


@pytest.mark.parametrize("junk", [b"?what\r\n", b"$abc\r\n", b"\x00\x01\r\n"])
def test_what_is_not_of_the_protocol_ends_the_connection(impostor, junk):
    node = impostor(lambda connection, _data: connection.sendall(b"+PONG\r\n" + junk))
    driver = driver_to(node.url)

    async def main() -> None:
        first, second = await driver.run(ask((b"PING",), (b"PING",)))
        assert first == b"PONG"
        assert type(second) is NoAnswer
        assert "protocol" in second.reason

    in_loop(main())
    driver.close()


def test_an_answer_that_nobody_asked_for_ends_the_connection(impostor):
    """From then on nobody could say which answer belongs to which question."""
    node = impostor(lambda connection, _data: connection.sendall(b"+PONG\r\n+PONG\r\n"))
    driver = driver_to(node.url)

    async def main() -> None:
        for times in (1, 2):
            assert await driver.run(ask((b"PING",))) == [b"PONG"]
            assert node.connections == times

    in_loop(main())
    driver.close()


def test_a_node_that_is_still_loading_is_asked_again(impostor):
    """Nothing was executed, and soon it may be: that is for the protocols to try, as after a lost answer."""
    driver = driver_to(impostor(lambda connection, _data: connection.sendall(b"-LOADING from disk\r\n")).url)
    (reply,) = in_loop(driver.run(ask((b"PING",))))
    assert reply == NoAnswer("LOADING from disk")
    driver.close()


def test_an_address_that_does_not_answer_the_handshake_refuses(impostor, folder):
    node = impostor(lambda _connection, _data: None)
    sync = SyncDriver(NodeAddress(node.url + "?db=1"), name="faults", answer_timeout_s=0.1)
    driver = AsyncDriver(sync, answer_timeout_s=0.1)
    (reply,) = in_loop(driver.run(ask((b"PING",))))
    assert type(reply).__name__ == "Refused"


# -- TLS ----------------------------------------------------------------------------


@pytest.fixture
def tls_url(folder: Path, node: PrivateNode) -> Iterator[str]:
    """A TLS address that leads to the node."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ready: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()
        finally:
            target.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(node.socket_path)
        there = asyncio.create_task(copy(reader, there_writer))
        await asyncio.gather(there, copy(there_reader, writer), return_exceptions=True)
        await asyncio.gather(writer.wait_closed(), there_writer.wait_closed(), return_exceptions=True)

    async def serve() -> None:
        server = await asyncio.start_server(forward, "localhost", 0, ssl=context, family=socket.AF_INET)
        stop = asyncio.Event()
        ready.append((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
        async with server:
            await stop.wait()
            # the last connection has just been closed by the test
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=90)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    wait_until(lambda: ready)
    port, loop, stop = ready[0]
    yield f"rediss://localhost:{port}?ssl_ca_certs={certificate}"
    loop.call_soon_threadsafe(stop.set)
    thread.join(90)
    assert not thread.is_alive()


@pytest.mark.parametrize("read_bytes", [1000, async_connection.READ_BYTES])
def test_through_tls(tls_url, read_bytes, monkeypatch):
    """What is larger than a record of TLS, and records larger than what is read at once."""
    monkeypatch.setattr(async_connection, "READ_BYTES", read_bytes)
    driver = driver_to(tls_url)
    value = os.urandom(3 << 20)

    async def main() -> None:
        assert await driver.run(ask((b"PING",))) == [b"PONG"]
        large = [driver.run(ask((b"ECHO", value))) for _ in range(3)]
        small = [driver.run(ask((b"ECHO", b"%d" % n), (b"PING",))) for n in range(200)]
        answers = await asyncio.gather(*large, *small)
        assert answers == [[value]] * 3 + [[b"%d" % n, b"PONG"] for n in range(200)]
        driver.close()
        await asyncio.sleep(0)

    in_loop(main())
