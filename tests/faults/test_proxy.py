"""The proxy does what it is told, so that what is tested with it is tested."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy, Way
from tests.support import PATIENCE_S, wait_until

SHORT_S = 0.2


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets, and its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(one: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                one.sendall(data)
        except OSError:
            pass  # reset, as some tests want it
        one.close()

    def accept() -> None:
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(one,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(90)


@pytest.fixture
def through(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as made:
        yield made


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S)


def said(one: socket.socket, data: bytes, timeout_s: float = PATIENCE_S) -> bytes:
    """Say something, and return what is heard in time."""
    one.sendall(data)
    return heard(one, len(data), timeout_s)


def heard(one: socket.socket, count: int, timeout_s: float = PATIENCE_S) -> bytes:
    one.settimeout(timeout_s)
    got = b""
    try:
        while len(got) < count:
            piece = one.recv(count - len(got))
            if not piece:
                break
            got += piece
    except TimeoutError:
        return got
    return got


def test_it_passes_everything_on(through: Proxy) -> None:
    with connected(through) as one:
        assert said(one, b"word" * 10_000) == b"word" * 10_000


def test_what_a_hole_holds_back_comes_late(through: Proxy) -> None:
    with connected(through) as one:
        assert said(one, b"one") == b"one"
        through.be(Way.HOLE)
        assert said(one, b"two", SHORT_S) == b""
        through.be(Way.PASS)
        assert heard(one, 3) == b"two"


def test_answers_are_lost_and_the_connection_is_of_no_use_afterwards(through: Proxy) -> None:
    with connected(through) as one:
        through.be(Way.DEAF)
        assert said(one, b"one", SHORT_S) == b""
        wait_until(through.has_lost, what="the answer has come, and is lost")
        through.be(Way.PASS)
        with pytest.raises(ConnectionResetError):
            heard(one, 3)


def test_a_silent_connection_stays_so_and_new_ones_are_well(through: Proxy) -> None:
    with connected(through) as one, connected(through) as two:
        assert said(one, b"one") == b"one"
        assert said(two, b"two") == b"two"
        through.silence()
        assert said(one, b"more", SHORT_S) == b""
        with connected(through) as three:
            assert said(three, b"three") == b"three"


def test_a_reset_is_one(through: Proxy) -> None:
    with connected(through) as one:
        assert said(one, b"one") == b"one"
        through.reset()
        with pytest.raises(ConnectionResetError):
            heard(one, 3)


def test_a_closed_way_refuses_new_connections(through: Proxy) -> None:
    through.be(Way.CLOSED)
    with pytest.raises(ConnectionResetError), connected(through) as one:
        heard(one, 1)


def test_what_drips_comes_whole(through: Proxy) -> None:
    with connected(through) as one:
        through.be(Way.DRIP)
        one.sendall(b"abcdefgh" * 100)
        assert heard(one, 800) == b"abcdefgh" * 100
